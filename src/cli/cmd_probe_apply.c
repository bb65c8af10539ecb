#include "labelled.h"
#include <base/memory.h>
#include <math.h>
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"text", 0, CLI_TEXT, "TEXT", "a text to score", true, false},
    {"file", 'f', CLI_FILE, "FILE", "texts to score: one a line, or JSONL with \"text\"", true, false},
    {"fail-on-alert", 0, CLI_FLAG, NULL, "exit with status 1 when a text alerts", false, false},
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int load(struct fathom_texts *texts, const struct cli_arguments *arguments) {
    size_t n = 0;
    const char *const *given = cli_all(&n, arguments, "text");
    int status = FATHOM_OK;
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = fathom_texts_append(texts, given[i], strlen(given[i]), FATHOM_LABEL_NONE);
    }
    given = cli_all(&n, arguments, "file");
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = fathom_texts_load(texts, given[i], FATHOM_LABEL_NONE);
    }
    return status;
}

/* Prints every text's score; *alerts counts those at the threshold or above. */
static int print_scores(size_t *alerts, const struct cli_arguments *arguments, const fathom_probe *probe,
                        const struct fathom_texts *texts, const double *scores) {
    const struct fathom_probe_info *info = fathom_probe_describe(probe);
    json_t *list = json_array();
    *alerts = 0;
    for (size_t t = 0; t < texts->n; t++) {
        bool alert = scores[t] >= info->threshold;
        *alerts += alert;
        if (cli_json(arguments)) {
            json_t *item = json_pack("{s:s, s:o, s:o, s:b}", "text", texts->texts[t], "score", number_json(scores[t]),
                                     "probability", number_json(1 / (1 + exp(-scores[t]))), "alert", (int)alert);
            json_array_append_new(list, item);
        } else if (isnan(scores[t])) {
            printf("   -        no row after the first token  %s\n", texts->texts[t]);
        } else {
            printf("%8.3f  %s  %s\n", scores[t], alert ? "ALERT" : "  -  ", texts->texts[t]);
        }
    }
    if (!cli_json(arguments)) {
        json_decref(list);
        return cli_output_status();
    }
    return cli_print_json(
        json_pack("{s:s, s:f, s:o}", "hook", info->hook, "threshold", info->threshold, "texts", list));
}

static int run(struct cli_arguments *arguments) {
    size_t n_operands = 0;
    size_t alerts = 0;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    fathom_probe *probe = NULL;
    double *scores = NULL;
    int exit = CLI_OK;
    if (!cli_has(arguments, "text") && !cli_has(arguments, "file")) {
        return cli_usage(arguments, "--text or --file names what to score");
    }
    fathom_model *model = cli_open_model(&exit, arguments);
    if (model == NULL) {
        return exit;
    }
    int status = fathom_probe_open(&probe, cli_operands(&n_operands, arguments)[0]);
    if (status == FATHOM_OK) {
        status = load(&texts, arguments);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&scores, texts.n, sizeof *scores);
    }
    if (status == FATHOM_OK) {
        status = fathom_probe_score(scores, probe, model, &texts);
    }
    exit = status == FATHOM_OK ? print_scores(&alerts, arguments, probe, &texts, scores) : cli_fail(arguments, status);
    if (exit == CLI_OK && alerts > 0 && cli_has(arguments, "fail-on-alert")) {
        exit = CLI_NEGATIVE;
    }
    fathom_free(scores);
    fathom_texts_free(&texts);
    fathom_probe_close(probe);
    fathom_model_close(model);
    return exit;
}

const struct cli_command cli_command_probe_apply = {
    .name = "probe apply",
    .summary = "score texts by a probe",
    .operands = "PROBE",
    .least = 1,
    .most = 1,
    .description = "Prints each text's log-odds under the probe and whether it reaches the threshold that was chosen "
                   "in training. To see the score of every token, "
                   "and to watch several probes and features at once, use fathom watch --probe.",
    .examples = "fathom probe apply reviews.gguf --text \"The soup was hot and the waiter was kind.\"",
    .options = options,
    .run = run,
};
