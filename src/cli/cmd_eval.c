#include "cli.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/evaluate.h>

enum { MOST_SOURCES = 4096 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"corpus", 0, CLI_FILE, "FILE[:FIELD][=WEIGHT[*]]", "text that the dictionary was not trained on", true, true},
    {"tokens", 0, CLI_INTEGER, "N", "rows collected, half of them to fit the controls (65536)", false, false},
    {"loss-tokens", 0, CLI_INTEGER, "N", "tokens whose loss is measured with the reconstruction in place (8192)", false,
     false},
    {"context", 0, CLI_INTEGER, "N", "tokens of a sequence (256)", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

static const char *explain(enum fathom_reconstruction which) {
    static const char *const texts[FATHOM_RECONSTRUCTIONS] = {"this dictionary, as it is read at run time",
                                                              "this dictionary, as it was trained",
                                                              "same shape, untrained",
                                                              "as many principal components",
                                                              "mean row of the token",
                                                              "mean row"};
    return texts[which];
}

static void print_people(const struct fathom_evaluation *e) {
    printf("%-44s %8s %10s %8s %18s\n", "", "FVE", "median FVE", "cosine", "loss change (nats)");
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        const struct fathom_reconstruction_quality *q = &e->quality[which];
        printf("%-44s %8.4f %10.4f %8.4f %10.4f ± %.4f\n", explain((enum fathom_reconstruction)which), q->fve,
               q->median_fve, q->cosine, q->delta_loss, q->delta_standard_error);
    }
    printf("L0 %.1f at run time, %.1f as trained; %.1f %% of the features silent, %.2f %% dense\n", e->l0,
           e->l0_trained, 100 * e->silent_fraction, 100 * e->dense_fraction);
    printf("%llu rows measured, %llu left out; the model's own loss is %.4f nats a token over %llu tokens\n",
           (unsigned long long)e->rows, (unsigned long long)e->rows_left_out, e->loss,
           (unsigned long long)e->loss_tokens);
}

static int print_json(const struct fathom_evaluation *e, const struct fathom_dictionary_info *info) {
    json_t *qualities = json_object();
    for (int which = 0; which < FATHOM_RECONSTRUCTIONS; which++) {
        const struct fathom_reconstruction_quality *q = &e->quality[which];
        json_object_set_new(qualities, fathom_reconstruction_name((enum fathom_reconstruction)which),
                            json_pack("{s:f, s:f, s:f, s:f, s:f}", "fve", q->fve, "median_fve", q->median_fve, "cosine",
                                      q->cosine, "delta_loss", q->delta_loss, "delta_standard_error",
                                      q->delta_standard_error));
    }
    return cli_print_json(json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:o}", "dictionary", info->path,
        "architecture", info->architecture, "hook", info->hook_in, "features", (int)info->n_features, "k", (int)info->k,
        "l0", e->l0, "l0_trained", e->l0_trained, "silent_fraction", e->silent_fraction, "dense_fraction",
        e->dense_fraction, "loss", e->loss, "rows", (json_int_t)e->rows, "rows_left_out", (json_int_t)e->rows_left_out,
        "loss_tokens", (json_int_t)e->loss_tokens, "reconstructions", qualities));
}

static int evaluate(const struct cli_arguments *arguments, fathom_model *model, fathom_dictionary *dictionary,
                    const struct fathom_evaluate_options *chosen) {
    struct fathom_evaluation evaluation;
    int status = fathom_evaluate(&evaluation, dictionary, model, chosen);
    if (status) return cli_fail(arguments, status);
    if (cli_json(arguments)) return print_json(&evaluation, fathom_dictionary_describe(dictionary));
    print_people(&evaluation);
    return CLI_OK;
}

static int run(struct cli_arguments *arguments) {
    struct fathom_corpus_source sources[MOST_SOURCES];
    char *storage[MOST_SOURCES] = {NULL};
    int64_t tokens, loss_tokens, context, threads, seed;
    size_t n = 0, n_operands;
    int code = CLI_OK, status = 0;
    fathom_dictionary *dictionary = NULL;
    fathom_model *model = NULL;
    if (!cli_integer(&tokens, arguments, "tokens", 1024, INT32_MAX, 0) ||
        !cli_integer(&loss_tokens, arguments, "loss-tokens", 1, INT32_MAX, 0) ||
        !cli_integer(&context, arguments, "context", 2, 1 << 20, 0) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return CLI_USAGE;
    const char *path = cli_operands(&n_operands, arguments)[0];
    const char *const *texts = cli_all(&n, arguments, "corpus");
    if (n > MOST_SOURCES) return cli_usage(arguments, "--corpus: at most %d sources are read", MOST_SOURCES);
    for (size_t i = 0; i < n && !status; i++)
        status = fathom_corpus_source_parse(&sources[i], &storage[i], texts[i]);
    if (!status) status = fathom_dictionary_open(&dictionary, path);
    if (status) {
        code = cli_fail(arguments, status);
    } else {
        model = cli_open_model(&code, arguments);
        const struct fathom_evaluate_options chosen = {.sources = sources,
                                                       .n_sources = n,
                                                       .seed = (uint64_t)seed,
                                                       .tokens = (uint64_t)tokens,
                                                       .loss_tokens = (uint64_t)loss_tokens,
                                                       .context = (uint32_t)context,
                                                       .n_threads = (uint32_t)threads,
                                                       .progress = cli_progress};
        if (model) code = evaluate(arguments, model, dictionary, &chosen);
    }
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    for (size_t i = 0; i < n; i++)
        fathom_free(storage[i]);
    return code;
}

const struct cli_command cli_command_eval = {
    .name = "eval",
    .summary = "measure what a dictionary is worth, beside controls",
    .operands = "DICT",
    .least = 1,
    .most = 1,
    .description = "Measures how much of the activations' variance the dictionary explains and what next-token loss it "
                   "costs when its reconstruction takes the activations' place, "
                   "beside the same figures for an untrained dictionary of the same shape, as many principal "
                   "components, the mean row of each token, and the mean row alone.",
    .examples = "fathom eval layer12.gguf -m smollm2 --corpus held-out.jsonl # figures beside controls",
    .options = options,
    .run = run,
};
