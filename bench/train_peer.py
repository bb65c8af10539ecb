#!/usr/bin/env python3
"""How fast a peer trains the dictionary that `fathom bench train` trains; one JSON line with tokens_per_second by peer.

SAELens and dictionary_learning make the steps of their own trainers; plain PyTorch is TopK as the formulas read, with dense gradients.
The first features count as dead in every step where --dead is above 0, so that the auxiliary loss works.
"""
import argparse
import gc
import json
import time

import torch

WARM_STEPS = 1
LONG_AGO = 10**9  # steps or tokens without firing: beyond any threshold


def batches(args):
    if args.rows:
        from safetensors.torch import load_file

        rows = load_file(args.rows)["rows"]
    else:
        rows = torch.randn(4 * args.batch, args.d, generator=torch.Generator().manual_seed(1))
    return [part.clone() for part in rows.split(args.batch)[: WARM_STEPS + args.steps] if len(part) == args.batch]


def saelens(args, name, **options):
    import sae_lens.saes as saes
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    sae = getattr(saes, name)(getattr(saes, name + "Config")(d_in=args.d, d_sae=args.features, **options))
    config = SAETrainerConfig(10**9, args.batch, autocast=args.autocast, lr_end=3e-5)
    trainer = SAETrainer(config, sae, iter(()))

    def step(batch):
        trainer.n_forward_passes_since_fired[: args.n_dead] = LONG_AGO
        trainer.step(batch)

    return step


def dictionary_learning(args):
    from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer

    trainer = BatchTopKTrainer(steps=10**6, activation_dim=args.d, dict_size=args.features, k=args.k, layer=0,
                               lm_name="", seed=1, device="cpu")
    count = 0

    def step(batch):
        nonlocal count
        trainer.num_tokens_since_fired[: args.n_dead] = LONG_AGO
        trainer.update(count, batch)
        count += 1

    return step


def plain(args):
    w_enc = torch.nn.Parameter(torch.randn(args.d, args.features) / args.d**0.5)
    w_dec = torch.nn.Parameter(w_enc.detach().t().clone())
    b_enc, b_dec = torch.nn.Parameter(torch.zeros(args.features)), torch.nn.Parameter(torch.zeros(args.d))
    optimiser = torch.optim.Adam([w_enc, w_dec, b_enc, b_dec], lr=2e-4)

    def sparse(pre, k):
        values, indices = pre.topk(k, dim=1)
        return torch.zeros_like(pre).scatter(1, indices, values.relu())

    def step(batch):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.autocast):
            pre = (batch - b_dec) @ w_enc + b_enc
            error = batch - (sparse(pre, args.k) @ w_dec + b_dec)
            loss = (error**2).sum(1).mean()
            if args.n_dead:
                revived = sparse(pre[:, : args.n_dead], min(args.d // 2, args.n_dead)) @ w_dec[: args.n_dead]
                loss = loss + ((revived - error.detach()) ** 2).sum(1).mean() / 32
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def nested(features):
    return [features * part // 32 for part in (1, 3, 7, 15, 32)]


PEERS = {
    "saelens_topk": lambda a: saelens(a, "TopKTrainingSAE", k=a.k),
    "saelens_batchtopk": lambda a: saelens(a, "BatchTopKTrainingSAE", k=a.k),
    "saelens_jumprelu": lambda a: saelens(a, "JumpReLUTrainingSAE"),
    "saelens_standard": lambda a: saelens(a, "StandardTrainingSAE"),
    "saelens_gated": lambda a: saelens(a, "GatedTrainingSAE"),
    "saelens_matryoshka": lambda a: saelens(
        a, "MatryoshkaBatchTopKTrainingSAE", k=a.k, matryoshka_widths=nested(a.features)
    ),
    "dictionary_learning_batchtopk": dictionary_learning,
    "pytorch_topk": plain,
}


def rate(name, parts, args):
    """Tokens a second of one peer; the ending _bf16 asks for its products in bf16."""
    torch.manual_seed(1)
    args.autocast = name.endswith("_bf16")
    step = PEERS[name.removesuffix("_bf16")](args)
    for i in range(WARM_STEPS):
        step(parts[i % len(parts)])
    begin = time.perf_counter()
    for i in range(args.steps):
        step(parts[(WARM_STEPS + i) % len(parts)])
    return args.steps * args.batch / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help=f"{', '.join(PEERS)}, with commas between them; _bf16 may follow")
    for name, value in (("d", 576), ("features", 16384), ("k", 32), ("batch", 4096), ("threads", 2), ("steps", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--dead", type=float, default=0.0, help="part of the features that counts as dead")
    parser.add_argument("--rows", help="safetensors file with the tensor rows (random rows)")
    args = parser.parse_args()
    args.n_dead = int(args.dead * args.features)
    torch.set_num_threads(args.threads)
    parts = batches(args)
    found = {}
    for name in args.peers.split(","):
        found[name] = rate(name, parts, args)
        gc.collect()
    print(json.dumps({"tokens_per_second": found, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
