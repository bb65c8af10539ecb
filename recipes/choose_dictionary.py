#!/usr/bin/env python3
"""Chooses a dictionary's layer, architecture, width and sparsity by what each is worth, and prints the table.

    recipes/choose_dictionary.py --fathom build/release/fathom --model smollm2 --folder OUT --hooks resid_post.9,resid_post.11 \\
        --features 4096,16384 --k 16,32,64 --tokens 600000 --corpus WIKI-A WIKI-B --held-out HELD-OUT.jsonl \\
        [--labelled share/demo/watch_development.jsonl …] [-- --inputs standardised]

One run of the model trains all combinations on the same rows; what follows "--" goes to `fathom train`. Each is then evaluated as its file is read, on
held-out text, beside the untrained dictionary of its shape; and with --labelled, `fathom watch candidates` says how well its best single feature tells the
texts of each file (balanced accuracy; in brackets what the same search finds on shuffled labels). What is in the folder already is not done again.
"""
import argparse
import json
import pathlib
import subprocess
import sys


def run(command, into):
    """The command's JSON, from `into` where it was written before."""
    if not into.exists():
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command[:3]))}: status {done.returncode}")
        into.write_text(done.stdout)
    return json.loads(into.read_text())


def row(arguments, one):
    path = pathlib.Path(one["path"])
    measured = run([arguments.fathom, "eval", path, "-m", arguments.model, "--corpus", arguments.held_out, "--tokens", arguments.eval_tokens,
                    "--loss-tokens", arguments.loss_tokens, "--json", "-q"], path.with_suffix(".eval.json"))
    dictionary, untrained = (measured["reconstructions"][name] for name in ("dictionary", "untrained"))
    cells = [one["hook"], one["architecture"], f"{one['features']:,}", f"{measured['l0']:.1f}", f"{1 - measured['silent_fraction']:.2f}", f"{dictionary['fve']:.3f}",
             f"{dictionary['median_fve']:.3f}", f"{dictionary['delta_loss']:+.2f} ± {dictionary['delta_standard_error']:.2f}", f"{untrained['delta_loss']:+.2f}"]
    for labelled in arguments.labelled:
        found = run([arguments.fathom, "watch", "candidates", "-m", arguments.model, "-d", path, "--labelled", labelled, "-n", 1, "--json", "-q"],
                    path.with_suffix(f".{labelled.stem}.json"))
        cells.append(f"{found['candidates'][0]['development']['balanced_accuracy']:.3f} ({found['by_chance']:.3f})")
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fathom", default="fathom")
    parser.add_argument("--model", required=True)
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    parser.add_argument("--hooks", required=True)
    parser.add_argument("--arch", default="batchtopk")
    parser.add_argument("--features", default="16384")
    parser.add_argument("--k", default="32")
    parser.add_argument("--tokens", default="600000")
    parser.add_argument("--corpus", nargs="+", required=True)
    parser.add_argument("--held-out", required=True, help="text that no training reached")
    parser.add_argument("--labelled", nargs="*", default=[], type=pathlib.Path)
    parser.add_argument("--eval-tokens", default="6000")
    parser.add_argument("--loss-tokens", default="1024")
    parser.add_argument("rest", nargs="*", help="further options of fathom train, after --")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    trained = run([arguments.fathom, "train", "-m", arguments.model, "--hook", arguments.hooks, "--arch", arguments.arch, "--features", arguments.features, "--k", arguments.k,
                   "--corpus", *arguments.corpus, "--tokens", arguments.tokens, "-o", arguments.folder / "trained.gguf", "--json", *arguments.rest],
                  arguments.folder / "trained.json")
    head = ["", "", "features", "L0", "active on the held-out rows", "FVE", "median over dimensions", "change of loss, nats", "untrained", *(path.stem for path in arguments.labelled)]
    for cells in (head, ["---"] * len(head), *(row(arguments, one) for one in trained["dictionaries"])):
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
