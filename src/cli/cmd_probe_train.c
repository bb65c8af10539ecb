#include "labelled.h"
#include <inttypes.h>
#include <string.h>

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTIONS_LABELLED,
    {"hook", 0, CLI_HOOK, "NAME", "the hook point to read, such as resid_post.12", false, true},
    {"output", 'o', CLI_OUTPUT, "PROBE", "the probe file to write", false, true},
    {"pool", 0, CLI_CHOICE, "mean|last", "how a text's rows become one: their mean, or the last one (mean)", false,
     false},
    {"c", 0, CLI_NUMBER, "C", "weight of the errors against the penalty (chosen by cross-validation)", false, false},
    {"target", 0, CLI_NUMBER, "RATE",
     "false-positive rate for the threshold; needs 10 / RATE negatives (best balanced accuracy)", false, false},
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static int print_probe(const struct cli_arguments *arguments, const struct fathom_probe_info *info) {
    const char *path = cli_text(arguments, "output", "");
    const char *pool = info->pool == FATHOM_POOL_MEAN ? "mean" : "last";
    if (cli_json(arguments)) {
        return cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "probe", path,
                                        "hook", info->hook, "model", info->model_name, "pool", pool, "positive",
                                        (json_int_t)info->n_positive, "negative", (json_int_t)info->n_negative,
                                        "duplicates", (json_int_t)info->n_duplicates, "regularisation",
                                        info->regularisation, "threshold", info->threshold, "cross_validated_auroc",
                                        info->cross_validated_auroc, "max_norm", (double)info->max_norm));
    }
    printf("%s: %s of %s, %s of each text's rows\n", path, info->hook, info->model_name, pool);
    printf("  %u positive and %u negative texts", info->n_positive, info->n_negative);
    if (info->n_duplicates > 0) {
        printf(", %u repeats left out", info->n_duplicates);
    }
    printf("\n  AUROC %.3f by 5-fold cross-validation at C = %g; alerts from a score of %.3f\n",
           info->cross_validated_auroc, info->regularisation, info->threshold);
    puts("  How good it is, texts that it never saw must tell: fathom probe eval");
    return cli_output_status();
}

static int run(struct cli_arguments *arguments) {
    struct fathom_probe_options made = FATHOM_PROBE_OPTIONS_INIT;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    fathom_probe *probe = NULL;
    int64_t seed = 0;
    int exit = CLI_USAGE;
    if (!cli_number(&made.regularisation, arguments, "c", 1e-9, 1e9, 0) ||
        !cli_number(&made.target, arguments, "target", 1e-9, 0.5, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1)) {
        return exit;
    }
    made.hook = cli_text(arguments, "hook", NULL);
    made.pool = strcmp(cli_text(arguments, "pool", "mean"), "last") == 0 ? FATHOM_POOL_LAST : FATHOM_POOL_MEAN;
    made.seed = (uint64_t)seed;
    fathom_model *model = cli_open_model(&exit, arguments);
    if (model == NULL) {
        return exit;
    }
    int status = labelled_load(&texts, arguments);
    if (status == FATHOM_OK) {
        status = fathom_probe_train(&probe, model, &texts, &made);
    }
    if (status == FATHOM_OK) {
        status = fathom_probe_write(probe, cli_text(arguments, "output", ""));
    }
    exit = status == FATHOM_OK ? print_probe(arguments, fathom_probe_describe(probe)) : cli_fail(arguments, status);
    fathom_probe_close(probe);
    fathom_texts_free(&texts);
    fathom_model_close(model);
    return exit;
}

const struct cli_command cli_command_probe_train = {
    .name = "probe train",
    .summary = "learn a probe from labelled texts",
    .operands = "",
    .description = "Trains L2-regularised logistic regression on one row a text: the mean (or the last) of its "
                   "activations at a hook point, "
                   "standardised by the training texts' mean and deviation. The first position and rows of outlier "
                   "norm are left out. The strength of "
                   "the penalty and the threshold come from 5-fold cross-validation. The file also holds what the "
                   "probe has to beat: 20 probes "
                   "trained on shuffled labels, and the same regression on the texts' bags of tokens; and hashes of "
                   "the training texts' word pairs, by "
                   "which an evaluation refuses texts that the probe has seen.",
    .examples = "fathom probe train --labelled share/demo/probe_train.jsonl --hook resid_post.12 -o reviews.gguf",
    .options = options,
    .run = run,
};
