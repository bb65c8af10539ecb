"""Text to activations: Fathom's harvest beside transformers and TransformerLens, bf16, stopping after the layer."""

import common

# model of Fathom, shape of the peer's, layer, peers
SETTINGS = [
    ("smollm2", "smollm2", 11, ["transformers", "transformer_lens"]),
    ("smollm2", "smollm2", 15, ["transformers", "transformer_lens"]),
    ("gemma3", "gemma3", 11, ["transformers"]),
]
FATHOM_TOKENS = 49152
PEER_TOKENS = 12288


def one(setting, model, shape, layer, peers):
    def ours():
        tokens = 4096 if setting.quick else FATHOM_TOKENS
        return common.fathom(setting, "bench", "harvest", "-m", model, "--hook", f"resid_post.{layer}",
                             "--threads", setting.threads, "--tokens", tokens)

    tokens = 2048 if setting.quick else PEER_TOKENS
    before = ours()
    found = {
        name: common.peer("harvest_peer.py", "--library", name, "--shape", shape, "--layer", layer, "--threads",
                          setting.threads, "--tokens", tokens, threads=setting.threads)
        for name in peers
    }
    return {"model": model, "layer": layer, "before": before, "peers": found, "after": ours()}


def run(setting, results):
    known = SETTINGS[:1] if setting.quick else SETTINGS
    found = [one(setting, *each) for each in known]
    lines = []
    for f in found:
        slower = min(f["before"]["tokens_per_second"], f["after"]["tokens_per_second"])
        cells = [f"{f['model']}, resid_post.{f['layer']}"]
        cells.append(f"{common.rate(f['before']['tokens_per_second'])} and {common.rate(f['after']['tokens_per_second'])}")
        for name in ("transformers", "transformer_lens"):
            rate = f["peers"].get(name, {}).get("tokens_per_second")
            cells.append(f"{common.rate(rate)} ({common.times(slower, rate)})" if rate else "")
        lines.append(cells)
    common.table(["model, hook point", "Fathom, tokens/s", "transformers", "TransformerLens"], lines)
    return {"settings": found}
