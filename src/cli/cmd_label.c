#include "cli.h"
#include "labelled.h"
#include <fathom/catalogue.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"remove", 0, CLI_FLAG, NULL, "take the label away again", false, false},
    {"origin", 0, CLI_TEXT, "NAME", "whose label it is (user)", false, false},
    {"labelled", 0, CLI_FILE, "FILE", "measure the label on texts: JSONL with \"text\" and \"label\" (true or false)",
     true, false},
    {"above", 0, CLI_NUMBER, "LEVEL", "the level that counts as active in these texts, in the dictionary's own units",
     false, false},
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

struct labelling {
    fathom_model *model; /* NULL where the dictionary was named and nothing is measured */
    fathom_dictionary *dictionary;
    char *path; /* of the catalogue */
    uint32_t feature;
    const char *text, *origin;
    struct fathom_label measured;
    char *rule;
    bool measures;
};

/* The texts and the level, as the label's rule. */
static char *rule_of(const struct cli_arguments *arguments, double above) {
    size_t n;
    const char *const *paths = cli_all(&n, arguments, "labelled");
    json_t *names = json_array();
    for (size_t i = 0; i < n; i++) {
        const char *slash = strrchr(paths[i], '/');
        json_array_append_new(names, json_string(slash ? slash + 1 : paths[i]));
    }
    json_t *rule = json_pack("{s:o, s:f}", "texts", names, "above", above);
    char *text = json_dumps(rule, JSON_COMPACT);
    json_decref(rule);
    return text;
}

static int measure(struct labelling *labelling, const struct cli_arguments *arguments) {
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    double above;
    int64_t seed;
    if (!cli_number(&above, arguments, "above", 0, HUGE_VAL, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return CLI_USAGE;
    int status = labelled_append_all(&texts, arguments, "labelled");
    if (!status)
        status = fathom_label_measure(&labelling->measured, labelling->model, labelling->dictionary, labelling->feature,
                                      &texts, above, (uint64_t)seed);
    fathom_texts_free(&texts);
    if (!status) labelling->measured.rule = labelling->rule = rule_of(arguments, above);
    return status ? cli_fail(arguments, status) : CLI_OK;
}

static int open_all(struct labelling *labelling, const struct cli_arguments *arguments) {
    char *dictionary_path = NULL;
    const char *given = cli_text(arguments, "dict", NULL);
    int status = FATHOM_OK, code = CLI_OK;
    /* A dictionary that is named needs no model to be found. */
    if (!given || labelling->measures) {
        labelling->model = cli_open_model(&code, arguments);
        if (!labelling->model) return code;
    }
    if (!given) status = fathom_locate_dictionary(&dictionary_path, labelling->model, NULL);
    if (!status) status = fathom_dictionary_open(&labelling->dictionary, given ? given : dictionary_path);
    fathom_free(dictionary_path);
    return status ? cli_fail(arguments, status) : CLI_OK;
}

static int set_label(struct labelling *labelling, const struct cli_arguments *arguments) {
    int status = fathom_locate_writable_catalogue(&labelling->path, labelling->dictionary,
                                                  cli_text(arguments, "catalogue", NULL));
    if (!status)
        status = fathom_catalogue_label(labelling->path, labelling->dictionary, labelling->feature, labelling->text,
                                        labelling->origin);
    if (!status && labelling->measures)
        status = fathom_catalogue_label_measured(labelling->path, labelling->dictionary, labelling->feature,
                                                 labelling->origin, &labelling->measured);
    return status ? cli_fail(arguments, status) : CLI_OK;
}

static int report(const struct labelling *labelling, const struct cli_arguments *arguments) {
    const struct fathom_label *measured = &labelling->measured;
    if (cli_json(arguments)) {
        json_t *value = json_pack("{s:i, s:s?, s:s, s:s}", "feature", (int)labelling->feature, "label", labelling->text,
                                  "origin", labelling->origin, "catalogue", labelling->path);
        if (labelling->measures)
            json_object_set_new(value, "measured",
                                json_pack("{s:f, s:f, s:f, s:f, s:f, s:i, s:i}", "balanced_accuracy",
                                          (double)measured->score, "f1", (double)measured->f1, "prevalence",
                                          (double)measured->prevalence, "single_token", (double)measured->single_token,
                                          "shuffled", (double)measured->shuffled, "texts_true", (int)measured->n_active,
                                          "texts_false", (int)measured->n_inactive));
        return cli_print_json(value);
    }
    if (!labelling->text) {
        printf("feature %u: the label is gone from %s\n", labelling->feature, labelling->path);
        return cli_output_status();
    }
    printf("feature %u: “%s” in %s\n", labelling->feature, labelling->text, labelling->path);
    if (labelling->measures)
        printf("  tells %.0f %% right of %u texts that it holds for and %u that it does not (shuffled labels %.0f %%, "
               "best "
               "single token %.0f %%); F1 %.2f at a prevalence of %.0f %%\n",
               100 * (double)measured->score, measured->n_active, measured->n_inactive,
               100 * (double)measured->shuffled, 100 * (double)measured->single_token, (double)measured->f1,
               100 * (double)measured->prevalence);
    return cli_output_status();
}

static int run(struct cli_arguments *arguments) {
    size_t n;
    char *end;
    const char *const *operands = cli_operands(&n, arguments);
    const unsigned long long feature = strtoull(operands[0], &end, 10);
    const bool removes = cli_has(arguments, "remove");
    struct labelling labelling = {.feature = (uint32_t)feature,
                                  .text = removes || n < 2 ? NULL : operands[1],
                                  .origin = cli_text(arguments, "origin", "user"),
                                  .measures = cli_has(arguments, "labelled")};
    if (*operands[0] < '0' || *operands[0] > '9' || *end || feature > UINT32_MAX)
        return cli_usage(arguments, "\"%s\": a feature's number was expected", operands[0]);
    if (removes == (n > 1)) return cli_usage(arguments, "a label's TEXT or --remove was expected");
    if (labelling.measures != cli_has(arguments, "above") || (labelling.measures && removes))
        return cli_usage(arguments, "--labelled and --above belong together, and to a label that is set");
    int code = open_all(&labelling, arguments);
    if (code == CLI_OK && labelling.measures) code = measure(&labelling, arguments);
    if (code == CLI_OK) code = set_label(&labelling, arguments);
    if (code == CLI_OK) code = report(&labelling, arguments);
    free(labelling.rule);
    fathom_free(labelling.path);
    fathom_dictionary_close(labelling.dictionary);
    fathom_model_close(labelling.model);
    return code;
}

const struct cli_command cli_command_label = {
    .name = "label",
    .summary = "give a feature a label of your own",
    .operands = "NUMBER [TEXT]",
    .least = 1,
    .most = 2,
    .description =
        "A person's label stands before the one that was found by `fathom index`, in every command, and "
        "stays when the dictionary is indexed again. A catalogue that came "
        "with Fathom is copied to your own data folder first. With --labelled and --above the label's worth is "
        "measured and kept beside it: choose the level on other texts (`fathom watch candidates`).",
    .examples = "fathom label 304 \"famous NBA players\" # set\n"
                "fathom label 304 --remove # take away\n"
                "fathom label 304 \"famous NBA players\" --labelled test.jsonl --above 4.2 # set and measured",
    .options = options,
    .run = run,
};
