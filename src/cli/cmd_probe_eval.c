#include "labelled.h"
#include "roc.h"

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTIONS_LABELLED,
    {"decoys", 0, CLI_FILE, "FILE", "near misses that should not alert", true, false},
    {"random", 0, CLI_INTEGER, "N", "random directions to compare with (1000)", false, false},
    {"target", 0, CLI_NUMBER, "RATE", "also the recall at this false-positive rate; needs 10 / RATE negatives", false,
     false},
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static void print_report(const struct fathom_probe_report *report, const struct fathom_threshold *at) {
    printf("%zu positive and %zu negative texts that it never saw", report->n_positive, report->n_negative);
    if (report->n_duplicates > 0) {
        printf(", %zu repeats left out", report->n_duplicates);
    }
    putchar('\n');
    cli_print_bold(stdout, "AUROC");
    printf(" %.3f (95 %% interval %.3f … %.3f), accuracy %.3f at the probe's threshold\n", report->auroc,
           report->auroc_low, report->auroc_high, report->accuracy);
    counts_print(&report->counts);
    if (at != NULL) {
        printf("recall %.3f at a false-positive rate of %g\n", at->recall, at->false_positive_rate);
    }
    puts("beside it:");
    printf("  shuffled labels    %.3f on average, %.3f at best of %zu\n", report->shuffled_mean,
           report->shuffled_highest, report->n_shuffled);
    printf("  random directions  %.3f on average, %.3f at the 95th percentile, %.3f at best of %zu; %.1f %% reach the "
           "probe\n",
           report->random_mean, report->random_p95, report->random_highest, report->n_random,
           100 * report->random_reaching);
    printf("  bag of words       %.3f\n", report->bag_of_words);
    printf("  length of the text %.3f\n", report->length);
    if (report->n_decoys > 0) {
        printf("  decoys             %.0f %% of %zu alert\n", 100 * report->decoy_alerts, report->n_decoys);
    }
}

static json_t *report_json(const struct fathom_probe_report *report, const struct fathom_threshold *at) {
    json_t *value =
        json_pack("{s:I, s:I, s:I, s:f, s:[f,f], s:f, s:f, s:o}", "positive", (json_int_t)report->n_positive,
                  "negative", (json_int_t)report->n_negative, "duplicates", (json_int_t)report->n_duplicates, "auroc",
                  report->auroc, "auroc_interval", report->auroc_low, report->auroc_high, "accuracy", report->accuracy,
                  "balanced_accuracy", report->balanced_accuracy, "counts", counts_json(&report->counts));
    json_object_set_new(value, "shuffled_labels",
                        json_pack("{s:f, s:f, s:I}", "mean", report->shuffled_mean, "highest", report->shuffled_highest,
                                  "n", (json_int_t)report->n_shuffled));
    json_object_set_new(value, "random_directions",
                        json_pack("{s:f, s:f, s:f, s:f, s:I}", "mean", report->random_mean, "p95", report->random_p95,
                                  "highest", report->random_highest, "reaching", report->random_reaching, "n",
                                  (json_int_t)report->n_random));
    json_object_set_new(value, "bag_of_words", json_real(report->bag_of_words));
    json_object_set_new(value, "length", json_real(report->length));
    if (report->n_decoys > 0) {
        json_object_set_new(value, "decoys",
                            json_pack("{s:f, s:I}", "alerts", report->decoy_alerts, "n", (json_int_t)report->n_decoys));
    }
    if (at != NULL) {
        json_object_set_new(value, "at_target",
                            json_pack("{s:f, s:f, s:f}", "level", at->level, "recall", at->recall,
                                      "false_positive_rate", at->false_positive_rate));
    }
    return value;
}

static int load_decoys(struct fathom_texts *decoys, const struct cli_arguments *arguments) {
    size_t n = 0;
    const char *const *paths = cli_all(&n, arguments, "decoys");
    int status = FATHOM_OK;
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = fathom_texts_load(decoys, paths[i], FATHOM_LABEL_NONE);
    }
    return status;
}

static int evaluate(const struct cli_arguments *arguments, const fathom_model *model,
                    struct fathom_probe_evaluation *how, double target) {
    size_t n_operands = 0;
    const char *path = cli_operands(&n_operands, arguments)[0];
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct fathom_texts decoys = FATHOM_TEXTS_INIT;
    struct fathom_probe_report report;
    struct fathom_threshold at;
    fathom_probe *probe = NULL;
    double *scores = NULL;
    int exit = CLI_OK;
    int status = fathom_probe_open(&probe, path);
    if (status == FATHOM_OK) {
        status = labelled_load(&texts, arguments);
    }
    if (status == FATHOM_OK) {
        status = load_decoys(&decoys, arguments);
    }
    if (status == FATHOM_OK) {
        struct fathom_probe_evaluation with = *how;
        with.decoys = &decoys;
        status = fathom_probe_evaluate(&report, &scores, probe, model, &texts, &with);
    }
    if (status == FATHOM_OK && target > 0) {
        for (size_t t = 0; t < texts.n; t++) {
            texts.labels[t] =
                scores[t] == scores[t] ? texts.labels[t] : FATHOM_LABEL_NONE; /* texts that were left out */
        }
        status = fathom_threshold_choose(&at, scores, texts.labels, texts.n, target);
    }
    if (status != FATHOM_OK) {
        exit = cli_fail(arguments, status);
    } else if (cli_json(arguments)) {
        json_t *value = report_json(&report, target > 0 ? &at : NULL);
        json_object_set_new(value, "roc", roc_json(scores, texts.labels, texts.n));
        exit = cli_print_json(value);
    } else {
        print_report(&report, target > 0 ? &at : NULL);
        exit = cli_output_status();
    }
    fathom_free(scores);
    fathom_probe_close(probe);
    fathom_texts_free(&decoys);
    fathom_texts_free(&texts);
    return exit;
}

static int run(struct cli_arguments *arguments) {
    struct fathom_probe_evaluation how = FATHOM_PROBE_EVALUATION_INIT;
    int64_t seed = 0;
    int64_t n_random = 0;
    double target = 0;
    int exit = CLI_USAGE;
    if (!cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1) ||
        !cli_integer(&n_random, arguments, "random", 1, 1000000, 1000) ||
        !cli_number(&target, arguments, "target", 1e-9, 0.5, 0)) {
        return exit;
    }
    how.seed = (uint64_t)seed;
    how.n_random = (size_t)n_random;
    fathom_model *model = cli_open_model(&exit, arguments);
    if (model == NULL) {
        return exit;
    }
    exit = evaluate(arguments, model, &how, target);
    fathom_model_close(model);
    return exit;
}

const struct cli_command cli_command_probe_eval = {
    .name = "probe eval",
    .summary = "how good a probe is on texts that it never saw, beside its controls",
    .operands = "PROBE",
    .least = 1,
    .most = 1,
    .description = "Prints the AUROC with a bootstrap interval, the counts at the probe's threshold, and what must be "
                   "compared with it: probes trained on "
                   "shuffled labels, random directions, the same regression on the bag of tokens, the length of the "
                   "text, and decoys. Repeats of "
                   "training texts are left out and counted; a text that shares half or more of its word pairs with a "
                   "training text is refused. With --json the ROC curve is told too.",
    .examples =
        "fathom probe eval reviews.gguf --labelled share/demo/probe_test.jsonl --decoys share/demo/probe_decoys.txt",
    .options = options,
    .run = run,
};
