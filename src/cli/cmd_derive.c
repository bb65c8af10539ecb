#include "cli.h"
#include "steer_subject.h"
#include <base/memory.h>
#include <fathom/shuffle.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"layers", 0, CLI_INTEGER, "N", "keep the first N layers only (all)", false, false},
    {"shuffle", 0, CLI_FLAG, NULL, "write a control with the values of every tensor shuffled, to --output", false,
     false},
    {"shuffle-layers", 0, CLI_TEXT, "A[-B]", "the same of these layers alone; all other tensors stay as they are",
     false, false},
    {"output", 'o', CLI_OUTPUT, "FILE", "where --shuffle and --shuffle-layers write", false, false},
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int shuffle_layers(const char *output, const char *model, const char *layers, uint64_t seed) {
    struct fathom_layer_range range = {0, 0};
    const int status = steer_range_parse(&range, layers, "shuffle-layers");
    return status ? status
                  : fathom_model_shuffle_layers(output, model, (uint32_t)range.first, (uint32_t)range.last, seed,
                                                cli_progress, NULL);
}

static int run(struct cli_arguments *arguments) {
    const char *model = cli_text(arguments, "model", "smollm2"), *output = cli_text(arguments, "output", NULL);
    const char *some = cli_text(arguments, "shuffle-layers", NULL);
    const bool shuffles = cli_has(arguments, "shuffle") || some;
    int64_t layers = 0, seed = 0;
    char *path = NULL;
    if (!cli_integer(&layers, arguments, "layers", 1, UINT32_MAX, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return CLI_USAGE;
    if (cli_has(arguments, "shuffle") && some)
        return cli_usage(arguments, "--shuffle and --shuffle-layers exclude each other");
    if (shuffles != (output != NULL))
        return cli_usage(arguments, "--shuffle or --shuffle-layers, and --output belong together");
    if (shuffles && layers > 0) return cli_usage(arguments, "--shuffle keeps all layers; --layers does not go with it");
    int code = some       ? shuffle_layers(output, model, some, (uint64_t)seed)
               : shuffles ? fathom_model_shuffle(output, model, (uint64_t)seed, cli_progress, NULL)
                          : fathom_model_derive(&path, model, (uint32_t)layers, cli_progress, NULL);
    if (code == FATHOM_OK && shuffles) code = fathom__copy_string(&path, output);
    if (code != FATHOM_OK) return cli_fail(arguments, code);
    int status = CLI_OK;
    if (cli_json(arguments)) {
        status = cli_print_json(json_pack("{s:s}", "path", path));
    } else {
        printf("%s\n", path);
    }
    fathom_free(path);
    return status;
}

const struct cli_command cli_command_derive = {
    .name = "derive",
    .summary = "make a bf16 copy of a model, with all or only its first layers",
    .operands = "",
    .description =
        "Writes a copy of a model whose layers' matrices are bf16 into the cache and prints its path; a copy that is "
        "there already is found. Training and indexing make such copies by themselves, because they are the fastest "
        "to run over a corpus. A copy carries the identity of its source.\n\n"
        "--shuffle writes a model that learned nothing: the same values in every tensor, in another order. What a "
        "dictionary trained on it achieves as well is owed to no property of the model. It has an identity of its "
        "own.\n\n"
        "--shuffle-layers does so to some layers: a model that differs from its source in a known place, to try on it "
        "what tells two models apart.",
    .examples = "fathom derive -m model.gguf # the whole model\n"
                "fathom derive --layers 13 # what is needed to read layer 11 of the default model\n"
                "fathom derive -m smollm2 --shuffle -o shuffled.gguf # a control to train on, or for eval --shuffled",
    .options = options,
    .run = run,
};
