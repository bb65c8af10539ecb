#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/pool.h"
#include "detect/probe_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEWEST_TEXTS = 10, SHUFFLES = 20 };

/* Apart from one another whatever the user's seed. */
static const uint64_t shuffle_stream = UINT64_C(0x5d1f8e2b9c47a306);

static int check_texts(const struct fathom_texts *texts) {
    size_t positives = fathom_texts_count(texts, FATHOM_LABEL_POSITIVE);
    size_t negatives = fathom_texts_count(texts, FATHOM_LABEL_NEGATIVE);
    if (positives + negatives != texts->n) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%zu of %zu texts carry no label", texts->n - positives - negatives,
                            texts->n);
    }
    if (positives < FEWEST_TEXTS || negatives < FEWEST_TEXTS) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a probe needs at least %d texts of each class; got %zu and %zu",
                            FEWEST_TEXTS, positives, negatives);
    }
    return FATHOM_OK;
}

/* New pooled rows of the training texts, every one of which must have left a row. */
static int pooled_rows(float **rows, fathom_probe *probe, const fathom_model *model, const struct fathom_texts *texts,
                       struct fathom_hook hook) {
    bool *read = NULL;
    float median = 0;
    int status = fathom__median_norms(&median, model, texts, &hook, 1);
    if (status == FATHOM_OK) {
        status = fathom__alloc(rows, texts->n * probe->info.d_in, sizeof **rows);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&read, texts->n, sizeof *read);
    }
    probe->info.max_norm = FATHOM__OUTLIER_RATIO * median;
    if (status == FATHOM_OK) {
        status = fathom__pool_texts(rows, read, model, texts, &hook, 1, &probe->info.max_norm, probe->info.pool);
    }
    for (size_t t = 0; t < texts->n && status == FATHOM_OK; t++) {
        if (!read[t]) {
            status = fathom__fail(FATHOM_ERROR_ARGUMENT, "training text %zu: \"%s\" has no row after its first token",
                                  t + 1, texts->texts[t]);
        }
    }
    fathom_free(read);
    return status;
}

static int measure_scale(fathom_probe *probe, const float *rows, size_t n) {
    size_t width = probe->info.d_in;
    int status = fathom__alloc(&probe->mean, width, sizeof(float));
    if (status == FATHOM_OK) {
        status = fathom__alloc(&probe->deviation, width, sizeof(float));
    }
    for (size_t i = 0; i < width && status == FATHOM_OK; i++) {
        double sum = 0;
        double squares = 0;
        for (size_t r = 0; r < n; r++) {
            sum += rows[r * width + i];
        }
        double mean = sum / (double)n;
        for (size_t r = 0; r < n; r++) {
            squares += pow(rows[r * width + i] - mean, 2);
        }
        double deviation = sqrt(squares / (double)n);
        probe->mean[i] = (float)mean;
        probe->deviation[i] = deviation > 0 ? (float)deviation : 1.0f; /* a constant column says nothing either way */
    }
    return status;
}

static int train_weights(float *weights, float *bias, const struct fathom__rows *rows, const int8_t *labels,
                         double regularisation) {
    double *exact = NULL;
    double offset = 0;
    int status = fathom__alloc(&exact, rows->n_columns, sizeof *exact);
    if (status == FATHOM_OK) {
        status = fathom__logistic_train(exact, &offset, rows, labels, NULL, regularisation);
    }
    for (size_t i = 0; i < rows->n_columns && status == FATHOM_OK; i++) {
        weights[i] = (float)exact[i];
    }
    *bias = (float)offset;
    fathom_free(exact);
    return status;
}

static int train_main(fathom_probe *probe, const struct fathom__rows *rows, const int8_t *labels,
                      const struct fathom_probe_options *options) {
    struct fathom_threshold threshold;
    double *scores = NULL;
    int status = fathom__alloc(&scores, rows->n_rows, sizeof *scores);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&probe->weights, rows->n_columns, sizeof(float));
    }
    if (status == FATHOM_OK) {
        status = fathom__logistic_choose(&probe->info.regularisation, &probe->info.cross_validated_auroc, scores, rows,
                                         labels, options->regularisation, options->seed);
    }
    if (status == FATHOM_OK) {
        status = fathom_threshold_choose(&threshold, scores, labels, rows->n_rows, options->target);
    }
    if (status == FATHOM_OK) {
        status = train_weights(probe->weights, &probe->bias, rows, labels, probe->info.regularisation);
    }
    if (status == FATHOM_OK) {
        probe->info.threshold = (float)threshold.level; /* as the file keeps it */
        probe->info.regularisation = (float)probe->info.regularisation;
        probe->info.cross_validated_auroc = (float)probe->info.cross_validated_auroc;
    }
    fathom_free(scores);
    return status;
}

static int train_shuffled(fathom_probe *probe, const struct fathom__rows *rows, const int8_t *labels, uint64_t seed) {
    uint32_t *order = NULL;
    int8_t *drawn = NULL;
    struct fathom__random random;
    int status = fathom__alloc(&probe->shuffled, SHUFFLES * rows->n_columns, sizeof(float));
    if (status == FATHOM_OK) {
        status = fathom__alloc(&order, rows->n_rows, sizeof *order);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&drawn, rows->n_rows, sizeof *drawn);
    }
    fathom__random_seed(&random, seed ^ shuffle_stream);
    for (size_t i = 0; i < rows->n_rows && status == FATHOM_OK; i++) {
        order[i] = (uint32_t)i;
    }
    for (size_t s = 0; s < SHUFFLES && status == FATHOM_OK; s++) {
        float bias = 0;
        fathom__random_shuffle(&random, order, rows->n_rows);
        for (size_t i = 0; i < rows->n_rows; i++) {
            drawn[i] = labels[order[i]];
        }
        status = train_weights(probe->shuffled + s * rows->n_columns, &bias, rows, drawn, probe->info.regularisation);
    }
    probe->info.n_shuffled = SHUFFLES;
    fathom_free(drawn);
    fathom_free(order);
    return status;
}

static int by_token(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

static size_t sort_distinct(int32_t *tokens, size_t n) {
    size_t kept = 0;
    qsort(tokens, n, sizeof *tokens, by_token);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || tokens[i] != tokens[kept - 1]) {
            tokens[kept++] = tokens[i];
        }
    }
    return kept;
}

/* Token ids of a text, ascending and distinct, new. */
static int token_set(int32_t **out, size_t *n_out, const fathom_model *model, const char *text) {
    int status = fathom_tokenize(out, n_out, model, text, strlen(text), false, false);
    if (status == FATHOM_OK) {
        *n_out = sort_distinct(*out, *n_out);
    }
    return status;
}

struct bag {
    size_t *offsets;   /* [texts + 1] */
    int32_t *tokens;   /* all texts' token sets */
    uint32_t *columns; /* the same as places in the probe's bag_tokens */
    float *ones;
    size_t n, capacity;
};

static int collect_bag(struct bag *bag, const fathom_model *model, const struct fathom_texts *texts) {
    int status = fathom__alloc(&bag->offsets, texts->n + 1, sizeof *bag->offsets);
    for (size_t t = 0; t < texts->n && status == FATHOM_OK; t++) {
        int32_t *tokens = NULL;
        size_t n = 0;
        status = token_set(&tokens, &n, model, texts->texts[t]);
        if (status == FATHOM_OK) {
            status = fathom__grow(&bag->tokens, &bag->capacity, bag->n + n, sizeof *bag->tokens);
        }
        if (status == FATHOM_OK) {
            memcpy(bag->tokens + bag->n, tokens, n * sizeof *tokens);
            bag->n += n;
            bag->offsets[t + 1] = bag->n;
        }
        fathom_free(tokens);
    }
    return status;
}

/* The probe's bag_tokens, and each entry's column among them. */
static int number_bag(fathom_probe *probe, struct bag *bag) {
    int status = fathom__alloc(&probe->bag_tokens, bag->n, sizeof *probe->bag_tokens);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&bag->columns, bag->n, sizeof *bag->columns);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&bag->ones, bag->n, sizeof *bag->ones);
    }
    if (status != FATHOM_OK) {
        return status;
    }
    memcpy(probe->bag_tokens, bag->tokens, bag->n * sizeof *bag->tokens);
    probe->n_bag = sort_distinct(probe->bag_tokens, bag->n);
    for (size_t i = 0; i < bag->n; i++) {
        const int32_t *found = bsearch(&bag->tokens[i], probe->bag_tokens, probe->n_bag, sizeof(int32_t), by_token);
        bag->columns[i] = (uint32_t)(found - probe->bag_tokens);
        bag->ones[i] = 1.0f;
    }
    return FATHOM_OK;
}

static int train_bag(fathom_probe *probe, const fathom_model *model, const struct fathom_texts *texts, uint64_t seed) {
    struct bag bag = {0};
    double *scores = NULL;
    double c = 0;
    double auroc = 0;
    int status = collect_bag(&bag, model, texts);
    if (status == FATHOM_OK) {
        status = number_bag(probe, &bag);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&probe->bag_weights, probe->n_bag, sizeof(float));
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&scores, texts->n, sizeof *scores);
    }
    if (status == FATHOM_OK) {
        struct fathom__rows rows = {texts->n, probe->n_bag, bag.offsets, bag.columns, bag.ones};
        status = fathom__logistic_choose(&c, &auroc, scores, &rows, texts->labels, 0, seed);
        if (status == FATHOM_OK) {
            status = train_weights(probe->bag_weights, &probe->bag_bias, &rows, texts->labels, c);
        }
    }
    fathom_free(scores);
    fathom_free(bag.ones);
    fathom_free(bag.columns);
    fathom_free(bag.tokens);
    fathom_free(bag.offsets);
    return status;
}

static int name_probe(fathom_probe *probe, const fathom_model *model, struct fathom_hook hook) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    char name[FATHOM_HOOK_NAME_SIZE];
    fathom_hook_name(name, hook);
    int status = fathom__copy_string(&probe->hook, name);
    if (status == FATHOM_OK) {
        status = fathom__copy_string(&probe->model_identity, info->source_identity);
    }
    if (status == FATHOM_OK) {
        status = fathom__copy_string(&probe->model_name, info->name);
    }
    fathom__probe_describe_strings(probe);
    return status;
}

static int train_all(fathom_probe *probe, const fathom_model *model, const struct fathom_texts *texts,
                     struct fathom_hook hook, const struct fathom_probe_options *options) {
    float *values = NULL;
    size_t *offsets = NULL;
    uint32_t *columns = NULL;
    struct fathom__rows rows;
    int status = pooled_rows(&values, probe, model, texts, hook);
    if (status == FATHOM_OK) {
        status = measure_scale(probe, values, texts->n);
    }
    if (status == FATHOM_OK) {
        fathom__probe_standardise(probe, values, texts->n);
        status = fathom__rows_dense(&rows, &offsets, &columns, values, texts->n, probe->info.d_in);
    }
    if (status == FATHOM_OK) {
        status = train_main(probe, &rows, texts->labels, options);
    }
    if (status == FATHOM_OK) {
        status = train_shuffled(probe, &rows, texts->labels, options->seed);
    }
    if (status == FATHOM_OK) {
        status = train_bag(probe, model, texts, options->seed);
    }
    fathom_free(columns);
    fathom_free(offsets);
    fathom_free(values);
    return status;
}

int fathom_probe_train(fathom_probe **out, const fathom_model *model, const struct fathom_texts *texts,
                       const struct fathom_probe_options *options) {
    fathom_probe *probe = NULL;
    struct fathom_texts used = FATHOM_TEXTS_INIT;
    struct fathom_hook hook;
    size_t removed = 0;
    int status = FATHOM_OK;
    if (options == NULL || options->hook == NULL) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a probe needs a hook point");
    }
    if (!(options->regularisation >= 0) || !isfinite(options->regularisation)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "regularisation: must be positive and finite; got %g",
                            options->regularisation);
    }
    status = fathom_hook_parse(&hook, model, options->hook);
    if (status == FATHOM_OK && fathom__hook_width(model, hook) == 0) {
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: its rows have no fixed width", options->hook);
    }
    if (status == FATHOM_OK) {
        status = fathom__texts_select(&used, texts, NULL);
    }
    if (status == FATHOM_OK) {
        status = fathom_texts_unique(&removed, &used);
    }
    if (status == FATHOM_OK) {
        status = check_texts(&used);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&probe, 1, sizeof *probe);
    }
    if (status == FATHOM_OK) {
        probe->info.pool = options->pool;
        probe->info.d_in = (uint32_t)fathom__hook_width(model, hook);
        probe->info.seed = options->seed;
        probe->info.n_duplicates = (uint32_t)removed;
        probe->info.n_positive = (uint32_t)fathom_texts_count(&used, FATHOM_LABEL_POSITIVE);
        probe->info.n_negative = (uint32_t)fathom_texts_count(&used, FATHOM_LABEL_NEGATIVE);
        status = name_probe(probe, model, hook);
    }
    if (status == FATHOM_OK) {
        status = train_all(probe, model, &used, hook, options);
    }
    if (status == FATHOM_OK) {
        status = fathom__probe_remember(probe, &used);
    }
    fathom_texts_free(&used);
    if (status != FATHOM_OK) {
        fathom_probe_close(probe);
        return status;
    }
    *out = probe;
    return FATHOM_OK;
}
