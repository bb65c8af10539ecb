"""How fast a model writes its own corpus: documents in parallel, filtered; only the tokens that are kept count."""

import common


def run(setting, results):
    path, counts = common.own_corpus(setting, again=True)
    rate = counts["tokens"] / counts["seconds"]
    dropped = sum(counts["dropped"].values())
    common.table(
        ["tokens kept", "documents", "dropped", "seconds", "tokens/s"],
        [[common.rate(counts["tokens"]), counts["documents"], dropped, f"{counts['seconds']:.1f}", common.rate(rate)]],
    )
    return dict(counts, path=path.name, tokens_per_second=rate)
