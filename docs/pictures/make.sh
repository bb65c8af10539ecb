#!/bin/sh
# Makes the pictures of README out of real runs: terminal output as SVG, and the explanation's page as PNG where chromium is installed.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
fathom=${FATHOM:-$root/build/release/fathom}
here=$root/docs/pictures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
"$here/terminal.py" "$here/features.svg" --lines 0:44 --title 'fathom features -m gemma3 --text "Steph Curry scored 30 points"' -- \
    "$fathom" features -m gemma3 --text "Steph Curry scored 30 points" --about 3 --quiet
watched=$(python3 -c 'import json, sys; w = json.load(open(sys.argv[1]))["watch"]; print("--feature", w["feature"], "--above", w["above"])' \
    "$root/share/smollm2/demo.json")
# shellcheck disable=SC2086
"$here/terminal.py" "$here/watch.svg" --lines 0:32 --title "fathom watch $watched --labelled share/demo/watch.jsonl" -- \
    "$fathom" watch -m smollm2 $watched --labelled "$root/share/demo/watch.jsonl" --quiet
"$fathom" explain -m smollm2 --prompt "The Golden Gate Bridge is located in the city of" --answer " San Francisco" \
    --report "$work/why.html" --quiet >/dev/null
if command -v chromium >/dev/null 2>&1; then
    chromium --headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --user-data-dir="$work/profile" \
        --window-size=1000,1500 --screenshot="$here/explanation.png" "file://$work/why.html" >/dev/null 2>&1
fi
