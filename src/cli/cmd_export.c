#include "cli.h"
#include <fathom/formats.h>

static const struct cli_option options[] = {
    {"output", 'o', CLI_FOLDER, "FOLDER", "the folder to write; it is made where it is missing", false, true},
    {"format", 'f', CLI_CHOICE,
     "saelens|gemma-scope|gemma-scope-2|sparsify|dictionary-learning|openmoss|openai|circuit-tracer",
     "what to write (saelens)", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int run(struct cli_arguments *arguments) {
    size_t n;
    const char *path = cli_operands(&n, arguments)[0], *folder = cli_text(arguments, "output", ""),
               *format = cli_text(arguments, "format", "saelens");
    fathom_dictionary *dictionary = NULL;
    int status = fathom_dictionary_open(&dictionary, path);
    if (!status) status = fathom_dictionary_export(folder, dictionary, format);
    fathom_dictionary_close(dictionary);
    if (status) return cli_fail(arguments, status);
    if (cli_json(arguments)) return cli_print_json(json_pack("{s:s, s:s}", "folder", folder, "format", format));
    printf("%s: a folder in the format %s\n", folder, format);
    return cli_output_status();
}

const struct cli_command cli_command_export = {
    .name = "export",
    .summary = "turn a dictionary file into another tool's",
    .operands = "DICT",
    .least = 1,
    .most = 1,
    .description =
        "Writes a folder as SAELens 6, Gemma Scope 1 (params.npz) and 2, sparsify, dictionary_learning, OpenMOSS, "
        "OpenAI's sparse_autoencoder or circuit-tracer read it; cross-layer transcoders as OpenMOSS, circuit-tracer "
        "and "
        "Gemma Scope 2 do. Scales are folded into the weights, and so is a "
        "subtracted decoder bias where the format has none. BatchTopK dictionaries become JumpReLU with their "
        "threshold where the format has no BatchTopK, which is how SAELens keeps them. What a format cannot hold is "
        "refused by name.",
    .examples = "fathom export layer12.gguf -o layer12-saelens # for SAE.load_from_disk\n"
                "fathom export mlp12.gguf -o transcoders -f circuit-tracer # layer_12.safetensors and config.yaml",
    .options = options,
    .run = run,
};
