#!/bin/sh
# Which engine is taken where pkg-config knows a libllama: one of a known version, and only where no other is named.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/system.XXXXXX")
trap 'rm -rf "$work"' EXIT
cmake=${CMAKE:-cmake}
known=$(sed -n 's/^set(FATHOM_ENGINE_VERSIONS \([^ )]*\).*$/\1/p' cmake/dependencies.cmake)
own=$(sed -n 's/^FATHOM_ENGINE_DIR:[A-Z]*=//p' "$FATHOM_BUILD/CMakeCache.txt")
[ -f "$own/include/llama.h" ] || { echo "this build has no engine of its own to compare with"; exit 77; }

# A libllama as a package would install it, as far as a configuration looks.
mkdir -p "$work/lib"
for name in llama ggml ggml-base ggml-cpu; do : >"$work/lib/lib$name.so"; done
package() { # version
    printf 'prefix=%s\nlibdir=${prefix}/lib\nName: llama\nDescription: engine\nVersion: %s\nLibs: -L${prefix}/lib -lggml -lggml-base -lllama\nCflags: -I${prefix}/include\n' \
        "$work" "$1" >"$work/llama.pc"
}
export PKG_CONFIG_PATH="$work${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
fail() { echo "$1"; cat "$work/said" 2>/dev/null || true; exit 1; }
says() { grep -q -- "$1" "$work/said" || fail "not said: $1"; }
configure() { rm -rf "$work/build"; "$cmake" -S . -B "$work/build" -DFATHOM_TESTS=OFF "$@" >"$work/said" 2>&1; }

package 0.0.1
chosen=$(unset FATHOM_ENGINE; scripts/setup-engine.sh 2>"$work/said") || fail "set-up failed"
says "libllama 0.0.1 is not one of $known: not used"
[ -f "$chosen/include/llama.h" ] || fail "set-up took a libllama of an unknown version"
configure && fail "a libllama of an unknown version was taken"
says "libllama 0.0.1 is not one of $known: not used"
says "no engine: run scripts/setup-engine.sh"

package "$known"
[ "$(FATHOM_ENGINE=own scripts/setup-engine.sh)" = "$chosen" ] || fail "FATHOM_ENGINE=own took another engine"
configure -DFATHOM_ENGINE_DIR="$own" || fail "a build with an engine of its own cannot be configured"
grep -q "system's libllama" "$work/said" && fail "the system's libllama was taken beside an engine that was named"
configure || fail "a build with the system's libllama cannot be configured"
says "engine: the system's libllama $known, without a renderer"

# The renderer alone in the named folder.
mkdir -p "$work/renderer/lib"
cp "$own/lib/libfathom_jinja.a" "$work/renderer/lib/"
configure -DFATHOM_ENGINE_DIR="$work/renderer" || fail "a build with the system's libllama and the renderer cannot be configured"
says "engine: the system's libllama $known\$"

# Backends that are loaded while the program runs cannot be linked with.
rm "$work/lib/libggml-cpu.so"
configure && fail "a libllama without a processor backend was taken"
says "libllama $known has no libggml-cpu to link with: not used"
