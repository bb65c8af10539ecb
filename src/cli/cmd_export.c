#include "cli.h"
#include <fathom/dictionary.h>

static const struct cli_option options[] = {
    {"output", 'o', CLI_FOLDER, "FOLDER", "the folder to write; it is made where it is missing", false, true},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int run(struct cli_arguments *arguments) {
    size_t n;
    const char *path = cli_operands(&n, arguments)[0], *folder = cli_text(arguments, "output", "");
    fathom_dictionary *dictionary = NULL;
    int status = fathom_dictionary_open(&dictionary, path);
    if (!status) status = fathom_dictionary_export_saelens(folder, dictionary);
    fathom_dictionary_close(dictionary);
    if (status) return cli_fail(arguments, status);
    if (cli_json(arguments)) return cli_print_json(json_pack("{s:s, s:s}", "folder", folder, "format", "saelens"));
    printf("%s: a SAELens folder\n", folder);
    return CLI_OK;
}

const struct cli_command cli_command_export = {
    .name = "export",
    .summary = "turn a dictionary file into a SAELens folder",
    .operands = "DICT",
    .least = 1,
    .most = 1,
    .description =
        "Writes cfg.json and sae_weights.safetensors as SAELens 6 does. BatchTopK dictionaries become JumpReLU "
        "with their threshold, which is how SAELens keeps them; the input scale is folded into the weights.",
    .examples = "fathom export layer12.gguf -o layer12-saelens # for SAE.load_from_disk",
    .options = options,
    .run = run,
};
