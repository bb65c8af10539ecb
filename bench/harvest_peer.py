"""How fast other libraries turn tokens into activations: one JSON line with tokens_per_second.

Models of the default models' shapes with random weights (the time does not depend on the weights), bf16, stopping after the
layer. Run it with the Python of `scripts/setup-python.sh bench`; bench/harvest.py does, beside `fathom bench harvest`.
"""

import argparse
import json
import time

import torch

SHAPES = {
    "smollm2": dict(layers=30, d_model=576, d_mlp=1536, heads=9, heads_kv=3, d_head=64, vocab=49152, base=100000.0),
    "gemma3": dict(layers=18, d_model=640, d_mlp=2048, heads=4, heads_kv=1, d_head=256, vocab=262144, base=1000000.0),
}


def transformers_model(name, layer):
    """The rows come out of the last layer that is kept; no head, no cache."""
    import transformers

    shape = SHAPES[name]
    common = dict(
        vocab_size=shape["vocab"],
        hidden_size=shape["d_model"],
        intermediate_size=shape["d_mlp"],
        num_hidden_layers=layer + 1,
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads_kv"],
        head_dim=shape["d_head"],
        tie_word_embeddings=True,
    )
    if name == "gemma3":
        config = transformers.Gemma3TextConfig(sliding_window=512, **common)
        model = transformers.Gemma3TextModel(config)
    else:
        config = transformers.LlamaConfig(**common)
        model = transformers.LlamaModel(config)
    model = model.to(torch.bfloat16).eval()
    kept = {}
    model.layers[layer].register_forward_hook(
        lambda module, inputs, output: kept.update(rows=output[0] if isinstance(output, tuple) else output)
    )

    def run(tokens):
        model(tokens, use_cache=False)
        return kept["rows"].float()

    return run


def transformer_lens_model(name, layer):
    import transformer_lens

    shape = SHAPES[name]
    if name != "smollm2":
        raise SystemExit("transformer_lens: only the shape of smollm2 is set up")
    config = transformer_lens.HookedTransformerConfig(
        n_layers=shape["layers"],
        d_model=shape["d_model"],
        d_mlp=shape["d_mlp"],
        n_heads=shape["heads"],
        n_key_value_heads=shape["heads_kv"],
        d_head=shape["d_head"],
        d_vocab=shape["vocab"],
        n_ctx=2048,
        act_fn="silu",
        gated_mlp=True,
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_dim=shape["d_head"],
        rotary_base=int(shape["base"]),
        final_rms=True,
        dtype=torch.bfloat16,
        seed=1,
        device="cpu",
    )
    model = transformer_lens.HookedTransformer(config).eval()
    hook = f"blocks.{layer}.hook_resid_post"

    def run(tokens):
        _, cache = model.run_with_cache(tokens, stop_at_layer=layer + 1, names_filter=hook, return_type=None)
        return cache[hook].float()

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=["transformers", "transformer_lens"], default="transformers")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="smollm2")
    parser.add_argument("--layer", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8, help="sequences of one forward pass")
    parser.add_argument("--tokens", type=int, default=16384)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    make = transformers_model if arguments.library == "transformers" else transformer_lens_model
    shape = (arguments.batch, arguments.context)
    with torch.inference_mode():
        run = make(arguments.shape, arguments.layer)
        tokens = torch.randint(0, SHAPES[arguments.shape]["vocab"], shape)
        rows = run(tokens)
        assert rows.shape == (*shape, SHAPES[arguments.shape]["d_model"])
        n = 0
        started = time.perf_counter()
        while n < arguments.tokens:
            run(torch.randint(0, SHAPES[arguments.shape]["vocab"], shape))
            n += arguments.batch * arguments.context
        seconds = time.perf_counter() - started
    print(
        json.dumps(
            dict(
                tokens_per_second=n / seconds,
                library=arguments.library,
                shape=arguments.shape,
                layer=arguments.layer,
                threads=arguments.threads,
                context=arguments.context,
                batch=arguments.batch,
                tokens=n,
                seconds=seconds,
            )
        )
    )


if __name__ == "__main__":
    main()
