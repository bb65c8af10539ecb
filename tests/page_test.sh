#!/bin/sh
# The page's types, its parts by themselves, and, where there is a chromium, every screen in it against a stand-in server.
set -eu
for tool in node npm; do
    command -v $tool >/dev/null 2>&1 || { echo "$tool is not installed"; exit 77; }
done
here=$(cd "$(dirname "$0")/.." && pwd)
work=${FATHOM_BUILD:?}/web/test
mkdir -p "$work"
cp -R "$here/web/." "$work"
cd "$work"
if ! cmp -s package-lock.json node_modules/.fetched; then
    npm ci --ignore-scripts --prefer-offline --no-audit --no-fund >npm.log 2>&1 ||
        { cat npm.log; echo "npm could not fetch the tests' packages"; exit 77; }
    cp package-lock.json node_modules/.fetched
fi
node_modules/.bin/tsc
node tests/unit.mjs
node build.mjs dist
CHROMIUM=$(command -v chromium || command -v chromium-browser || true)
[ -n "$CHROMIUM" ] || { echo "no chromium: the screens are not tried"; exit 0; }
export CHROMIUM
node tests/browser.mjs dist
