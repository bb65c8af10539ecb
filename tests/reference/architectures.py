"""The tiny models: one a supported architecture, and GPT-NeoX once more without its parallel residual.

Sizes are small enough to be committed and odd enough to tell mistakes apart: d_head is not d_model / heads where the architecture allows it, the
sliding windows are shorter than the text, partial rotation leaves channels alone, and the norms' epsilon is large enough to be seen at 1e-3.
"""

from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

VOCABULARY = 288
CONTEXT = 128
N_TOKENS = 12
EPSILON = 1e-2

COMMON = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=64,
    num_attention_heads=4,
    max_position_embeddings=CONTEXT,
    pad_token_id=None,
    attention_dropout=0.0,
)
GROUPED = dict(COMMON, num_key_value_heads=2, rms_norm_eps=EPSILON, bos_token_id=1, eos_token_id=2)
THETA = {"rope_type": "default", "rope_theta": 500.0}
LOCAL, GLOBAL = "sliding_attention", "full_attention"
# The engine scales gemma's scores by d_head (by anything else only at the layer counts of the 27B models), so query_pre_attn_scalar is d_head;
# d_head differs from d_model / heads, which is what it is easily confused with.
GEMMA = dict(
    GROUPED,
    num_hidden_layers=3,
    head_dim=16,
    query_pre_attn_scalar=16,
    sliding_window=5,
    hidden_activation="gelu_pytorch_tanh",
    tie_word_embeddings=True,
)
NEOX = dict(
    COMMON,
    num_hidden_layers=2,
    layer_norm_eps=EPSILON,
    hidden_act="gelu_pytorch_tanh",
    hidden_dropout=0.0,
    bos_token_id=0,
    eos_token_id=0,
    rope_parameters={"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5},
    tie_word_embeddings=False,
)

CONFIGS = {
    "llama": LlamaConfig(**GROUPED, num_hidden_layers=2, rope_parameters=dict(THETA), tie_word_embeddings=False),
    "qwen2": Qwen2Config(
        **GROUPED, num_hidden_layers=2, rope_parameters=dict(THETA), tie_word_embeddings=True, use_sliding_window=False
    ),
    "qwen3": Qwen3Config(
        **GROUPED,
        num_hidden_layers=2,
        head_dim=16,
        rope_parameters=dict(THETA),
        tie_word_embeddings=True,
        use_sliding_window=False,
    ),
    "gemma2": Gemma2Config(
        **GEMMA,
        rope_parameters=dict(THETA),
        layer_types=[LOCAL, GLOBAL, LOCAL],
        attn_logit_softcapping=2.0,
        final_logit_softcapping=5.0,
    ),
    "gemma3": Gemma3TextConfig(
        **GEMMA,
        layer_types=[LOCAL, LOCAL, GLOBAL],
        rope_parameters={
            LOCAL: {"rope_type": "default", "rope_theta": 50.0},
            GLOBAL: {"rope_type": "default", "rope_theta": 5000.0},
        },
    ),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_inner=64,
        n_layer=3,
        n_head=4,
        n_positions=CONTEXT,
        layer_norm_epsilon=EPSILON,
        activation_function="gelu_new",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=True,
    ),
    "gptneox": GPTNeoXConfig(**NEOX, use_parallel_residual=True),
    "gptneox-sequential": GPTNeoXConfig(**NEOX, use_parallel_residual=False),
    "phi3": Phi3Config(
        **GROUPED,
        num_hidden_layers=2,
        tie_word_embeddings=False,
        sliding_window=None,
        original_max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5},
    ),
}
# What the engine calls the architecture; the other names are the same.
ENGINE_NAMES = {"gptneox-sequential": "gptneox"}


def engine_name(name):
    return ENGINE_NAMES.get(name, name)


def width(config):
    return config.hidden_size


def head_width(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def kv_heads(config):
    return getattr(config, "num_key_value_heads", None) or config.num_attention_heads


def mlp_width(config):
    return getattr(config, "n_inner", None) or config.intermediate_size
