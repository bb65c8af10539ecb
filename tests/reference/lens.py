"""Whether the points have TransformerLens's names:  "$(scripts/setup-python.sh | tail -n 1)"/bin/python tests/reference/lens.py

Reads every tiny model by TransformerLens's own bridge and prints, for each of our points that it has under the same name, the relative error against
numbers.safetensors. One difference is known: with QK norms TransformerLens's hook_q and hook_k lie before the norm, Fathom's after it.
"""

import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

import architectures
import make

TOLERANCE = 1e-5


def no_words(folder):
    """A tokenizer that the bridge asks for, and opens again from a folder, and nothing uses."""
    words = Tokenizer(WordLevel({"<s>": 0}, unk_token="<s>"))
    special = {f"{kind}_token": "<s>" for kind in ("bos", "eos", "pad", "unk")}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def compare(name, tokenizer):
    folder = make.FOLDER / name
    numbers = load_file(folder / "numbers.safetensors")
    bridge = TransformerBridge.boot_transformers(
        str(folder), hf_model=make.load(folder), tokenizer=tokenizer, dtype=torch.float32
    )
    _, cache = bridge.run_with_cache(torch.from_numpy(numbers["tokens"]).long().unsqueeze(0))
    same, other, absent = 0, [], []
    for point, ours in numbers.items():
        if "/" in point or point == "tokens":
            continue
        if point not in cache:
            absent.append(point)
            continue
        theirs = cache[point][0].float().numpy()
        if point.endswith(("hook_attn_scores", "hook_pattern")):
            theirs = theirs.transpose(1, 0, 2)  # TransformerLens has heads first
        theirs = np.where(theirs < -1e30, -np.inf, theirs.reshape(ours.shape))
        error = make.relative_error(theirs, ours)
        same += error <= TOLERANCE
        if not error <= TOLERANCE:
            other.append(f"{point} {error:.1g}")
    print(f"{name}: {same} points agree; others: {other or 'none'}; not in TransformerLens: {sorted(absent) or 'none'}")


if __name__ == "__main__":
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        for model in architectures.CONFIGS:
            compare(model, no_words(folder))
