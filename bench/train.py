"""Training steps: every architecture that Fathom trains beside its peers, several widths and threads, random and real rows."""

import common
import rows

D, K, BATCH = 576, 32, 4096

# Fathom's architecture: its peers by the names of train_peer.py
ARCHITECTURES = {
    "topk": ["saelens_topk", "saelens_topk_bf16", "pytorch_topk", "pytorch_topk_bf16"],
    "batchtopk": ["saelens_batchtopk", "dictionary_learning_batchtopk"],
    "matryoshka": ["saelens_matryoshka"],
    "jumprelu": ["saelens_jumprelu"],
    "standard": ["saelens_standard"],
    "gated": ["saelens_gated"],
}
MAIN = list(ARCHITECTURES)
FIRST = ["topk", "batchtopk"]
SIDE = ["saelens_topk_bf16", "pytorch_topk"]  # only beside the widths and threads that the others are compared at

# What is measured: features, threads (None: as many as were asked for), real rows with a fifth of the features dead, architectures
SETTINGS = [
    (16384, None, False, MAIN),
    (16384, None, True, MAIN),
    (4096, None, True, FIRST),
    (65536, None, True, FIRST),
    (16384, 1, True, FIRST),
]
QUICK = [(1024, None, False, MAIN), (1024, None, True, FIRST)]
DEAD = 0.2
REAL_ROWS = 32768
FATHOM_STEPS = 12
FEW_FATHOM_STEPS = 6
WIDE = 65536  # from here on fewer steps tell as much
LONG = 16384  # the same for the peers

FLOATS_A_ROW = 2 * 3  # encoder and decoder row, each with Adam's two moments


def shape(features, threads, real):
    out = ["--d", D, "--features", features, "--k", K, "--batch", BATCH, "--threads", threads]
    return out + (["--dead", DEAD] if real else [])


def ours(setting, architecture, features, arguments, path):
    data = ["--data", path] if path else []
    steps = 2 if setting.quick else FEW_FATHOM_STEPS if features >= WIDE else FATHOM_STEPS
    return common.fathom(setting, "bench", "train", "--arch", architecture, *arguments, *data, "--steps", steps)


def theirs(names, arguments, path, steps, threads):
    rows_of = ["--rows", path] if path else []
    return common.peer("train_peer.py", "--peers", ",".join(names), *arguments, *rows_of, "--steps", steps, threads=threads)


def floor(result, rates):
    """Milliseconds that a step takes at least on this machine: its one dense product, and the optimiser's memory traffic."""
    product = 2.0 * BATCH * D * result["features"] / rates["product_bf16_flops"]
    updated = result["active_features"] * FLOATS_A_ROW * D * 4 * 2
    return 1e3 * product, 1e3 * updated / rates["memory_bytes"]


def parts_table(found, rates):
    names = list(found[0]["parts"])
    header = ["ms a step", *[f"{r['architecture']} {r['features']}" for r in found]]
    lines = [[name, *(f"{r['parts'][name]:.1f}" for r in found)] for name in names]
    lines.append(["whole step", *(f"{r['milliseconds_per_step']:.1f}" for r in found)])
    floors = [floor(r, rates[str(r["threads"])]) for r in found]
    lines.append(["floor: encoder's product", *(f"{f[0]:.1f}" for f in floors)])
    lines.append(["floor: optimiser's traffic", *(f"{f[1]:.1f}" for f in floors)])
    common.table(header, lines)


def one(setting, features, threads, real, architectures):
    threads = threads or setting.threads
    path = rows.real(setting, 2 * BATCH + BATCH if setting.quick else REAL_ROWS) if real else None
    arguments = shape(features, threads, real)
    before = {a: ours(setting, a, features, arguments, path) for a in architectures}
    names = [name for a in architectures for name in ARCHITECTURES[a] if architectures == MAIN or name not in SIDE]
    steps = 1 if features >= LONG or setting.quick else 3
    peers = theirs(names, arguments, path, steps, threads)
    after = {a: ours(setting, a, features, arguments, path) for a in architectures}
    lines = []
    for a in architectures:
        first, second = before[a]["tokens_per_second"], after[a]["tokens_per_second"]
        lines.append([f"Fathom {a}", f"{common.rate(first)} and {common.rate(second)}", ""])
        for name in ARCHITECTURES[a]:
            if name in names:
                found = peers["tokens_per_second"][name]
                lines.append([name, common.rate(found), common.times(min(first, second), found)])
    kind = f"real rows, {DEAD:.0%} of the features dead, auxiliary loss on" if real else "random rows"
    print(f"F {features}, {threads} threads, {kind}\n")
    common.table(["", "tokens/s", "Fathom's slower run is"], lines)
    return {"features": features, "threads": threads, "real": real, "before": before, "after": after, "peers": peers}


def run(setting, results):
    found = [one(setting, *each) for each in (QUICK if setting.quick else SETTINGS)]
    print("Where a step's time goes, and the least that it takes at this machine's measured rates\n")
    for group in found:
        print(f"F {group['features']}, {group['threads']} threads, {'real' if group['real'] else 'random'} rows\n")
        parts_table(list(group["after"].values()), results["machine"]["rates"])
    weighed = []
    for features in sorted({group["features"] for group in found}):
        for architecture, dead in [("topk", False), *((a, True) for a in MAIN)]:
            result = ours(setting, architecture, features, shape(features, setting.threads, dead), None)
            weighed.append({"architecture": architecture, "features": features, "dead": dead, "parts": result["memory"],
                            "resident": result.get("trainer_bytes")})  # fmt: skip
    print("Memory of the trainer: weights and two moments, and how many times that everything comes to\n")
    lines = []
    for w in weighed:
        stored, everything, resident = w["parts"]["parameters"], sum(w["parts"].values()), w["resident"]
        lines.append([w["architecture"], w["features"], f"{DEAD:.0%}" if w["dead"] else "none", common.rate(stored / 1e6), common.rate(everything / 1e6),
                      f"{everything / stored:.2f} ×", common.rate(resident / 1e6 if resident else None)])
    common.table(["", "features", "dead", "weights and moments, MB", "trainer, MB", "", "resident at its peak, MB"], lines)
    return {"settings": found, "memory": weighed}
