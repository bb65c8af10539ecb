"""Writes a tiny transformers model as GGUF in F32, with a tokenizer that the engine accepts for the architecture."""

import re

import gguf
import numpy as np

import architectures

# transformers' parameter names to the engine's; {} is the layer.
LLAMA_LIKE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "model.layers.{}.input_layernorm.weight": "blk.{}.attn_norm.weight",
    "model.layers.{}.post_attention_layernorm.weight": "blk.{}.ffn_norm.weight",
    "model.layers.{}.self_attn.q_proj.weight": "blk.{}.attn_q.weight",
    "model.layers.{}.self_attn.k_proj.weight": "blk.{}.attn_k.weight",
    "model.layers.{}.self_attn.v_proj.weight": "blk.{}.attn_v.weight",
    "model.layers.{}.self_attn.o_proj.weight": "blk.{}.attn_output.weight",
    "model.layers.{}.self_attn.q_proj.bias": "blk.{}.attn_q.bias",
    "model.layers.{}.self_attn.k_proj.bias": "blk.{}.attn_k.bias",
    "model.layers.{}.self_attn.v_proj.bias": "blk.{}.attn_v.bias",
    "model.layers.{}.self_attn.q_norm.weight": "blk.{}.attn_q_norm.weight",
    "model.layers.{}.self_attn.k_norm.weight": "blk.{}.attn_k_norm.weight",
    "model.layers.{}.self_attn.qkv_proj.weight": "blk.{}.attn_qkv.weight",
    "model.layers.{}.mlp.gate_proj.weight": "blk.{}.ffn_gate.weight",
    "model.layers.{}.mlp.up_proj.weight": "blk.{}.ffn_up.weight",
    "model.layers.{}.mlp.gate_up_proj.weight": "blk.{}.ffn_up.weight",
    "model.layers.{}.mlp.down_proj.weight": "blk.{}.ffn_down.weight",
}
GEMMA_LIKE = dict(
    LLAMA_LIKE,
    **{
        "model.layers.{}.post_attention_layernorm.weight": "blk.{}.post_attention_norm.weight",
        "model.layers.{}.pre_feedforward_layernorm.weight": "blk.{}.ffn_norm.weight",
        "model.layers.{}.post_feedforward_layernorm.weight": "blk.{}.post_ffw_norm.weight",
    },
)
GPT2 = {"transformer.wte.weight": "token_embd.weight", "transformer.wpe.weight": "position_embd.weight"}
NEOX = {
    "gpt_neox.embed_in.weight": "token_embd.weight",
    "lm_head.weight": "output.weight",
    "embed_out.weight": "output.weight",
}
for kind in ("weight", "bias"):
    GPT2 |= {
        f"transformer.ln_f.{kind}": f"output_norm.{kind}",
        f"transformer.h.{{}}.ln_1.{kind}": f"blk.{{}}.attn_norm.{kind}",
        f"transformer.h.{{}}.ln_2.{kind}": f"blk.{{}}.ffn_norm.{kind}",
        f"transformer.h.{{}}.attn.c_attn.{kind}": f"blk.{{}}.attn_qkv.{kind}",
        f"transformer.h.{{}}.attn.c_proj.{kind}": f"blk.{{}}.attn_output.{kind}",
        f"transformer.h.{{}}.mlp.c_fc.{kind}": f"blk.{{}}.ffn_up.{kind}",
        f"transformer.h.{{}}.mlp.c_proj.{kind}": f"blk.{{}}.ffn_down.{kind}",
    }
    NEOX |= {
        f"gpt_neox.final_layer_norm.{kind}": f"output_norm.{kind}",
        f"gpt_neox.layers.{{}}.input_layernorm.{kind}": f"blk.{{}}.attn_norm.{kind}",
        f"gpt_neox.layers.{{}}.post_attention_layernorm.{kind}": f"blk.{{}}.ffn_norm.{kind}",
        f"gpt_neox.layers.{{}}.attention.query_key_value.{kind}": f"blk.{{}}.attn_qkv.{kind}",
        f"gpt_neox.layers.{{}}.attention.dense.{kind}": f"blk.{{}}.attn_output.{kind}",
        f"gpt_neox.layers.{{}}.mlp.dense_h_to_4h.{kind}": f"blk.{{}}.ffn_up.{kind}",
        f"gpt_neox.layers.{{}}.mlp.dense_4h_to_h.{kind}": f"blk.{{}}.ffn_down.{kind}",
    }
NAMES = {
    "llama": LLAMA_LIKE,
    "qwen2": LLAMA_LIKE,
    "qwen3": LLAMA_LIKE,
    "phi3": LLAMA_LIKE,
    "gemma2": GEMMA_LIKE,
    "gemma3": GEMMA_LIKE,
    "gpt2": GPT2,
    "gptneox": NEOX,
}

SENTENCEPIECE = {"llama", "gemma2", "gemma3", "phi3"}
LETTERS = [
    "\u2581",
    "e",
    "t",
    "a",
    "o",
    "i",
    "n",
    "s",
    "h",
    "r",
    "d",
    "l",
    "u",
    "\u2581t",
    "he",
    "in",
    "er",
    "\u2581a",
    "\u2581the",
    "re",
]


def rotation_order(array, heads):
    """The engine's llama rotates neighbouring channels, transformers channel i with i + d_head / 2: rows of W_Q and W_K are stored interleaved."""
    return array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def split_heads(array, heads):
    """GPT-NeoX keeps q, k, v of each head together, the engine all q, all k, all v."""
    return array.reshape(heads, 3, array.shape[0] // heads // 3, *array.shape[1:]).swapaxes(0, 1).reshape(array.shape)


def stored(array, name, architecture, config):
    if architecture == "llama" and name.endswith("q_proj.weight"):
        return rotation_order(array, config.num_attention_heads)
    if architecture == "llama" and name.endswith("k_proj.weight"):
        return rotation_order(array, config.num_key_value_heads)
    if architecture == "gptneox" and ".query_key_value." in name:
        return split_heads(array, config.num_attention_heads)
    if architecture in ("gemma2", "gemma3") and name.endswith("norm.weight"):
        return array + np.float32(1)
    if architecture == "gpt2" and array.ndim == 2 and ".h." in name:
        return np.ascontiguousarray(array.T)
    return array


def add_shape(writer, architecture, config):
    writer.add_context_length(architectures.CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(architectures.mlp_width(config))
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(architectures.kv_heads(config))
    writer.add_vocab_size(config.vocab_size)
    if architecture in ("gpt2", "gptneox"):
        writer.add_layer_norm_eps(architectures.EPSILON)
    else:
        writer.add_layer_norm_rms_eps(architectures.EPSILON)
    if architecture in ("qwen3", "gemma2", "gemma3"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if architecture == "gptneox":
        writer.add_parallel_residual(config.use_parallel_residual)
    if architecture == "gemma3":
        writer.add_rope_freq_base(config.rope_parameters[architectures.GLOBAL]["rope_theta"])
        writer.add_rope_freq_base_swa(config.rope_parameters[architectures.LOCAL]["rope_theta"])
        writer.add_sliding_window_pattern([kind == architectures.LOCAL for kind in config.layer_types])
    elif architecture != "gpt2":
        rope = config.rope_parameters
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_rope_dimension_count(int(architectures.head_width(config) * rope.get("partial_rotary_factor", 1.0)))
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if architecture in ("gemma2", "gemma3"):
        writer.add_sliding_window(config.sliding_window)
    if architecture == "phi3":
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_sliding_window(0)


def add_sentencepiece(writer, name, size):
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + LETTERS
    kinds = (
        [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
        + [gguf.TokenType.BYTE] * 256
        + [gguf.TokenType.NORMAL] * len(LETTERS)
    )
    if "phi3" in name:  # the engine looks it up in models whose name says so
        tokens.append("<|endoftext|>")
        kinds.append(gguf.TokenType.CONTROL)
    tokens += [f"<unused{i}>" for i in range(size - len(tokens))]
    kinds += [gguf.TokenType.UNUSED] * (size - len(kinds))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(i) for i in range(size)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)


def byte_letters():
    """The printable letter that byte-level BPE writes for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


def add_byte_pairs(writer, architecture, size):
    space = byte_letters()[ord(" ")]
    merges = [
        (space, "t"),
        ("h", "e"),
        ("i", "n"),
        ("r", "e"),
        (space, "a"),
        ("e", "r"),
        (f"{space}t", "he"),
        ("o", "n"),
    ]
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + byte_letters() + ["".join(pair) for pair in merges]
    kinds = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(tokens) - 3)
    tokens += [f"[PAD{i}]" for i in range(size - len(tokens))]
    kinds += [gguf.TokenType.UNUSED] * (size - len(kinds))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2" if architecture.startswith("qwen") else "gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2 if architecture.startswith("qwen") else 0)
    writer.add_add_bos_token(False)


def write(path, model, name):
    config = model.config
    architecture = architectures.engine_name(name)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"tiny random {name}")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_shape(writer, architecture, config)
    if architecture in SENTENCEPIECE:
        add_sentencepiece(writer, name, config.vocab_size)
    else:
        add_byte_pairs(writer, architecture, config.vocab_size)
    tied = config.tie_word_embeddings
    for parameter_name, parameter in model.state_dict().items():
        if tied and parameter_name == "lm_head.weight":
            continue
        layer = re.search(r"\.(\d+)\.", parameter_name)
        key = parameter_name.replace(layer.group(0), ".{}.") if layer else parameter_name
        array = parameter.float().numpy()
        writer.add_tensor(
            NAMES[architecture][key].format(layer.group(1) if layer else ""),
            stored(array, parameter_name, architecture, config),
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
