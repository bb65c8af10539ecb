"""What the speed costs: held-out FVE against tokens, Fathom beside SAELens on the same rows in the same order and schedule, by the architectures
that have a given L0."""

import hashlib
import json

import common
import rows

FEATURES, K, BATCH, LEARNING_RATE = 4096, 32, 1024, 4e-4
ROWS, EVALUATE_EVERY = 196608, 20
SEEDS = (1, 2, 3)
ARCHITECTURES = ("topk", "batchtopk", "matryoshka")
PEER_ROWS = "scaled"  # what the peer is given, so that a curve that was kept from other rows is not taken for it


def curve(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def peer_curve(setting, path, arguments):
    """The peer's curve, which takes it minutes: kept, so that a run that was cut short goes on and Fathom can be measured again beside it."""
    key = hashlib.sha256(json.dumps([path.name, arguments, PEER_ROWS]).encode()).hexdigest()[:16]
    kept = setting.work / f"curve-peer-{key}.jsonl"
    if not kept.exists():
        partial = kept.with_suffix(".part")
        common.peer("quality_peer.py", "--rows", path, "--curve", partial, *arguments, threads=setting.threads)
        partial.replace(kept)
    return curve(kept)


def both(setting, path, steps, features, every, architecture, seed):
    arguments = ["--features", features, "--k", K, "--batch", BATCH, "--threads", setting.threads, "--steps", steps,
                 "--evaluate-every", every, "--seed", seed, "--lr", LEARNING_RATE, "--arch", architecture]
    ours = setting.work / "curve-fathom.jsonl"
    common.fathom(setting, "bench", "train", "--data", path, "--curve", ours, *arguments)
    return curve(ours), peer_curve(setting, path, arguments)


def mean(curves, i, key):
    return sum(c[i][key] for c in curves) / len(curves)


def beside(setting, path, steps, features, every, architecture, seeds):
    pairs = [both(setting, path, steps, features, every, architecture, seed) for seed in seeds]
    fathom, peer = [p[0] for p in pairs], [p[1] for p in pairs]
    lines = []
    for i, point in enumerate(fathom[0]):
        ours, theirs = mean(fathom, i, "fve"), mean(peer, i, "fve")
        spread = max(c[i]["fve"] for c in fathom) - min(c[i]["fve"] for c in fathom)
        lines.append([common.rate(point["tokens"]), f"{ours:.4f}", f"{spread:.4f}", f"{mean(fathom, i, 'l0'):.2f}",
                      f"{theirs:.4f}", f"{mean(peer, i, 'l0'):.2f}", f"{100 * (ours - theirs):+.2f} %"])
    print(f"{architecture}, F {features}, k {K}, {steps} batches of {BATCH} rows, {len(seeds)} seeds\n")
    common.table(["tokens", "Fathom FVE", "its spread", "L0", "SAELens FVE", "L0", "difference"], lines)
    return {"fathom": fathom, "peer": peer}


def run(setting, results):
    wanted, features, every = (5 * BATCH, 512, 2) if setting.quick else (ROWS, FEATURES, EVALUATE_EVERY)
    seeds = SEEDS[:1] if setting.quick else SEEDS
    path = rows.real(setting, wanted)
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        batches = file.get_slice("rows").get_shape()[0] // BATCH - 1
    if batches < 1:
        raise common.Failed(f"the corpus gives less than {2 * BATCH} rows; a longer one is expected")
    steps = wanted // BATCH - 1  # with fewer rows they come again
    found = {architecture: beside(setting, path, steps, features, every, architecture, seeds) for architecture in ARCHITECTURES}
    return {"features": features, "k": K, "learning_rate": LEARNING_RATE, "rows": batches * BATCH, "architectures": found}
