#!/bin/sh
# Installs the system packages that Fathom builds and runs with. Says what is missing and why; as root it
# installs them, otherwise it prints the one command that does and stops.
set -eu

# package, and what it is for
packages='
gcc|compiler for the C sources
g++|compiler for the engine
make|runs this Makefile
cmake|build system
ninja-build|build tool
pkg-config|finds the libraries below
python3|unpacks downloaded packages
libjansson-dev|JSON
libsqlite3-dev|catalogue
libzstd-dev|compressed corpora
zlib1g-dev|compressed corpora
libxxhash-dev|hashes of models and corpora
libdnnl-dev|fast matrix products (oneDNN)
liblinear-dev|probes (logistic regression)
libcmocka-dev|unit tests
wordnet-base|word classes for labels
'
missing=
report=
have() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }
if command -v dpkg-query >/dev/null 2>&1; then
    IFS='
'
    for line in $packages; do
        name=${line%%|*}
        have "$name" || { missing="$missing $name"; report="$report  $name (${line#*|})
"; }
    done
    unset IFS
    python3 -m pip --version >/dev/null 2>&1 || { missing="$missing python3-pip"; report="$report  python3-pip (downloads the engine's source and the models)
"; }
else
    printf 'setup: no dpkg here; the packages needed are:%s\n' "$(printf '%s' "$packages" | sed 's/|.*//' | tr '\n' ' ')"
    exit 0
fi
[ -n "$missing" ] || exit 0

printf 'Missing system packages:\n%s' "$report"
if [ "$(id -u)" != 0 ]; then
    printf 'Install them with:\n  sudo apt-get install -y --no-install-recommends%s\nand run this again.\n' "$missing"
    exit 1
fi
apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
printf 'Installed:%s\n' "$missing"
