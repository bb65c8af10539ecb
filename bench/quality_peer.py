#!/usr/bin/env python3
"""An SAE of SAELens trained on the rows of a file: a curve as JSON lines, like that of `fathom bench train --curve`.

The last batch of the file is kept aside; the schedule is Fathom's: a twentieth of the steps to warm up, the last fifth to decay,
and a feature is dead after an eighth of them without firing.
"""
import argparse
import itertools
import json

import torch
from safetensors.torch import load_file

import train_peer


def evaluate(sae, rows):
    with torch.no_grad():
        features = sae.encode(rows)
        error = (rows - sae.decode(features)).double().square().sum()
        spread = (rows - rows.mean(0)).double().square().sum()
        return 1 - (error / spread).item(), (features > 0).sum(1).double().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--curve", required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--arch", choices=("topk", "batchtopk", "matryoshka"), required=True)
    for name in ("features", "k", "batch", "threads", "steps", "evaluate-every", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    from sae_lens.config import SAETrainerConfig
    from sae_lens import saes
    from sae_lens.training.sae_trainer import SAETrainer

    rows = load_file(args.rows)["rows"]
    rows *= rows.shape[1] ** 0.5 / rows.norm(dim=1).mean()  # as SAELens's own store does (expected_average_only_in), and Fathom's trainer
    n = len(rows) // args.batch - 1
    held_out = rows[n * args.batch : (n + 1) * args.batch]
    batches = itertools.cycle(range(n))
    name = {"topk": "TopKTrainingSAE", "batchtopk": "BatchTopKTrainingSAE", "matryoshka": "MatryoshkaBatchTopKTrainingSAE"}[args.arch]
    nested = {"matryoshka_widths": train_peer.nested(args.features)} if args.arch == "matryoshka" else {}
    sae = getattr(saes, name)(getattr(saes, f"{name}Config")(d_in=rows.shape[1], d_sae=args.features, k=args.k, **nested))
    config = SAETrainerConfig(args.steps * args.batch, args.batch, lr=args.lr, lr_end=args.lr, lr_warm_up_steps=max(1, args.steps // 20),
                              lr_decay_steps=args.steps // 5, dead_feature_window=max(1, args.steps // 8))
    trainer = SAETrainer(config, sae, iter(()))
    with open(args.curve, "w") as curve:
        for step in range(1, args.steps + 1):
            at = next(batches) * args.batch
            trainer.step(rows[at : at + args.batch])
            trainer.n_training_steps += 1
            if step % args.evaluate_every == 0 or step == args.steps:
                fve, l0 = evaluate(sae, held_out)
                curve.write(json.dumps({"tokens": step * args.batch, "fve": fve, "l0": l0}) + "\n")
    print(json.dumps({"fve": fve, "l0": l0}))


if __name__ == "__main__":
    main()
