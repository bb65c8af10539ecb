"""What transformers computes for a default model with the weights of its very GGUF, dequantised to f32:
    "$(scripts/setup-python.sh | tail -n 1)"/bin/python tests/reference/real.py smollm2 SMOLLM2.gguf gemma3 GEMMA3.gguf

The engine rounds the inputs of its quantised products, so it comes near these numbers and no nearer. real/MODEL.safetensors holds, for one sentence:
    text, metadata              the sentence, to be tokenised by the model's own tokenizer
    tokens                      i32 [n], as transformers' tokenizer has them
    NAME                        f32 [n, KEPT_CHANNELS + 3] of a hook point: the channels listed in
    NAME/channels               i32, the three with the largest values first (a few channels of a residual stream can drown all others)
    logits/channels             as above, the tokens most likely at the end first
"""

import pathlib
import re
import sys

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig, LlamaConfig
from transformers.utils import logging

import points
import to_gguf

FOLDER = pathlib.Path(__file__).parent / "real"
TEXT = "The Golden Gate Bridge is located in the city of San Francisco."
KEPT_CHANNELS = 128
LARGEST = 3
POINTS = {"smollm2": (0, 14, 29), "gemma3": (0, 8, 17)}


def value(reader, key):
    return reader.fields[key].contents()


def llama_config(reader):
    return LlamaConfig(
        vocab_size=value(reader, "llama.vocab_size"),
        hidden_size=value(reader, "llama.embedding_length"),
        num_hidden_layers=value(reader, "llama.block_count"),
        intermediate_size=value(reader, "llama.feed_forward_length"),
        num_attention_heads=value(reader, "llama.attention.head_count"),
        num_key_value_heads=value(reader, "llama.attention.head_count_kv"),
        rms_norm_eps=value(reader, "llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": value(reader, "llama.rope.freq_base")},
        tie_word_embeddings=True,
    )


def gemma3_config(reader):
    head = value(reader, "gemma3.attention.key_length")
    return Gemma3TextConfig(
        vocab_size=len(value(reader, "tokenizer.ggml.tokens")),
        hidden_size=value(reader, "gemma3.embedding_length"),
        head_dim=head,
        num_hidden_layers=value(reader, "gemma3.block_count"),
        intermediate_size=value(reader, "gemma3.feed_forward_length"),
        num_attention_heads=value(reader, "gemma3.attention.head_count"),
        num_key_value_heads=value(reader, "gemma3.attention.head_count_kv"),
        rms_norm_eps=value(reader, "gemma3.attention.layer_norm_rms_epsilon"),
        sliding_window=value(reader, "gemma3.attention.sliding_window"),
        query_pre_attn_scalar=head,
        tie_word_embeddings=True,
        sliding_window_pattern=6,
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "default", "rope_theta": value(reader, "gemma3.rope.freq_base")},
        },
    )


def neighbours_apart(array, heads):
    """to_gguf.rotation_order undone."""
    return array.reshape(heads, array.shape[0] // heads // 2, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def load(name, path):
    reader = gguf.GGUFReader(path)
    architecture = value(reader, "general.architecture")
    config = llama_config(reader) if architecture == "llama" else gemma3_config(reader)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            layer = re.search(r"\.(\d+)\.", parameter_name)
            key = parameter_name.replace(layer.group(0), ".{}.") if layer else parameter_name
            tensor = stored.pop(to_gguf.NAMES[architecture][key].format(layer.group(1) if layer else ""))
            array = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            if architecture == "llama" and parameter_name.endswith("q_proj.weight"):
                array = neighbours_apart(array, config.num_attention_heads)
            elif architecture == "llama" and parameter_name.endswith("k_proj.weight"):
                array = neighbours_apart(array, config.num_key_value_heads)
            elif architecture == "gemma3" and parameter_name.endswith("norm.weight"):
                array = array - np.float32(1)
            parameter.copy_(torch.from_numpy(np.array(array)).reshape(parameter.shape))
    if stored:
        raise SystemExit(f"{path}: tensors that the transformers model has not: {sorted(stored)}")
    return model.eval(), architecture


def numbers(name, path):
    path = pathlib.Path(path)
    model, architecture = load(name, path)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokens = tokenizer(TEXT).input_ids
    seen, _ = points.Points(model, architecture).read(tokens)
    random = np.random.Generator(np.random.PCG64(0))
    out = {"tokens": np.array(tokens, dtype=np.int32)}
    wanted = [points.full_name("resid_post", layer) for layer in POINTS[name]] + [
        points.full_name("mlp_out", POINTS[name][1]),
        "logits",
    ]
    for point in wanted:
        rows = seen[point].numpy()
        order = np.argsort(-rows[-1] if point == "logits" else -np.abs(rows).max(axis=0))
        channels = np.concatenate(
            [order[:LARGEST], np.sort(random.choice(order[LARGEST:], KEPT_CHANNELS, replace=False))]
        )
        out[point] = np.ascontiguousarray(rows[:, channels])
        out[f"{point}/channels"] = channels.astype(np.int32)
    FOLDER.mkdir(exist_ok=True)
    save_file(out, FOLDER / f"{name}.safetensors", metadata={"text": TEXT})
    (FOLDER / f"{name}.safetensors").chmod(0o644)
    last = seen["logits"][-1]
    print(name, len(tokens), "tokens; likeliest after the sentence:", repr(tokenizer.decode([int(last.argmax())])))


def main(arguments):
    logging.disable_progress_bar()
    for name, path in zip(arguments[::2], arguments[1::2], strict=True):
        numbers(name, path)


if __name__ == "__main__":
    main(sys.argv[1:])
