#include "cli.h"

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"layers", 0, CLI_INTEGER, "N", "keep the first N layers only (all)", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int run(struct cli_arguments *arguments) {
    int64_t layers = 0;
    char *path = NULL;
    if (!cli_integer(&layers, arguments, "layers", 1, UINT32_MAX, 0)) return CLI_USAGE;
    const int code =
        fathom_model_derive(&path, cli_text(arguments, "model", "smollm2"), (uint32_t)layers, cli_progress, NULL);
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
        "to run over a corpus. A copy carries the identity of its source.",
    .examples = "fathom derive -m model.gguf # the whole model\n"
                "fathom derive --layers 13 # what is needed to read layer 11 of the default model",
    .options = options,
    .run = run,
};
