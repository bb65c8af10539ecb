#include "corpus_arguments.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/drift.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_SHOWN = 10 };

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    {"corpus", 0, CLI_FILE, CLI_CORPUS_VALUE, "text whose rows are read", true, true},
    {"dtype", 0, CLI_CHOICE, "bf16|f16|q8_0", "compare with the same dictionary in this type", false, false},
    {"output", 'o', CLI_OUTPUT, "DICT", "keep the dictionary that --dtype makes", false, false},
    {"other-model", 0, CLI_FILE, "MODEL", "another form of the model, whose rows the second reading has", false, false},
    {"tokens", 0, CLI_INTEGER, "N", "rows read (16384)", false, false},
    {"context", 0, CLI_INTEGER, "N", "tokens of a sequence (256)", false, false},
    {"features", 0, CLI_INTEGER, "N", "features shown, those that moved most first (10)", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_SEED,
    CLI_OPTION_JSON,
    CLI_OPTION_END,
};

struct moved {
    uint32_t number;
    struct fathom_drift_feature feature;
};

/* What has moved furthest first: by the change itself, because its part is largest where a feature hardly fires. */
static int by_change(const void *a, const void *b) {
    const struct moved *x = a, *y = b;
    if (x->feature.change != y->feature.change) return x->feature.change < y->feature.change ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

static json_t *number_json(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static int print_json(const struct fathom_drift_summary *s, const struct moved *moved, size_t n) {
    json_t *features = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct fathom_drift_feature *f = &moved[i].feature;
        json_array_append_new(features,
                              json_pack("{s:i, s:I, s:I, s:I, s:f, s:f, s:o, s:f}", "feature", (int)moved[i].number,
                                        "rows_a", (json_int_t)f->rows_a, "rows_b", (json_int_t)f->rows_b, "rows_both",
                                        (json_int_t)f->rows_both, "mean", f->mean, "change", f->change, "error",
                                        number_json(f->error), "cosine", f->cosine));
    }
    return cli_print_json(json_pack(
        "{s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:o}", "rows", (json_int_t)s->rows,
        "rows_left_out", (json_int_t)s->rows_left_out, "l0_a", s->l0_a, "l0_b", s->l0_b, "overlap", s->overlap, "error",
        number_json(s->error), "reconstruction_error", number_json(s->reconstruction), "active", (json_int_t)s->active,
        "lost", (json_int_t)s->lost, "found", (json_int_t)s->found, "moved", (json_int_t)s->moved, "median_error",
        s->median, "ninetieth_error", s->ninetieth, "ninety_ninth_error", s->ninety_ninth, "features", features));
}

static int print_people(const struct fathom_drift_summary *s, const struct moved *moved, size_t n) {
    printf("%llu rows, %llu left out\n", (unsigned long long)s->rows, (unsigned long long)s->rows_left_out);
    printf("activations   moved by %.3g %% (root of the squared change over the squares); L0 %.2f to %.2f\n",
           100 * s->error, s->l0_a, s->l0_b);
    printf("active sets   %.2f %% the same\n", 100 * s->overlap);
    printf("reconstruction moved by %.3g %%\n", 100 * s->reconstruction);
    printf("features      %llu active: half moved by under %.3g %%, nine in ten by under %.3g %%, 99 in 100 by under "
           "%.3g %%\n",
           (unsigned long long)s->active, 100 * s->median, 100 * s->ninetieth, 100 * s->ninety_ninth);
    printf("              %llu moved by over 10 %%, %llu are silent afterwards, %llu are new\n",
           (unsigned long long)s->moved, (unsigned long long)s->lost, (unsigned long long)s->found);
    if (n > 0) printf("%9s %9s %9s %9s %10s %9s %8s\n", "feature", "rows", "after", "both", "mean", "moved", "cosine");
    for (size_t i = 0; i < n; i++) {
        const struct fathom_drift_feature *f = &moved[i].feature;
        char part[32] = "new";
        if (isfinite(f->error)) snprintf(part, sizeof part, "%.2f %%", 100 * f->error);
        printf("%9u %9llu %9llu %9llu %10.3f %9s %8.4f\n", moved[i].number, (unsigned long long)f->rows_a,
               (unsigned long long)f->rows_b, (unsigned long long)f->rows_both, f->mean, part, f->cosine);
    }
    return cli_output_status();
}

static int report(const struct cli_arguments *arguments, const fathom_drift *drift, uint32_t n_features, size_t shown) {
    struct fathom_drift_summary summary;
    struct moved *moved = NULL;
    size_t n = 0;
    int status = fathom_drift_summarise(&summary, drift);
    if (!status) status = fathom__alloc(&moved, n_features, sizeof *moved);
    for (uint32_t f = 0; f < n_features && !status; f++) {
        moved[n].number = f;
        status = fathom_drift_feature(&moved[n].feature, drift, f);
        n += moved[n].feature.rows_a + moved[n].feature.rows_b > 0;
    }
    if (!status) qsort(moved, n, sizeof *moved, by_change);
    if (n > shown) n = shown;
    const int code = status                ? cli_fail(arguments, status)
                     : cli_json(arguments) ? print_json(&summary, moved, n)
                                           : print_people(&summary, moved, n);
    fathom_free(moved);
    return code;
}

/* The second dictionary: the one that was named, the first one in another type, or the first one itself. */
static int open_second(fathom_dictionary **second, char **temporary, const struct cli_arguments *arguments,
                       const fathom_dictionary *first, const char *path) {
    const char *dtype = cli_text(arguments, "dtype", NULL), *kept = cli_text(arguments, "output", NULL),
               *folder = getenv("TMPDIR");
    int status = 0;
    if (!dtype) return fathom_dictionary_open(second, path);
    if (!kept) {
        status = fathom__format(temporary, "%s/fathom-drift-XXXXXX", folder && folder[0] ? folder : "/tmp");
        const int file = status ? -1 : mkstemp(*temporary);
        if (file >= 0)
            close(file);
        else if (!status)
            status = fathom__fail_errno(*temporary, "make");
        kept = *temporary;
    }
    if (!status) status = fathom_dictionary_quantise(kept, first, dtype);
    return status ? status : fathom_dictionary_open(second, kept);
}

static int measure(const struct cli_arguments *arguments, const struct fathom_drift_options *chosen, size_t shown) {
    size_t n;
    const char *const *paths = cli_operands(&n, arguments);
    fathom_dictionary *first = NULL, *second = NULL;
    fathom_model *model = NULL;
    fathom_drift *drift = NULL;
    char *temporary = NULL;
    int code = CLI_OK;
    int status = fathom_dictionary_open(&first, paths[0]);
    if (!status) status = open_second(&second, &temporary, arguments, first, paths[n - 1]);
    if (!status) status = fathom_drift_open(&drift, first, second);
    if (!status) model = cli_open_model(&code, arguments);
    if (model) status = fathom_drift_measure(drift, model, chosen);
    if (status)
        code = cli_fail(arguments, status);
    else if (model)
        code = report(arguments, drift, fathom_dictionary_describe(first)->n_features, shown);
    fathom_drift_close(drift);
    fathom_model_close(model);
    fathom_dictionary_close(second);
    fathom_dictionary_close(first);
    if (temporary) unlink(temporary);
    fathom_free(temporary);
    return code;
}

static int run(struct cli_arguments *arguments) {
    struct corpus_arguments corpus = {0};
    int64_t tokens, context, shown, threads, seed;
    size_t n_operands = 0;
    if (!cli_integer(&tokens, arguments, "tokens", 1, INT32_MAX, 0) ||
        !cli_integer(&context, arguments, "context", 2, 1 << 20, 0) ||
        !cli_integer(&shown, arguments, "features", 0, INT32_MAX, DEFAULT_SHOWN) ||
        !cli_integer(&threads, arguments, "threads", 1, 1024, 0) ||
        !cli_integer(&seed, arguments, "seed", 0, INT64_MAX, 1))
        return CLI_USAGE;
    (void)cli_operands(&n_operands, arguments);
    const bool dtype = cli_has(arguments, "dtype"), other = cli_has(arguments, "other-model");
    if (n_operands == 2 ? dtype : !dtype && !other)
        return cli_usage(arguments, "two dictionaries, or one with --dtype or --other-model, are expected");
    if (cli_has(arguments, "output") && !dtype) return cli_usage(arguments, "--output keeps what --dtype makes");
    const int status = corpus_arguments_read(&corpus, arguments, "corpus");
    const struct fathom_drift_options chosen = {.sources = corpus.list,
                                                .n_sources = corpus.n,
                                                .seed = (uint64_t)seed,
                                                .tokens = (uint64_t)tokens,
                                                .context = (uint32_t)context,
                                                .n_threads = (uint32_t)threads,
                                                .other_model_path = cli_text(arguments, "other-model", NULL),
                                                .progress = cli_progress};
    const int code = status ? cli_fail(arguments, status) : measure(arguments, &chosen, (size_t)shown);
    corpus_arguments_free(&corpus);
    return code;
}

const struct cli_command cli_command_drift = {
    .name = "drift",
    .summary = "measure how far features move when a dictionary or its model is quantised",
    .operands = "DICT [DICT]",
    .least = 1,
    .most = 2,
    .description =
        "Reads the same rows twice and compares the activations feature by feature: by two dictionaries with the same "
        "features, by one dictionary and its copy in another type (--dtype), or by one dictionary on the rows of two "
        "forms of a model (--other-model).\n\n"
        "A feature's movement is the length of the change of its activations over all rows, as a part of their length "
        "before. Shown are the features whose change is longest.",
    .examples = "fathom drift layer12.gguf --dtype q8_0 -m smollm2 --corpus text.jsonl # what q8_0 would cost\n"
                "fathom drift layer12.gguf --other-model smollm2-q4.gguf -m smollm2 --corpus text.jsonl # the model's",
    .options = options,
    .run = run,
};
