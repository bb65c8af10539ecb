#!/bin/sh
# Training rates, ours and the peers' in one run: ours, theirs, ours again, so that a machine that slows down shows.
#   bench/train.sh [--d 576 --features 16384 --k 32 --batch 4096 --threads 2]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
fathom=${FATHOM:-$root/build/release/fathom}
[ $# -gt 0 ] || set -- --d 576 --features 16384 --k 32 --batch 4096 --threads 2
python=$("$root/scripts/setup-python.sh" | tail -n 1)/bin/python
for arch in topk batchtopk; do "$fathom" bench train --arch $arch "$@" --json; done
"$python" "$root/bench/train_peer.py" "$@"
for arch in topk batchtopk; do "$fathom" bench train --arch $arch "$@" --json; done
