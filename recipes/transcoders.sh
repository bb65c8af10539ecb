#!/bin/sh
# Trains a transcoder of every MLP of a default model, in one run of the model:
#     recipes/transcoders.sh smollm2|gemma3 FOLDER CORPUS…
# FATHOM names the command (fathom), TOKENS how many tokens (2000000). docs/training.md says what it takes.
set -eu
test $# -ge 3 || { echo "usage: $0 smollm2|gemma3 FOLDER CORPUS…" >&2; exit 2; }
model=$1 folder=$2
shift 2
case $model in
smollm2) inputs=scaled ;;
gemma3) inputs=standardised ;; # a few dimensions hold most of the variance there
*) echo "$0: \"$model\"; smollm2 or gemma3 is expected" >&2; exit 2 ;;
esac
mkdir -p "$folder"
# Fewer rows are mixed than for one dictionary: they are held at every MLP's input and output.
exec "${FATHOM:-fathom}" train -m "$model" --hook 'mlp_in.*' --hook-out 'mlp_out.*' --arch batchtopk \
    --features 4096 --k 32 --inputs "$inputs" --batch 1024 --lr 1.2e-3 --shuffle 16384 --held-out 4096 --corpus "$@" \
    --tokens "${TOKENS:-2000000}" --dtype q8_0 --checkpoint-every 400 -o "$folder/transcoder.gguf"
