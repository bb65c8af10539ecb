#include "cli.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ADAPTERS = 16 };

/* Splits "FILE=SCALE" in place; without a scale it is 1. False: the scale is no number. */
static bool split_adapter(struct fathom_adapter *out, char *text) {
    char *equals = strrchr(text, '='), *end = NULL;
    *out = (struct fathom_adapter){.path = text, .scale = 1.0f};
    if (equals == NULL) return true;
    out->scale = strtof(equals + 1, &end);
    if (end == equals + 1 || *end != '\0' || !isfinite(out->scale)) return false;
    *equals = '\0';
    return true;
}

fathom_model *cli_open_model_at(int *status, const struct cli_arguments *arguments, const char *path) {
    struct fathom_adapter adapters[MOST_ADAPTERS];
    char *texts[MOST_ADAPTERS] = {NULL};
    struct fathom_model_options options = {.adapters = adapters};
    fathom_model *model = NULL;
    int64_t gpu_layers = 0;
    size_t n = 0;
    const char *const *given = cli_all(&n, arguments, "adapter");
    *status = CLI_OK;
    if (n > MOST_ADAPTERS) *status = cli_usage(arguments, "%zu adapters are more than %d", n, MOST_ADAPTERS);
    for (size_t i = 0; *status == CLI_OK && i < n; i++) {
        texts[i] = strdup(given[i]);
        if (texts[i] == NULL || !split_adapter(&adapters[i], texts[i]))
            *status = cli_usage(arguments, "--adapter %s: FILE or FILE=SCALE was expected", given[i]);
        else
            options.n_adapters++;
    }
    if (*status == CLI_OK && !cli_integer(&gpu_layers, arguments, "gpu-layers", -1, INT32_MAX, 0)) *status = CLI_USAGE;
    options.gpu_layers = (int)gpu_layers;
    if (*status == CLI_OK) {
        int code = fathom_model_open(&model, path, &options);
        if (code != FATHOM_OK) *status = cli_fail(arguments, code);
    }
    for (size_t i = 0; i < MOST_ADAPTERS; i++)
        free(texts[i]);
    return model;
}

fathom_model *cli_open_model(int *status, const struct cli_arguments *arguments) {
    return cli_open_model_at(status, arguments, cli_text(arguments, "model", "smollm2"));
}
