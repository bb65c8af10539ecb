#include "cli.h"
#include <fathom/catalogue.h>
#include <stdlib.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"remove", 0, CLI_FLAG, NULL, "take the label away again", false, false},
    {"origin", 0, CLI_TEXT, "NAME", "whose label it is (user)", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int set_label(char **path, fathom_dictionary **dictionary, const struct cli_arguments *arguments,
                     uint32_t feature, const char *text) {
    char *dictionary_path = NULL;
    const char *given = cli_text(arguments, "dict", NULL);
    fathom_model *model = NULL;
    int status = FATHOM_OK;
    /* A dictionary that is named needs no model to be found. */
    if (given) {
        status = fathom_dictionary_open(dictionary, given);
    } else {
        int code;
        model = cli_open_model(&code, arguments);
        if (!model) return code;
        if (!(status = fathom_locate_dictionary(&dictionary_path, model, NULL)))
            status = fathom_dictionary_open(dictionary, dictionary_path);
    }
    if (!status) status = fathom_locate_writable_catalogue(path, *dictionary, cli_text(arguments, "catalogue", NULL));
    if (!status)
        status = fathom_catalogue_label(*path, *dictionary, feature, text, cli_text(arguments, "origin", "user"));
    fathom_free(dictionary_path);
    fathom_model_close(model);
    return status ? cli_fail(arguments, status) : CLI_OK;
}

static int run(struct cli_arguments *arguments) {
    fathom_dictionary *dictionary = NULL;
    size_t n;
    char *path = NULL, *end;
    const char *const *operands = cli_operands(&n, arguments);
    const unsigned long long feature = strtoull(operands[0], &end, 10);
    const bool removes = cli_has(arguments, "remove");
    if (*operands[0] < '0' || *operands[0] > '9' || *end || feature > UINT32_MAX)
        return cli_usage(arguments, "\"%s\": a feature's number was expected", operands[0]);
    if (removes == (n > 1)) return cli_usage(arguments, "a label's TEXT or --remove was expected");
    int code = set_label(&path, &dictionary, arguments, (uint32_t)feature, removes ? NULL : operands[1]);
    if (code == CLI_OK && cli_json(arguments))
        code = cli_print_json(json_pack("{s:i, s:s?, s:s, s:s}", "feature", (int)feature, "label",
                                        removes ? NULL : operands[1], "origin", cli_text(arguments, "origin", "user"),
                                        "catalogue", path));
    else if (code == CLI_OK && removes)
        printf("feature %llu: the label is gone from %s\n", feature, path);
    else if (code == CLI_OK)
        printf("feature %llu: “%s” in %s\n", feature, operands[1], path);
    fathom_free(path);
    fathom_dictionary_close(dictionary);
    return code;
}

const struct cli_command cli_command_label = {
    .name = "label",
    .summary = "give a feature a label of your own",
    .operands = "NUMBER [TEXT]",
    .least = 1,
    .most = 2,
    .description = "A person's label stands before the one that was found by `fathom index`, in every command, and "
                   "stays when the dictionary is indexed again. A catalogue that came "
                   "with Fathom is copied to your own data folder first.",
    .examples = "fathom label 304 \"famous NBA players\" # set\n"
                "fathom label 304 --remove # take away",
    .options = options,
    .run = run,
};
