#!/usr/bin/env python3
"""Every benchmark, Fathom beside its peers in the same run; `make bench` calls it with the peers' Python.

    bench/run.sh [--only PART] [--corpus FILE…] [--json OUT]

Fathom is measured before and after its peers, so that a machine that slows down shows. Tables go to the terminal, all numbers into the
JSON file, where a part that is run alone replaces only its own.
"""
import argparse
import json
import os
import pathlib
import platform
import sys
import time

import common
import end_to_end
import generate
import harvest
import machine
import quality
import serve
import train
import write

PARTS = {
    "machine": machine.run,
    "train": train.run,
    "harvest": harvest.run,
    "end_to_end": end_to_end.run,
    "generate": generate.run,
    "write": write.run,
    "serve": serve.run,
    "quality": quality.run,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fathom", required=True, help="the command that is measured")
    parser.add_argument("--llama-bench", required=True, help="the engine's own benchmark")
    parser.add_argument("--only", help=f"parts with commas between them: {', '.join(PARTS)} (all)")
    parser.add_argument("--model", default="smollm2", help="a model of the llama architecture (smollm2)")
    parser.add_argument("--hook", default="resid_post.11")
    parser.add_argument("--corpus", nargs="+", default=[], help="text or JSONL files (what the model writes itself)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    parser.add_argument("--work", type=pathlib.Path, default=common.ROOT / "build" / "bench-work")
    parser.add_argument("--json", type=pathlib.Path, default=common.ROOT / "build" / "bench.json")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes, to try the scripts")
    arguments = parser.parse_args()
    names = arguments.only.split(",") if arguments.only else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"--only {unknown[0]}: one of {', '.join(PARTS)} is expected")
    if "train" in names and "machine" not in names:
        names.insert(0, "machine")  # whose rates the floors of a step are reckoned with
    arguments.work.mkdir(parents=True, exist_ok=True)
    setting = common.Setting(
        fathom=arguments.fathom,
        llama_bench=arguments.llama_bench,
        model=arguments.model,
        hook=arguments.hook,
        corpus=arguments.corpus,
        threads=arguments.threads,
        work=arguments.work,
        quick=arguments.quick,
    )
    results = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    failed = False
    for name in names:
        print(f"## {name}\n", flush=True)
        begin = time.time()
        try:
            part = PARTS[name](setting, results)
        except common.Failed as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            failed = True
            continue
        results[name] = dict(part, began=round(begin), seconds=round(time.time() - begin, 1), processor=platform.processor())
        partial = arguments.json.with_suffix(".json.part")
        partial.write_text(json.dumps(results, indent=1) + "\n")
        partial.replace(arguments.json)
    return failed


if __name__ == "__main__":
    sys.exit(main())
