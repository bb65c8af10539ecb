#!/bin/sh
# The sources have the form that .clang-format describes. Its version is pinned, because each version forms a little
# differently.
set -eu
version=14
tool=
for name in "clang-format-$version" clang-format; do
    if command -v "$name" >/dev/null 2>&1 && "$name" --version | grep -q "version $version\."; then
        tool=$name
        break
    fi
done
if [ -z "$tool" ]; then
    echo "clang-format $version is not installed"
    exit 77
fi
find include src fuzz examples tests -name '*.[ch]' -o -name '*.cpp' | sort | xargs "$tool" --dry-run --Werror
