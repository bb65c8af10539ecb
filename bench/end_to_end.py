"""From text to dictionary, harvest and TopK training together: `fathom train` beside SAELens's own runner on the same model and text."""

import time

import common

FEATURES, K, CONTEXT = 16384, 32, 256
TOKENS, PEER_TOKENS = 131072, 40960
HELD_OUT = 4096


def ours(setting, tokens, features):
    path = setting.work / "end-to-end.gguf"
    corpus = [f"{name}=1*" for name in setting.corpus_or_own()]  # * begins again where the text ends
    begin = time.perf_counter()
    result = common.fathom(setting, "train", "-m", setting.model, "--hook", setting.hook, "--arch", "topk", "--features",
                           features, "--k", K, "--context", CONTEXT, "--tokens", tokens, "--held-out", HELD_OUT, "--shuffle",
                           16384, "--threads", setting.threads, "--corpus", *corpus, "-o", path)["dictionaries"][0]
    seconds = time.perf_counter() - begin
    path.unlink()
    return {"tokens": result["tokens"], "seconds": seconds, "tokens_per_second": result["tokens"] / seconds, "fve": result["fve"]}


def run(setting, results):
    features, tokens, peer_tokens = (1024, 8192, 8192) if setting.quick else (FEATURES, TOKENS, PEER_TOKENS)
    path = common.model_path(setting)
    layer = setting.hook.rpartition(".")[2]
    before = ours(setting, tokens, features)
    peer = common.peer("end_to_end_peer.py", "--gguf", path, "--made", setting.work / f"{path.stem}-hf", "--layer", layer,
                       "--features", features, "--k", K, "--context", CONTEXT, "--tokens", peer_tokens, "--threads",
                       setting.threads, "--corpus", *setting.corpus_or_own(), threads=setting.threads)
    after = ours(setting, tokens, features)
    slower = min(before["tokens_per_second"], after["tokens_per_second"])
    common.table(
        ["", "tokens", "tokens/s", "Fathom's slower run is"],
        [
            ["fathom train, from its start to its end", common.rate(before["tokens"]),
             f"{common.rate(before['tokens_per_second'])} and {common.rate(after['tokens_per_second'])}", ""],
            ["SAELens LanguageModelSAETrainingRunner.run", common.rate(peer["tokens"]), common.rate(peer["tokens_per_second"]),
             common.times(slower, peer["tokens_per_second"])],
        ],
    )
    return {"before": before, "peer": peer, "after": after}
