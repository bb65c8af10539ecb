#!/bin/sh
# cppcheck finds nothing in the sources.
set -eu
command -v cppcheck >/dev/null 2>&1 || { echo "cppcheck is not installed"; exit 77; }
# invalidFunctionArg takes the sum of a loop that runs at least once for a possible 0; invalidPointerCast minds that the
# bits of floats are read as integers, which the selection does on purpose.
cppcheck -j 2 --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
    --suppress=invalidFunctionArg --suppress=invalidPointerCast --error-exitcode=1 \
    --template='{file}:{line}: {severity}: {message} [{id}]' -Iinclude -Isrc src fuzz examples
