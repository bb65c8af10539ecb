"""What the machine can do: the rates that the floors are reckoned with, by the product and the sum that PyTorch has."""

import time

import torch

import common

# A training step's product, and products whose results are small beside what they read, so that the processor and not the memory decides.
PRODUCTS = [(4096, 576, 16384), (2048, 2048, 2048), (1024, 4096, 1024)]
SUM_FLOATS = 1 << 25  # 134 MB an array: no cache holds it
REPEATS = 12


def best(work):
    """Seconds of the fastest repetition: what the machine can do, not what it did while disturbed."""
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def product_rate(shape, dtype):
    n, depth, width = shape
    a, b = torch.randn(n, depth).to(dtype), torch.randn(width, depth).to(dtype)
    return 2.0 * n * depth * width / best(lambda: a @ b.t())


def rates(threads):
    torch.set_num_threads(threads)
    x, y = torch.zeros(SUM_FLOATS), torch.ones(SUM_FLOATS)
    return {
        "product_bf16_flops": max(product_rate(shape, torch.bfloat16) for shape in PRODUCTS),
        "product_f32_flops": max(product_rate(shape, torch.float32) for shape in PRODUCTS),
        "memory_bytes": 3 * 4.0 * SUM_FLOATS / best(lambda: x.add_(y)),
    }


def run(setting, results):
    found = {str(threads): rates(threads) for threads in sorted({1, setting.threads})}
    common.table(
        ["threads", "bf16 product, GFLOP/s", "f32 product, GFLOP/s", "memory, GB/s"],
        [
            [threads, *(common.rate(r[key] / 1e9) for key in ("product_bf16_flops", "product_f32_flops", "memory_bytes"))]
            for threads, r in found.items()
        ],
    )
    return {"rates": found}
