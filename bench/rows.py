"""Real rows of activations, the same for Fathom and its peers: harvested by `fathom bench harvest`, cleaned, scaled and shuffled."""

import hashlib
import json

import numpy as np
from safetensors.numpy import load_file, save_file

import common

OUTLIER = 8.0  # times the median norm: rows of another kind, which every trainer is better without
CONTEXT = 256
OWN_PART = 0.9  # of the tokens of the model's own corpus: less than it has, whatever is left out


def real(setting, wanted):
    """The path of a file with at most so many rows: without first positions and outliers, of mean norm sqrt(d)."""
    corpus = setting.corpus_or_own()
    if not setting.corpus:  # a text that begins again would be held out and trained on
        wanted = min(wanted, int(OWN_PART * common.own_corpus(setting)[1]["tokens"]))
    key = hashlib.sha256(json.dumps([setting.model, setting.hook, corpus, wanted]).encode()).hexdigest()[:16]
    path = setting.work / f"rows-{key}.safetensors"
    if path.exists():
        return path
    captured = setting.work / "captured.safetensors"
    common.fathom(setting, "bench", "harvest", "-m", setting.model, "--hook", setting.hook, "--corpus", *corpus,
                  "--context", CONTEXT, "--tokens", wanted + wanted // 50, "--threads", setting.threads,
                  "--output", captured)
    tensors = load_file(captured)
    captured.unlink()
    rows = tensors["rows"][tensors["position"] > 0]
    norms = np.linalg.norm(rows, axis=1)
    rows = rows[norms < OUTLIER * np.median(norms)]
    rows *= np.sqrt(rows.shape[1]) / np.linalg.norm(rows, axis=1).mean()
    np.random.Generator(np.random.PCG64(1)).shuffle(rows)
    partial = path.with_suffix(".part")
    save_file({"rows": np.ascontiguousarray(rows[:wanted])}, partial)
    partial.replace(path)
    return path
