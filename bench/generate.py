"""Reading a prompt and writing after it: plain, tapped and steered, beside the engine's own benchmark of the same sizes."""

import json

import common

PROMPT, TOKENS = 256, 128


def engine(setting, path, runs):
    out = common.run([setting.llama_bench, "-m", path, "-p", PROMPT, "-n", TOKENS, "-t", setting.threads, "-r", runs, "-o", "json"])
    found = {}
    for line in json.loads(out):
        found["prompt_tokens_per_second" if line["n_prompt"] else "tokens_per_second"] = line["avg_ts"]
    return found


def run(setting, results):
    path = common.model_path(setting)
    runs = 1 if setting.quick else 3

    def ours():
        return common.fathom(setting, "bench", "generate", "-m", path, "--hook", setting.hook, "--prompt", PROMPT,
                             "--tokens", TOKENS, "--runs", runs, "--threads", setting.threads)

    before = ours()
    peer = engine(setting, path, runs)
    after = ours()
    lines = []
    for kind in ("plain", "tapped", "steered"):
        slower = {key: min(before[kind][key], after[kind][key]) for key in before[kind]}
        lines.append([
            f"Fathom {kind}",
            common.rate(slower["prompt_tokens_per_second"]),
            common.times(slower["prompt_tokens_per_second"], peer["prompt_tokens_per_second"]),
            f"{slower['tokens_per_second']:.1f}",
            common.times(slower["tokens_per_second"], peer["tokens_per_second"]),
        ])
    lines.append(["llama-bench", common.rate(peer["prompt_tokens_per_second"]), "", f"{peer['tokens_per_second']:.1f}", ""])
    common.table(["", f"prompt of {PROMPT}, tokens/s", "", f"{TOKENS} tokens after it, tokens/s", ""], lines)
    return {"before": before, "llama_bench": peer, "after": after}
