#!/bin/sh
# Sets up the peers (their Python and the engine's own benchmark, once, in the cache) and runs bench/run.py with them.
# Usage: bench/run.sh FATHOM [OPTION…]; FATHOM is the command to measure, such as build/release/fathom.
set -eu
fathom=${1:?"the fathom command is expected, such as build/release/fathom"}
shift
root=$(cd "$(dirname "$0")/.." && pwd)
python=$("$root/scripts/setup-python.sh" bench | tail -n 1)/bin/python
engine=$(FATHOM_ENGINE_TOOLS=ON "$root/scripts/setup-engine.sh" | tail -n 1)
exec "$python" "$root/bench/run.py" --fathom "$fathom" --llama-bench "$engine/bin/llama-bench" "$@"
