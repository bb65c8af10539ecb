#!/bin/sh
# Harvest rates of Fathom and of its peers in the same minutes, by turns, on the same threads.
# Usage: bench/harvest.sh FATHOM [ROUNDS] [THREADS]; FATHOM is the command, such as build/release/fathom.
# SMOLLM2 and GEMMA3 name model files to use instead of the fetched ones.
set -eu

fathom=${1:?"the fathom command is expected, such as build/release/fathom"}
rounds=${2:-3}
threads=${3:-2}
smollm2=${SMOLLM2:-smollm2}
gemma3=${GEMMA3:-gemma3}
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../scripts/setup-python.sh" | tail -n 1)/bin/python

# show NAME MODEL LAYER JSON
show() {
    rate=$(printf '%s' "$4" | "$python" -c 'import json, sys; print(round(json.load(sys.stdin)["tokens_per_second"]))')
    printf '%-17s %-8s resid_post.%-3s %7s tokens/s\n' "$1" "$2" "$3" "$rate"
}

# run_fathom MODEL FILE LAYER
run_fathom() {
    result=$("$fathom" bench harvest -m "$2" --hook "resid_post.$3" --threads "$threads" --tokens 32768 --quiet --json)
    show fathom "$1" "$3" "$result"
}

# run_peer LIBRARY MODEL LAYER
run_peer() {
    result=$("$python" "$here/harvest_peer.py" --library "$1" --shape "$2" --layer "$3" --threads "$threads" --tokens 16384 2>/dev/null)
    show "$1" "$2" "$3" "$result"
}

for round in $(seq "$rounds"); do
    echo "round $round of $rounds, $threads threads"
    run_fathom smollm2 "$smollm2" 11
    run_peer transformers smollm2 11
    run_peer transformer_lens smollm2 11
    run_fathom smollm2 "$smollm2" 15
    run_peer transformers smollm2 15
    run_fathom gemma3 "$gemma3" 11
    run_peer transformers gemma3 11
done
