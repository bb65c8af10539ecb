#!/usr/bin/env python3
"""How fast the peers train the dictionary that `fathom bench train` trains: SAELens by its own trainer's step, and plain PyTorch in bf16.

    bench/train_peer.py --d 576 --features 16384 --k 32 --batch 4096 --threads 2 --steps 3
"""
import argparse
import json
import time

import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer


def rows(args):
    """The same random rows again and again: making them costs no peer anything."""
    generator = torch.Generator().manual_seed(1)
    block = torch.randn(args.batch, args.d, generator=generator)
    while True:
        yield block


def timed(step, args):
    step()
    begin = time.perf_counter()
    for _ in range(args.steps):
        step()
    return args.steps * args.batch / (time.perf_counter() - begin)


def saelens(config, sae_class, args):
    sae = sae_class(config)
    trainer = SAETrainer(SAETrainerConfig(total_training_samples=10**9, train_batch_size_samples=args.batch, lr_end=3e-5), sae, rows(args))
    batch = next(rows(args))
    return timed(lambda: trainer._train_step(sae=sae, sae_in=batch), args)


def plain(args, dtype):
    """TopK with dense gradients, the way the formulas read, under autocast."""
    w_enc = torch.nn.Parameter(torch.randn(args.d, args.features) / args.d**0.5)
    w_dec = torch.nn.Parameter(w_enc.detach().t().clone())
    b_enc, b_dec = torch.nn.Parameter(torch.zeros(args.features)), torch.nn.Parameter(torch.zeros(args.d))
    optimiser = torch.optim.Adam([w_enc, w_dec, b_enc, b_dec], lr=2e-4)
    batch = next(rows(args))

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            pre = (batch - b_dec) @ w_enc + b_enc
            values, indices = pre.topk(args.k, dim=1)
            features = torch.zeros_like(pre).scatter(1, indices, values.relu())
            loss = ((features @ w_dec + b_dec - batch) ** 2).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return timed(step, args)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("d", 576), ("features", 16384), ("k", 32), ("batch", 4096), ("threads", 2), ("steps", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shape = {"d_in": args.d, "d_sae": args.features}
    print(json.dumps({
        "saelens_topk": saelens(TopKTrainingSAEConfig(k=args.k, **shape), TopKTrainingSAE, args),
        "saelens_batchtopk": saelens(BatchTopKTrainingSAEConfig(k=args.k, **shape), BatchTopKTrainingSAE, args),
        "pytorch_topk_bf16": plain(args, "bf16"),
        "torch": torch.__version__,
        "unit": "tokens per second",
    }))


if __name__ == "__main__":
    main()
