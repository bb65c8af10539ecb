#include "cli.h"
#include <fathom/formats.h>
#include <string.h>

#define FORMATS                                                                                                        \
    "saelens|gemma-scope|gemma-scope-2|sparsify|dictionary-learning|openmoss|llama-scope|openai|circuit-tracer"

static const struct cli_option options[] = {
    {"output", 'o', CLI_OUTPUT, "DICT", "the native file to write", false, true},
    {"format", 'f', CLI_CHOICE, FORMATS, "what the path holds (found by its files)", false, false},
    {"hook", 0, CLI_HOOK, "HOOK", "where the dictionary reads, as blocks.3.hook_resid_post (as the files say)", false,
     false},
    {"hook-out", 0, CLI_HOOK, "HOOK", "where it writes (as the files say)", false, false},
    {"model", 'm', CLI_TEXT, "NAME", "the model's name, as gemma-2-2b (as the files say)", false, false},
    {"centred", 0, CLI_CHOICE, "yes|no", "whether its model's writing weights were centred (as the files say)", false,
     false},
    {"input-scale", 0, CLI_NUMBER, "S", "what activations were multiplied with before training (as the files say)",
     false, false},
    {"dtype", 0, CLI_CHOICE, "f32|bf16|f16|q8_0", "type of the stored matrices (f32)", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* What was changed on the way stands in the file's own record. */
static json_t *find_record(json_t **record, const char *training) {
    *record = json_loads(training, 0, NULL);
    return json_object_get(*record, "import");
}

static int report(const struct cli_arguments *arguments, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    json_t *record = NULL, *import = find_record(&record, info->training),
           *changes = json_object_get(import, "changes");
    int code = CLI_OK;
    if (cli_json(arguments)) {
        code = cli_print_json(json_pack("{s:s, s:O?, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:b, s:O?}", "path", info->path,
                                        "format", json_object_get(import, "from"), "architecture", info->architecture,
                                        "hook", info->hook_in, "hook_out", info->hook_out, "d", (int)info->d_in,
                                        "d_out", (int)info->d_out, "features", (int)info->n_features, "k", (int)info->k,
                                        "skip", (int)info->has_skip, "changes", changes));
    } else {
        const bool itself = strcmp(info->hook_in, info->hook_out) == 0;
        printf("%s: %s of %u features at %s%s%s%s\n", info->path, info->architecture, info->n_features, info->hook_in,
               itself ? "" : " to ", itself ? "" : info->hook_out, info->has_skip ? ", with a skip" : "");
        for (size_t i = 0; i < json_array_size(changes); i++)
            printf("  %s\n", json_string_value(json_array_get(changes, i)));
        code = cli_output_status();
    }
    json_decref(record);
    return code;
}

static int run(struct cli_arguments *arguments) {
    size_t n;
    double scale;
    const char *path = cli_operands(&n, arguments)[0], *output = cli_text(arguments, "output", ""),
               *centred = cli_text(arguments, "centred", NULL);
    if (!cli_number(&scale, arguments, "input-scale", 0, 1e30, 0)) return CLI_USAGE;
    const struct fathom_import_options chosen = {
        .format = cli_text(arguments, "format", NULL),
        .hook = cli_text(arguments, "hook", NULL),
        .hook_out = cli_text(arguments, "hook-out", NULL),
        .model = cli_text(arguments, "model", NULL),
        .dtype = cli_text(arguments, "dtype", NULL),
        .centred = !centred                      ? FATHOM_CENTRED_UNKNOWN
                   : strcmp(centred, "yes") == 0 ? FATHOM_CENTRED_YES
                                                 : FATHOM_CENTRED_NO,
        .input_scale = scale,
    };
    fathom_dictionary *dictionary = NULL;
    int status = fathom_dictionary_import(output, path, &chosen);
    if (!status) status = fathom_dictionary_open(&dictionary, output);
    const int code = status ? cli_fail(arguments, status) : report(arguments, dictionary);
    fathom_dictionary_close(dictionary);
    return code;
}

const struct cli_command cli_command_import = {
    .name = "import",
    .summary = "turn another trainer's dictionary into a dictionary file",
    .operands = "PATH",
    .least = 1,
    .most = 1,
    .description =
        "Reads a folder or file of SAELens, Gemma Scope 1 and 2, sparsify, dictionary_learning, OpenMOSS (llamascopium "
        "and Llama Scope), OpenAI's sparse_autoencoder or circuit-tracer, and writes a native dictionary that reads "
        "the same features. Pickles are read without executing anything in them.\n\n"
        "Names what had to be changed for that. What the files leave open, such as the hook point or whether the "
        "model's residual stream was centred, is asked for by the option that says it; what the native file cannot "
        "compute is refused by name.",
    .examples = "fathom import gpt2-layer8/ -o layer8.gguf # a SAELens folder\n"
                "fathom import trainer_0/ae.pt -o pythia.gguf --hook blocks.3.hook_resid_post # dictionary_learning",
    .options = options,
    .run = run,
};
