"""Random weights, the same on every machine: each tensor is drawn from its own name, rounded to bf16 and kept as f32.

Gains are not ones and biases not zeros, so that a point taken on the wrong side of either shows. Rounding makes the bf16 form of a model lossless.
"""

import zlib

import numpy as np
import torch

GAIN_SPREAD = 0.3
BIAS_SPREAD = 0.2
EMBEDDING_SPREAD = 1.0
SCALED_EMBEDDING_SPREAD = 0.4  # Gemma multiplies by sqrt(d_model)
POSITION_SPREAD = 0.5
QUERY_SPREAD = 2.0  # attention that looks somewhere


def spread_and_mean(module, name, parameter):
    kind = type(module).__name__
    if "Norm" in kind:
        if name.endswith("bias"):
            return BIAS_SPREAD, 0.0
        return GAIN_SPREAD, 0.0 if "Gemma" in kind else 1.0  # Gemma stores what is added to one
    if name.endswith("bias"):
        return BIAS_SPREAD, 0.0
    if "Embedding" in kind:
        if "wpe" in name:
            return POSITION_SPREAD, 0.0
        return (SCALED_EMBEDDING_SPREAD if "Scaled" in kind else EMBEDDING_SPREAD), 0.0
    inputs = parameter.shape[0] if kind == "Conv1D" else parameter.shape[1]
    gain = QUERY_SPREAD if any(part in name for part in ("q_proj", "qkv", "c_attn", "query_key_value")) else 1.0
    return gain / inputs**0.5, 0.0


def fill(model, model_name):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            module = model.get_submodule(name.rpartition(".")[0])
            spread, mean = spread_and_mean(module, name, parameter)
            random = np.random.Generator(np.random.PCG64(zlib.crc32(f"{model_name}/{name}".encode())))
            drawn = mean + spread * random.standard_normal(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(drawn.astype(np.float32)).bfloat16().float())


def tokens(model_name, vocabulary, count):
    random = np.random.Generator(np.random.PCG64(zlib.crc32(f"{model_name}/tokens".encode())))
    return random.choice(np.arange(3, vocabulary), size=count, replace=False).astype(np.int32)
