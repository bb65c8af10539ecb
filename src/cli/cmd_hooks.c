#include "cli.h"
#include <fathom/hook.h>
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"layer", 0, CLI_INTEGER, "N", "only points of this layer; negative numbers count from the end", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static bool next_hook(struct fathom_hook *hook, int32_t n_layers) {
    if (++hook->layer >= n_layers) {
        hook->layer = -1;
        hook->kind++;
    }
    return hook->kind < FATHOM_HOOK_COUNT;
}

static int run(struct cli_arguments *arguments) {
    int64_t layer = 0;
    int status = CLI_OK;
    fathom_model *model = cli_open_model(&status, arguments);
    if (model == NULL) return status;
    int32_t n_layers = (int32_t)fathom_model_describe(model)->n_layers;
    json_t *list = json_array();
    bool one = cli_has(arguments, "layer");
    if (!cli_integer(&layer, arguments, "layer", -n_layers, n_layers - 1, 0)) {
        status = CLI_USAGE;
        goto done;
    }
    if (layer < 0) layer += n_layers;
    struct fathom_hook hook = {FATHOM_HOOK_EMBED, -1};
    do {
        uint32_t heads = 0, width = 0;
        if ((one && hook.layer != layer) || !fathom_hook_exists(&heads, &width, model, hook)) continue;
        char name[FATHOM_HOOK_NAME_SIZE], alias[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(name, hook);
        fathom_hook_alias(alias, hook);
        if (cli_json(arguments)) {
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:i, s:o}", "name", name, "alias", alias, "heads", (int)heads,
                                            "width_per_head", width ? json_integer(width) : json_null()));
            continue;
        }
        printf("%-34s %-16s ", name, alias);
        if (width == 0)
            printf("%u heads × keys\n", heads);
        else if (heads > 1)
            printf("%u heads × %u\n", heads, width);
        else
            printf("%u\n", width);
    } while (next_hook(&hook, n_layers));
    if (cli_json(arguments))
        status = cli_print_json(json_pack("{s:s, s:s, s:O}", "model", fathom_model_describe(model)->name,
                                          "architecture", fathom_model_describe(model)->architecture, "hooks", list));
done:
    json_decref(list);
    fathom_model_close(model);
    return status;
}

const struct cli_command cli_command_hooks = {
    .name = "hooks",
    .summary = "list the points of a model that can be read and edited",
    .operands = "",
    .description = "Hook points carry TransformerLens names, each with a short alias, and their shapes in this model.",
    .examples = "fathom hooks --layer 11 # the points of one layer\n"
                "fathom hooks -m gemma3 --json # all points, for scripts",
    .options = options,
    .run = run,
};
