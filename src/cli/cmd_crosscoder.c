#include "corpus_arguments.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/crosscoder.h>
#include <math.h>
#include <stdlib.h>

enum { BINS = 20, FEWEST_ROWS = 8 /* in which a feature is active, for its ratios to count */ };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"model-b", 0, CLI_MODEL, "MODEL", "the second model, of a crosscoder of two", false, false},
    {"corpus", 0, CLI_FILE, CLI_CORPUS_VALUE, "text that the crosscoder was not trained on", true, true},
    {"tokens", 0, CLI_INTEGER, "N", "rows collected, half of them to fit the controls (16384)", false, false},
    {"loss-tokens", 0, CLI_INTEGER, "N", "tokens whose loss is measured with a reconstruction in place (2048)", false,
     false},
    {"context", 0, CLI_INTEGER, "N", "tokens of a sequence (256)", false, false},
    {"each-feature", 0, CLI_FLAG, NULL, "with --json: the figures of every feature as well", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

/* Features that are alone in a source by their share, or shared by two. */
struct group {
    uint32_t n, measured; /* features; those of them that enough rows activate */
    uint32_t really;      /* of those measured, with both ratios low */
    double error_ratio, reconstruction_ratio;
};

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n) {
    if (n == 0) return NAN;
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

/* source: SOURCE_SHARED for features that sources share. */
#define SOURCE_SHARED UINT32_MAX
static int find_group(struct group *out, const struct fathom_crosscoder_evaluation *e, uint32_t source) {
    double *errors = NULL, *reconstructions = NULL;
    int status = fathom__alloc(&errors, e->n_features, sizeof *errors);
    if (!status) status = fathom__alloc(&reconstructions, e->n_features, sizeof *reconstructions);
    *out = (struct group){0};
    for (uint32_t f = 0; f < e->n_features && !status; f++) {
        const struct fathom_crosscoder_feature *feature = &e->features[f];
        const bool alone = feature->share > FATHOM_CROSSCODER_ALONE && feature->home == source,
                   shared = feature->share < FATHOM_CROSSCODER_SHARED && source == SOURCE_SHARED;
        if (!alone && !shared) continue;
        out->n++;
        if (feature->rows < FEWEST_ROWS || isnan(feature->error_ratio) || isnan(feature->reconstruction_ratio))
            continue;
        errors[out->measured] = feature->error_ratio;
        reconstructions[out->measured++] = feature->reconstruction_ratio;
        out->really += feature->error_ratio < FATHOM_CROSSCODER_ERROR_RATIO &&
                       feature->reconstruction_ratio < FATHOM_CROSSCODER_RECONSTRUCTION_RATIO;
    }
    out->error_ratio = median(errors, out->measured);
    out->reconstruction_ratio = median(reconstructions, out->measured);
    fathom_free(errors);
    fathom_free(reconstructions);
    return status;
}

/* How many active features have a share of a source in each bin. */
static void count_shares(uint32_t bins[BINS], const struct fathom_crosscoder_evaluation *e, uint32_t source) {
    for (int b = 0; b < BINS; b++)
        bins[b] = 0;
    for (uint32_t f = 0; f < e->n_features; f++) {
        const int bin = (int)(e->shares[(size_t)f * e->n_sources + source] * BINS);
        if (e->features[f].rows) bins[bin < BINS ? bin : BINS - 1]++;
    }
}

static void print_source(const struct fathom_dictionary_source *source,
                         const struct fathom_crosscoder_source *measured) {
    printf("%s of %s; its own loss is %.4f nats a token\n", source->hook, source->model_name, measured->loss);
    printf("  %-14s %8s %10s %8s %20s\n", "", "FVE", "median FVE", "cosine", "loss change (nats)");
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        const struct fathom_reconstruction_quality *q = &measured->quality[which];
        if (which == FATHOM_RECONSTRUCT_CONTROL) continue;
        printf("  %-14s %8.4f %10.4f %8.4f %11.4f ± %.4f\n",
               fathom_reconstruction_name((enum fathom_reconstruction)which), q->fve, q->median_fve, q->cosine,
               q->delta_loss, q->delta_standard_error);
    }
}

static void print_group(const char *name, const struct group *group) {
    printf("  %-40s %7u", name, group->n);
    if (group->measured)
        printf(" %9u %12.3f %15.3f %8u", group->measured, group->error_ratio, group->reconstruction_ratio,
               group->really);
    putchar('\n');
}

static void print_shares(const struct fathom_crosscoder_evaluation *e, const struct fathom_dictionary_info *info,
                         uint32_t source) {
    enum { WIDEST = 50 };
    uint32_t bins[BINS], most = 1;
    count_shares(bins, e, source);
    for (int b = 0; b < BINS; b++)
        if (bins[b] > most) most = bins[b];
    printf("\nShare of %s in the decoder rows of active features\n", info->sources[source].hook);
    for (int b = 0; b < BINS; b++) {
        printf("  %4.2f %6u ", (double)b / BINS, bins[b]);
        for (uint32_t i = 0; i < bins[b] * WIDEST / most; i++)
            putchar('#');
        putchar('\n');
    }
}

static int print_people(const struct cli_arguments *arguments, const struct fathom_crosscoder_evaluation *e,
                        const struct fathom_dictionary_info *info) {
    struct group group;
    for (uint32_t s = 0; s < e->n_sources; s++)
        print_source(&info->sources[s], &e->sources[s]);
    printf("L0 %.1f; %.1f %% of the features silent; %llu rows measured, %llu left out; losses over %llu tokens\n",
           e->l0, 100 * e->silent_fraction, (unsigned long long)e->rows, (unsigned long long)e->rows_left_out,
           (unsigned long long)e->loss_tokens);
    for (uint32_t s = e->n_sources == 2 ? 1 : 0; s < e->n_sources; s++)
        print_shares(e, info, s);
    printf("\n  %-40s %7s %9s %12s %15s %8s\n", "features", "", "measured", "error ratio", "reconstruction", "really");
    for (uint32_t s = 0; s < e->n_sources; s++) {
        char name[FATHOM_HOOK_NAME_SIZE + 16];
        snprintf(name, sizeof name, "alone in %s", info->sources[s].hook);
        const int status = find_group(&group, e, s);
        if (status) return cli_fail(arguments, status);
        print_group(name, &group);
    }
    const int status = find_group(&group, e, SOURCE_SHARED);
    if (status) return cli_fail(arguments, status);
    print_group("shared: the control", &group);
    puts("  Medians; near 0 a feature is its source's own, near 1 another source has it too, whatever the shares say.");
    return cli_output_status();
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *source_json(const struct fathom_crosscoder_evaluation *e, const struct fathom_dictionary_info *info,
                           uint32_t s) {
    const struct fathom_dictionary_source *source = &info->sources[s];
    json_t *qualities = json_object(), *histogram = json_array();
    uint32_t bins[BINS];
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        const struct fathom_reconstruction_quality *q = &e->sources[s].quality[which];
        if (which == FATHOM_RECONSTRUCT_CONTROL) continue;
        json_object_set_new(qualities, fathom_reconstruction_name((enum fathom_reconstruction)which),
                            json_pack("{s:o, s:o, s:o, s:o, s:o}", "fve", number(q->fve), "median_fve",
                                      number(q->median_fve), "cosine", number(q->cosine), "delta_loss",
                                      number(q->delta_loss), "delta_standard_error", number(q->delta_standard_error)));
    }
    count_shares(bins, e, s);
    for (int b = 0; b < BINS; b++)
        json_array_append_new(histogram, json_integer(bins[b]));
    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:o, s:o}", "hook", source->hook, "model", source->model_name,
                     "model_identity", source->model_identity, "width", (int)source->width, "scale",
                     (double)source->scale, "loss", e->sources[s].loss, "reconstructions", qualities, "shares",
                     histogram);
}

static json_t *group_json(const struct group *group) {
    return json_pack("{s:i, s:i, s:i, s:o, s:o}", "features", (int)group->n, "measured", (int)group->measured, "really",
                     (int)group->really, "error_ratio", number(group->error_ratio), "reconstruction_ratio",
                     number(group->reconstruction_ratio));
}

static json_t *features_json(const struct fathom_crosscoder_evaluation *e) {
    json_t *array = json_array();
    for (uint32_t f = 0; f < e->n_features; f++) {
        const struct fathom_crosscoder_feature *feature = &e->features[f];
        json_t *shares = json_array();
        for (uint32_t s = 0; s < e->n_sources; s++)
            json_array_append_new(shares, json_real((double)e->shares[(size_t)f * e->n_sources + s]));
        json_array_append_new(array, json_pack("{s:i, s:I, s:i, s:o, s:o, s:o, s:o}", "feature", (int)f, "rows",
                                               (json_int_t)feature->rows, "home", (int)feature->home, "shares", shares,
                                               "cosine", number((double)feature->cosine), "error_ratio",
                                               number(feature->error_ratio), "reconstruction_ratio",
                                               number(feature->reconstruction_ratio)));
    }
    return array;
}

static int print_json(const struct cli_arguments *arguments, const struct fathom_crosscoder_evaluation *e,
                      const struct fathom_dictionary_info *info) {
    json_t *sources = json_array(), *alone = json_array();
    struct group group;
    int status = 0;
    for (uint32_t s = 0; s < e->n_sources && !status; s++) {
        json_array_append_new(sources, source_json(e, info, s));
        status = find_group(&group, e, s);
        json_array_append_new(alone, group_json(&group));
    }
    if (!status) status = find_group(&group, e, SOURCE_SHARED);
    json_t *value = json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:I, s:I, s:I, s:o, s:o, s:o}", "dictionary", info->path,
                              "architecture", info->architecture, "features", (int)info->n_features, "k", (int)info->k,
                              "l0", e->l0, "silent_fraction", e->silent_fraction, "rows", (json_int_t)e->rows,
                              "rows_left_out", (json_int_t)e->rows_left_out, "loss_tokens", (json_int_t)e->loss_tokens,
                              "sources", sources, "alone", alone, "shared", group_json(&group));
    if (cli_has(arguments, "each-feature")) json_object_set_new(value, "each_feature", features_json(e));
    if (!status) return cli_print_json(value);
    json_decref(value);
    return cli_fail(arguments, status);
}

static int evaluate(const struct cli_arguments *arguments, const fathom_dictionary *dictionary,
                    const struct fathom_evaluate_options *chosen) {
    const char *second = cli_text(arguments, "model-b", NULL);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom_crosscoder_evaluation *evaluation = NULL;
    fathom_model *model_b = NULL;
    int code = CLI_OK, status = 0;
    fathom_model *model = cli_open_model(&code, arguments);
    if (!model) return code;
    if (second) status = fathom_model_open(&model_b, second, NULL);
    if (!status) status = fathom_crosscoder_evaluate(&evaluation, dictionary, model, model_b, chosen);
    if (status)
        code = cli_fail(arguments, status);
    else if (cli_json(arguments))
        code = print_json(arguments, evaluation, info);
    else
        code = print_people(arguments, evaluation, info);
    fathom_crosscoder_evaluation_free(evaluation);
    fathom_model_close(model);
    fathom_model_close(model_b);
    return code;
}

static int run(struct cli_arguments *arguments) {
    struct corpus_arguments corpus = {0};
    int64_t tokens, loss_tokens, context, threads, seed;
    size_t n_operands;
    int code;
    fathom_dictionary *dictionary = NULL;
    if (!cli_integer(&tokens, arguments, "tokens", 1024, INT32_MAX, 0) ||
        !cli_integer(&loss_tokens, arguments, "loss-tokens", 1, INT32_MAX, 0) ||
        !cli_integer(&context, arguments, "context", 2, 1 << 20, 0) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return CLI_USAGE;
    const char *path = cli_operands(&n_operands, arguments)[0];
    int status = corpus_arguments_read(&corpus, arguments, "corpus");
    if (!status) status = fathom_dictionary_open(&dictionary, path);
    const struct fathom_evaluate_options chosen = {.sources = corpus.list,
                                                   .n_sources = corpus.n,
                                                   .seed = (uint64_t)seed,
                                                   .tokens = (uint64_t)tokens,
                                                   .loss_tokens = (uint64_t)loss_tokens,
                                                   .context = (uint32_t)context,
                                                   .n_threads = (uint32_t)threads,
                                                   .progress = cli_progress};
    code = status ? cli_fail(arguments, status) : evaluate(arguments, dictionary, &chosen);
    fathom_dictionary_close(dictionary);
    corpus_arguments_free(&corpus);
    return code;
}

const struct cli_command cli_command_crosscoder = {
    .name = "crosscoder",
    .summary = "measure a crosscoder: what it is worth at each source, and whose its features are",
    .operands = "DICT",
    .least = 1,
    .most = 1,
    .description =
        "For each source, how much of its rows' variance the crosscoder explains and what next-token loss its "
        "reconstruction costs there, beside controls fitted to the rows of all sources together: an untrained one of "
        "the "
        "same shape, principal components, single coordinates, the mean row of each token, the mean row.\n\n"
        "A feature's share in a source is the length of its decoder row's part there beside all parts' (relative "
        "decoder norm). Features alone in one source by their share may be artefacts of training: latent scaling asks "
        "how much of what they write is in the other source's rows as well, in what is left unexplained there (error "
        "ratio) and in what other features reconstruct (reconstruction ratio). Shared features are the control.",
    .examples = "fathom crosscoder cross.gguf -m smollm2 --corpus held-out.jsonl # two layers of one model\n"
                "fathom crosscoder changed.gguf -m base.gguf --model-b tuned.gguf --corpus held-out.jsonl --json "
                "--each-feature # two models",
    .options = options,
    .run = run,
};
