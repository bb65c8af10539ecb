#!/bin/sh
# Gives the C sources the form that .clang-format describes; with --check only says where they differ. The version is
# pinned, because each version of clang-format forms a little differently. Exits with 77 where it is not installed.
set -eu
version=14
cd "$(dirname "$0")/.."
tool=
for name in "clang-format-$version" clang-format; do
    if command -v "$name" >/dev/null 2>&1 && "$name" --version | grep -q "version $version\."; then
        tool=$name
        break
    fi
done
if [ -z "$tool" ]; then
    echo "clang-format $version is not installed" >&2
    exit 77
fi
case ${1:-} in
--check) action='--dry-run --Werror' ;;
'') action=-i ;;
*) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac
# shellcheck disable=SC2086
find include src fuzz examples tests bench \( -name '*.[ch]' -o -name '*.cpp' \) | sort | xargs "$tool" $action
