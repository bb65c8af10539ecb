"""Reads what `fathom eval --saebench FOLDER` wrote by SAEBench's own classes, out of a checkout of SAEBench 0.6:
    "$(scripts/setup-python.sh | tail -n 1)"/bin/python tests/reference/saebench.py CHECKOUT FOLDER
"""

import dataclasses
import importlib
import pathlib
import sys

from pydantic import TypeAdapter

KINDS = {
    "core": "CoreEvalOutput",
    "sparse_probing": "SparseProbingEvalOutput",
    "absorption": "AbsorptionEvalOutput",
}


def main(checkout, folder):
    sys.path.insert(0, checkout)
    read = 0
    for kind, name in KINDS.items():
        output = getattr(importlib.import_module(f"sae_bench.evals.{kind}.eval_output"), name)
        for path in sorted((pathlib.Path(folder) / kind).glob("*_eval_results.json")):
            result = TypeAdapter(output).validate_json(path.read_bytes(), strict=True)
            metrics = dataclasses.asdict(result.eval_result_metrics)
            print(f"{path}: {len(result.eval_result_details)} details; {metrics}")
            read += 1
    return read == 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
