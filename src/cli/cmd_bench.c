#include "bench.h"
#include <fathom/trainer.h>

static const struct cli_option train_options[] = {
    {"arch", 0, CLI_CHOICE, FATHOM_TRAIN_NAMES, "architecture (topk)", false, false},
    {"d", 0, CLI_INTEGER, "N", "width of a row (576)", false, false},
    {"features", 0, CLI_INTEGER, "F", "features of the dictionary (16384)", false, false},
    {"k", 0, CLI_INTEGER, "K", "active features a row (32)", false, false},
    {"batch", 0, CLI_INTEGER, "N", "rows of a step (4096)", false, false},
    {"steps", 0, CLI_INTEGER, "N", "steps that are timed, after three that are not (20)", false, false},
    {"dead", 0, CLI_NUMBER, "PART", "part of the features that counts as dead, so that the auxiliary loss works (0)",
     false, false},
    {"data", 0, CLI_FILE, "FILE", "safetensors file whose first matrix of d columns gives the rows (random rows)",
     false, false},
    {"lr", 0, CLI_NUMBER, "RATE", "learning rate (falls with the root of the width: 2e-4 at 16384 features)", false,
     false},
    {"curve", 0, CLI_OUTPUT, "FILE",
     "train a whole schedule of --steps on all rows but the last batch, and write FVE on that batch as JSON lines",
     false, false},
    {"evaluate-every", 0, CLI_INTEGER, "N", "steps between two lines of the curve (10)", false, false},
    {"dense-adam", 0, CLI_FLAG, NULL, "update features without a gradient too, to compare with", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

const struct cli_command cli_command_bench_train = {
    .name = "bench train",
    .summary = "measure how fast dictionaries are trained",
    .operands = "",
    .description = "Times optimiser steps on rows that lie in memory, and says where a step's time goes. Random rows "
                   "flatter: use --data with activations from "
                   "`fathom capture`, and --dead 0.2, to see what a real run reaches.",
    .examples = "fathom bench train --arch topk --d 576 --features 16384 --k 32 --batch 4096 --threads 2 --json # the "
                "figure that is compared with other trainers",
    .options = train_options,
    .run = bench_train,
};
