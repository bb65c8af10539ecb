#!/bin/sh
# Makes the Python environment of the proofs (tests/reference) and of the comparisons (bench) in the cache, once; prints its
# folder as the last line. Only people who change the golden models, their numbers or the comparisons need it: building, testing and using Fathom do not.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
pins=$root/tests/reference/requirements.txt
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fathom
venv=$cache/python
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
