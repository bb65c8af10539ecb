"""Makes the tiny models and their reference numbers:  "$(scripts/setup-python.sh | tail -n 1)"/bin/python tests/reference/make.py [NAME…]

A model's folder gets config.json and model.safetensors (transformers; bf16, which loses nothing: see weights.py), model.gguf (the engine; F32) and
numbers.safetensors, f32, computed by transformers in float32 with eager attention from the committed transformers files:
    tokens                      i32 [n]
    NAME                        [n, width] or [n, heads, width] for every hook point that the architecture has
    mistaken/NAME/WHAT          the point that NAME is most easily taken for, first layer
    edited/NAME                 logits of the last row after points.edit_values were added at NAME, first and last layer
"""

import pathlib
import shutil
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

import architectures
import points
import to_gguf
import weights

FOLDER = pathlib.Path(__file__).parent
LEAST_EFFECT = 0.01  # an edit has to move the logits by more than ten times the tolerance


def relative_error(a, b):
    finite = np.isfinite(b)
    return np.linalg.norm(a[finite] - b[finite]) / np.linalg.norm(b[finite])


def make_model(name, folder):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(architectures.CONFIGS[name], attn_implementation="eager")
    weights.fill(model, name)
    to_gguf.write(folder / "model.gguf", model, name)
    model.bfloat16().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def load(folder):
    config = AutoConfig.from_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def numbers(name, folder):
    model = load(folder)
    tokens = weights.tokens(name, architectures.VOCABULARY, architectures.N_TOKENS)
    reader = points.Points(model, architectures.engine_name(name))
    seen, asides = reader.read(tokens)

    with torch.no_grad():
        plain = model(torch.from_numpy(tokens).long().unsqueeze(0), use_cache=False).logits[0].numpy()
    if not np.array_equal(plain, seen["logits"].numpy()):
        raise SystemExit(f"{name}: reading changed the logits")

    out = {"tokens": tokens} | {point: tensor.numpy() for point, tensor in seen.items()}
    for point in seen:
        if point.endswith("hook_z"):
            out[point] = out[point].reshape(len(tokens), model.config.num_attention_heads, -1)
    for point, tensor in asides.items():
        if "blocks." not in point or "blocks.0." in point:
            out[point] = tensor.numpy().reshape(tensor.shape[0], -1)
    if name == "llama":
        for point in ("q", "k", "rot_q", "rot_k"):
            full = points.full_name(point, 0)
            rows = out[full].reshape(len(tokens), -1)
            out[f"mistaken/{full}/engine_order"] = to_gguf.rotation_order(rows.T, out[full].shape[1]).T
    first, last = ".0.", f".{reader.n_layers - 1}."
    for point in seen:
        if point.startswith("blocks.") and not (first in point or last in point):
            continue
        edited = reader.edit(tokens, point)[-1].numpy()
        effect = relative_error(edited, plain[-1])
        if not effect > LEAST_EFFECT:
            raise SystemExit(f"{name}: an edit at {point} moves the logits by {effect:.2g} only")
        out[f"edited/{point}"] = edited
    save_file({point: np.ascontiguousarray(array) for point, array in out.items()}, folder / "numbers.safetensors")


def main(names):
    logging.disable_progress_bar()
    for name in names or architectures.CONFIGS:
        folder = FOLDER / name
        if folder.exists():
            shutil.rmtree(folder)
        make_model(name, folder)
        numbers(name, folder)
        for file in folder.iterdir():
            file.chmod(0o644)
        sizes = ", ".join(f"{file.name} {file.stat().st_size}" for file in sorted(folder.iterdir()))
        print(f"{name}: {sizes}")


if __name__ == "__main__":
    main(sys.argv[1:])
