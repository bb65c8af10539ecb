#!/bin/sh
# Harvest rates of Fathom and of its peers in the same minutes, by turns, on the same threads.
# Usage: bench/harvest.sh FATHOM [ROUNDS] [THREADS]; FATHOM is the command, such as build/release/fathom.
set -eu

fathom=${1:?"the fathom command is expected, such as build/release/fathom"}
rounds=${2:-3}
threads=${3:-2}
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../scripts/setup-python.sh" | tail -n 1)/bin/python

rate() {
    "$python" -c 'import json, sys; print("%8.0f" % json.load(sys.stdin)["tokens_per_second"])'
}

run_fathom() {
    printf 'fathom            %-8s resid_post.%-3s %s tokens/s\n' "$1" "$2" \
        "$("$fathom" bench harvest -m "$1" --hook "resid_post.$2" --threads "$threads" --tokens 32768 --quiet --json | rate)"
}

run_peer() {
    printf '%-17s %-8s resid_post.%-3s %s tokens/s\n' "$1" "$2" "$3" \
        "$("$python" "$here/harvest_peer.py" --library "$1" --shape "$2" --layer "$3" --threads "$threads" --tokens 8192 2>/dev/null | rate)"
}

for round in $(seq "$rounds"); do
    echo "round $round of $rounds, $threads threads"
    run_fathom smollm2 11
    run_peer transformers smollm2 11
    run_peer transformer_lens smollm2 11
    run_fathom smollm2 15
    run_peer transformers smollm2 15
    run_fathom gemma3 11
    run_peer transformers gemma3 11
done
