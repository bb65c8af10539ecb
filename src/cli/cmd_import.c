#include "cli.h"
#include <fathom/dictionary.h>

static const struct cli_option options[] = {
    {"output", 'o', CLI_FILE, "DICT", "the native file to write", false, true},
    {"dtype", 0, CLI_CHOICE, "f32|bf16|f16|q8_0", "type of the stored matrices (f32)", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* What was changed on the way stands in the file's own record. */
static json_t *find_changes(json_t **record, const char *training) {
    *record = json_loads(training, 0, NULL);
    return json_object_get(json_object_get(*record, "import"), "changes");
}

static int report(const struct cli_arguments *arguments, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    json_t *record = NULL, *changes = find_changes(&record, info->training);
    int code = CLI_OK;
    if (cli_json(arguments)) {
        code = cli_print_json(json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:O?}", "path", info->path, "architecture",
                                        info->architecture, "hook", info->hook_in, "d", (int)info->d_in, "features",
                                        (int)info->n_features, "k", (int)info->k, "changes", changes));
    } else {
        printf("%s: %s of %u features at %s\n", info->path, info->architecture, info->n_features, info->hook_in);
        for (size_t i = 0; i < json_array_size(changes); i++)
            printf("  %s\n", json_string_value(json_array_get(changes, i)));
    }
    json_decref(record);
    return code;
}

static int run(struct cli_arguments *arguments) {
    size_t n;
    const char *folder = cli_operands(&n, arguments)[0], *path = cli_text(arguments, "output", "");
    fathom_dictionary *dictionary = NULL;
    int status = fathom_dictionary_import_saelens(path, folder, cli_text(arguments, "dtype", "f32"));
    if (!status) status = fathom_dictionary_open(&dictionary, path);
    const int code = status ? cli_fail(arguments, status) : report(arguments, dictionary);
    fathom_dictionary_close(dictionary);
    return code;
}

const struct cli_command cli_command_import = {
    .name = "import",
    .summary = "turn a SAELens folder into a dictionary file",
    .operands = "FOLDER",
    .least = 1,
    .most = 1,
    .description =
        "Reads a folder that SAELens wrote (cfg.json and sae_weights.safetensors, versions 5 and 6; standard, "
        "TopK and JumpReLU, which is also what SAELens saves BatchTopK as) and writes a native dictionary "
        "that reads the same features. Names what had to be changed for that.",
    .examples = "fathom import gpt2-layer8/ -o layer8.gguf # a dictionary that Fathom can use",
    .options = options,
    .run = run,
};
