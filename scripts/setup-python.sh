#!/bin/sh
# Makes a Python environment in the cache, once, and prints its folder as the last line: that of the proofs (tests/reference), or with the
# argument "bench" that of the benchmarks' peers. Building, testing and using Fathom need neither.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fathom
case ${1:-reference} in
reference) pins=$root/tests/reference/requirements.txt venv=$cache/python ;;
bench) pins=$root/bench/requirements.txt venv=$cache/peers ;;
*) echo "usage: $0 [reference|bench]" >&2; exit 2 ;;
esac
stamp=$venv/complete
python=${PYTHON:-python3}

if [ -f "$stamp" ] && cmp -s "$pins" "$stamp"; then
    echo "$venv"
    exit 0
fi
mkdir -p "$cache"
exec 9>"$cache/python.lock"
if command -v flock >/dev/null 2>&1; then flock 9; fi
if ! { [ -f "$stamp" ] && cmp -s "$pins" "$stamp"; }; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "python: $python is older than 3.11, which the pinned packages need; name another by PYTHON=" >&2
        exit 1
    }
    echo "python: installing PyTorch, transformers and SAELens into $venv (about 3 GB, a few minutes)" >&2
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --upgrade pip==26.3 >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --requirement "$pins" >&2
    "$venv/bin/python" -m pip check >&2
    cp "$pins" "$stamp"
fi
echo "$venv"
