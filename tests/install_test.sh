#!/bin/sh
# An installed Fathom can be used: by pkg-config, by CMake's find_package, and from another place than it was installed to.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/install.XXXXXX")
trap 'rm -rf "$work"' EXIT
model=tests/reference/llama/model.gguf

cmake=${CMAKE:-cmake}
# What `make install` builds is all that is installed.
if command -v ninja >/dev/null 2>&1 && [ -f "$FATHOM_BUILD/build.ninja" ]; then
    # shellcheck disable=SC2046
    ninja -C "$FATHOM_BUILD" -t query $(sed -n 's/.*--target \(fathom.*[a-z]\).*/\1/p' Makefile | sort -u) >"$work/built"
    grep -q '^    libfathom\.' "$work/built" && grep -q '^    fathom$' "$work/built" ||
        { echo "make install does not build both the library and the command"; exit 1; }
fi

DESTDIR=$work/stage "$cmake" --install "$FATHOM_BUILD" --prefix /usr >"$work/log"
mv "$work/stage/usr" "$work/prefix"
lib=$(dirname "$(dirname "$(find "$work/prefix" -name fathom.pc)")")

check() { # the program's output for the model
    LD_LIBRARY_PATH=$lib DYLD_LIBRARY_PATH=$lib "$1" "$model" >"$work/out"
    grep -q '^architecture *llama$' "$work/out" || { echo "$1:"; cat "$work/out"; exit 1; }
}

# shellcheck disable=SC2046
PKG_CONFIG_PATH=$lib/pkgconfig "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -o "$work/by_pkgconfig" examples/describe.c \
    $(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --cflags --libs fathom)
check "$work/by_pkgconfig"

"$cmake" -S examples -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="${CC:-cc}" >"$work/log" ||
    { cat "$work/log"; exit 1; }
"$cmake" --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }
check "$work/build/describe"

"$work/prefix/bin/fathom" --help >/dev/null
for file in share/man/man1/fathom.1 share/bash-completion/completions/fathom share/zsh/site-functions/_fathom \
    share/fish/vendor_completions.d/fathom.fish; do
    [ -s "$work/prefix/$file" ] || { echo "$file was not installed"; exit 1; }
done

# The library gives away its own functions and nothing else.
if command -v nm >/dev/null 2>&1 && [ -f "$lib/libfathom.so" ]; then
    others=$(nm -D --defined-only "$lib/libfathom.so" | awk '{ print $3 }' | sed 's/@.*//' | grep -v '^fathom_[a-z]' || true)
    [ -z "$others" ] || { printf 'libfathom exports:\n%s\n' "$others"; exit 1; }
fi
