"""Reading a prompt and writing after it: plain, tapped and steered, beside the engine's own benchmark of the same sizes,
without flash attention, as writing goes, and with it."""

import json

import common

PROMPT, TOKENS = 256, 128
KINDS = ("plain", "tapped", "steered")


def engine(setting, path, runs, flash):
    """The engine's own rates: a prompt into the empty context, and tokens after as long a prompt."""
    sizes = {
        "prompt_tokens_per_second": ["-p", PROMPT, "-n", 0],
        "tokens_per_second": ["-p", 0, "-n", TOKENS, "-d", PROMPT],
    }
    return {
        key: json.loads(common.run([setting.llama_bench, "-m", path, *size, "-fa", int(flash), "-t", setting.threads,
                                    "-r", runs, "-o", "json"]))[0]["avg_ts"]
        for key, size in sizes.items()
    }


def compare(setting, path, flash):
    runs = 1 if setting.quick else 3
    options = ["--flash-attention"] if flash else []

    def ours():
        return common.fathom(setting, "bench", "generate", "-m", path, "--hook", setting.hook, "--prompt", PROMPT,
                             "--tokens", TOKENS, "--runs", runs, "--threads", setting.threads, *options)

    before = ours()
    peer = engine(setting, path, runs, flash)
    return {"before": before, "llama_bench": peer, "after": ours()}


def show(result, name):
    peer = result["llama_bench"]
    lines = []
    for kind in KINDS:
        slower = {key: min(result["before"][kind][key], result["after"][kind][key]) for key in result["before"][kind]}
        lines.append([
            f"Fathom {kind}",
            common.rate(slower["prompt_tokens_per_second"]),
            common.times(slower["prompt_tokens_per_second"], peer["prompt_tokens_per_second"]),
            f"{slower['tokens_per_second']:.1f}",
            common.times(slower["tokens_per_second"], peer["tokens_per_second"]),
        ])
    lines.append(["llama-bench", common.rate(peer["prompt_tokens_per_second"]), "", f"{peer['tokens_per_second']:.1f}", ""])
    common.table([name, f"prompt of {PROMPT}, tokens/s", "", f"{TOKENS} tokens after it, tokens/s", ""], lines)


def run(setting, results):
    path = common.model_path(setting)
    found = {}
    for flash, name in ((False, "without flash attention"), (True, "with flash attention")):
        found[name.replace(" ", "_")] = compare(setting, path, flash)
        show(found[name.replace(" ", "_")], name)
    return found
