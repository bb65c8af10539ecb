"""Real rows of activations, the same for Fathom and its peers: captured by `fathom capture`, cleaned, scaled and shuffled."""

import hashlib
import json

import numpy as np
from safetensors.numpy import load_file, save_file

import common

OUTLIER = 8.0  # times the median norm: rows of another kind, which every trainer is better without
CONTEXT = 256


def real(setting, wanted):
    """The path of a file with at most so many rows: without first positions and outliers, of mean norm sqrt(d)."""
    corpus = setting.corpus_or_own()
    key = hashlib.sha256(json.dumps([setting.model, setting.hook, corpus, wanted]).encode()).hexdigest()[:16]
    path = setting.work / f"rows-{key}.safetensors"
    if path.exists():
        return path
    captured = setting.work / "captured.safetensors"
    common.fathom(setting, "capture", "-m", setting.model, "--hook", setting.hook, "--file", *corpus,
                  "--context", CONTEXT, "--max-tokens", wanted + wanted // 100, "--threads", setting.threads, "-o", captured)  # fmt: skip
    tensors = load_file(captured)
    captured.unlink()
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 2)
    rows = tensors[name][tensors["position"] > 0]
    norms = np.linalg.norm(rows, axis=1)
    rows = rows[norms < OUTLIER * np.median(norms)]
    rows *= np.sqrt(rows.shape[1]) / np.linalg.norm(rows, axis=1).mean()
    np.random.Generator(np.random.PCG64(1)).shuffle(rows)
    partial = path.with_suffix(".part")
    save_file({"rows": np.ascontiguousarray(rows[:wanted])}, partial)
    partial.replace(path)
    return path
