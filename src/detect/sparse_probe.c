/* Sparse probing: how much of a labelled distinction lies in one, two or five features. */
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/activity.h"
#include "detect/logistic.h"
#include "detect/pool.h"
#include <fathom/sparse_probe.h>
#include <math.h>
#include <stdlib.h>

enum { FEWEST_TEXTS = 10, SHUFFLES = 5, MOST = FATHOM_SPARSE_PROBE_MOST };
static const double test_part = 0.2;
static const double regularisation = 1.0; /* C */
static const uint32_t sizes[FATHOM_SPARSE_PROBE_SIZES] = {1, 2, MOST};

/* Columns of numbers a text: features, sparse, or coordinates of a pooled row. */
struct columns {
    size_t n;
    const struct fathom__active *entries; /* by column, then text; NULL: dense */
    const size_t *starts;                 /* [n + 1], of each column's entries */
    const float *rows;                    /* [texts, n] */
};

struct probing {
    struct fathom_texts texts; /* training texts first; borrows the caller's texts */
    size_t n_train;
    float *values; /* [texts, columns chosen]: room for all of a row, and for MOST */
    double *scores;
};

/* Deals the texts of each class, shuffled, into training and test ones. */
static int divide(struct probing *out, const struct fathom_texts *texts, uint64_t seed) {
    uint32_t *order = NULL;
    struct fathom__random random;
    int status = fathom__alloc(&order, texts->n, sizeof *order);
    if (!status) status = fathom__alloc(&out->texts.texts, texts->n, sizeof *out->texts.texts);
    if (!status) status = fathom__alloc(&out->texts.labels, texts->n, sizeof *out->texts.labels);
    if (status) {
        fathom_free(order);
        return status;
    }
    for (size_t i = 0; i < texts->n; i++)
        order[i] = (uint32_t)i;
    fathom__random_seed(&random, seed);
    fathom__random_shuffle(&random, order, texts->n);
    for (int testing = 0; testing < 2; testing++) {
        for (int label = 0; label < 2; label++) {
            const size_t all = fathom_texts_count(texts, (enum fathom_text_label)label),
                         n_test = (size_t)ceil(test_part * (double)all);
            size_t seen = 0;
            for (size_t i = 0; i < texts->n; i++) {
                if (texts->labels[order[i]] != label) continue;
                if ((seen++ < n_test) != (testing == 1)) continue;
                out->texts.labels[out->texts.n] = (int8_t)label;
                out->texts.texts[out->texts.n++] = texts->texts[order[i]];
            }
        }
        if (!testing) out->n_train = out->texts.n;
    }
    fathom_free(order);
    return FATHOM_OK;
}

/* Mean of a column over the training texts of one label less that over those of the other. */
static double difference(const struct columns *columns, size_t column, const int8_t *labels, size_t n_train) {
    double sums[2] = {0, 0};
    size_t counts[2] = {0, 0};
    for (size_t t = 0; t < n_train; t++)
        counts[labels[t]]++;
    if (columns->entries) {
        for (size_t i = columns->starts[column]; i < columns->starts[column + 1]; i++)
            if (columns->entries[i].text < n_train) sums[labels[columns->entries[i].text]] += columns->entries[i].mean;
    } else {
        for (size_t t = 0; t < n_train; t++)
            sums[labels[t]] += columns->rows[t * columns->n + column];
    }
    return sums[1] / (double)counts[1] - sums[0] / (double)counts[0];
}

/* The columns of largest |difference|, the largest first; how many there are, at most MOST. */
static uint32_t choose(uint32_t out[MOST], const struct columns *columns, const int8_t *labels, size_t n_train) {
    double best[MOST];
    uint32_t n = 0;
    for (size_t c = 0; c < columns->n; c++) {
        const double size = fabs(difference(columns, c, labels, n_train));
        uint32_t at = n < MOST ? n++ : MOST;
        for (; at > 0 && best[at - 1] < size; at--)
            if (at < MOST) best[at] = best[at - 1], out[at] = out[at - 1];
        if (at < MOST) best[at] = size, out[at] = (uint32_t)c;
    }
    return n;
}

static void spread(float *values, size_t width, size_t place, const struct columns *columns, size_t column,
                   size_t n_texts) {
    for (size_t t = 0; t < n_texts; t++)
        values[t * width + place] = columns->entries ? 0 : columns->rows[t * columns->n + column];
    for (size_t i = columns->entries ? columns->starts[column] : 0; columns->entries && i < columns->starts[column + 1];
         i++)
        values[columns->entries[i].text * width + place] = columns->entries[i].mean;
}

/* By the training texts' mean and deviation. */
static void standardise(float *values, size_t width, size_t n_train, size_t n) {
    for (size_t c = 0; c < width; c++) {
        double sum = 0, squares = 0;
        for (size_t t = 0; t < n_train; t++)
            sum += values[t * width + c];
        const double mean = sum / (double)n_train;
        for (size_t t = 0; t < n_train; t++)
            squares += (values[t * width + c] - mean) * (values[t * width + c] - mean);
        const double deviation = sqrt(squares / (double)n_train);
        for (size_t t = 0; t < n; t++)
            values[t * width + c] = (float)((values[t * width + c] - mean) / (deviation > 0 ? deviation : 1));
    }
}

/* Trains on the first texts' values, whose labels may be shuffled ones, and judges the others by their true ones. */
static int fit(struct fathom_sparse_probe_figures *out, struct probing *probing, size_t width, const int8_t *labels) {
    const size_t n = probing->texts.n, n_train = probing->n_train, n_test = n - n_train;
    struct fathom__rows rows;
    size_t *offsets = NULL, right = 0;
    uint32_t *columns = NULL;
    double *weights = NULL, bias = 0;
    standardise(probing->values, width, n_train, n);
    int status = fathom__rows_dense(&rows, &offsets, &columns, probing->values, n_train, width);
    if (!status) status = fathom__alloc(&weights, width, sizeof *weights);
    if (!status) status = fathom__logistic_train(weights, &bias, &rows, labels, NULL, regularisation);
    for (size_t t = 0; t < n_test && !status; t++) {
        const float *values = probing->values + (n_train + t) * width;
        probing->scores[t] = bias;
        for (size_t c = 0; c < width; c++)
            probing->scores[t] += weights[c] * values[c];
        right += (probing->scores[t] > 0) == (probing->texts.labels[n_train + t] == FATHOM_LABEL_POSITIVE);
    }
    if (!status) status = fathom_auroc(&out->auroc, probing->scores, probing->texts.labels + n_train, n_test);
    out->accuracy = (double)right / (double)n_test;
    fathom_free(offsets);
    fathom_free(columns);
    fathom_free(weights);
    return status;
}

/* Probes of 1, 2 and 5 columns chosen and trained by `labels`. */
static int probe_columns(struct fathom_sparse_probe_figures out[FATHOM_SPARSE_PROBE_SIZES], uint32_t chosen[MOST],
                         uint32_t *n_chosen, struct probing *probing, const struct columns *columns,
                         const int8_t *labels) {
    int status = FATHOM_OK;
    *n_chosen = choose(chosen, columns, labels, probing->n_train);
    for (size_t s = 0; s < FATHOM_SPARSE_PROBE_SIZES && !status; s++) {
        const size_t width = sizes[s] < *n_chosen ? sizes[s] : *n_chosen;
        for (size_t i = 0; i < width; i++)
            spread(probing->values, width, i, columns, chosen[i], probing->texts.n);
        status = fit(&out[s], probing, width, labels);
    }
    return status;
}

static int probe_shuffled(struct fathom_sparse_probe_report *out, struct probing *probing,
                          const struct columns *features, uint64_t seed) {
    struct fathom_sparse_probe_figures figures[FATHOM_SPARSE_PROBE_SIZES];
    struct fathom__random random;
    uint32_t *order = NULL, chosen[MOST], n_chosen;
    int8_t *labels = NULL;
    int status = fathom__alloc(&order, probing->n_train, sizeof *order);
    if (!status) status = fathom__alloc(&labels, probing->n_train, sizeof *labels);
    fathom__random_seed(&random, seed);
    for (size_t t = 0; t < probing->n_train && !status; t++)
        order[t] = (uint32_t)t;
    for (int round = 0; round < SHUFFLES && !status; round++) {
        fathom__random_shuffle(&random, order, probing->n_train);
        for (size_t t = 0; t < probing->n_train; t++)
            labels[t] = probing->texts.labels[order[t]];
        status = probe_columns(figures, chosen, &n_chosen, probing, features, labels);
        for (size_t s = 0; s < FATHOM_SPARSE_PROBE_SIZES && !status; s++) {
            out->shuffled[s].auroc += figures[s].auroc / SHUFFLES;
            out->shuffled[s].accuracy += figures[s].accuracy / SHUFFLES;
        }
    }
    fathom_free(order);
    fathom_free(labels);
    return status;
}

/* Where each feature's entries begin. */
static int index_entries(size_t **out, const struct fathom__active *entries, size_t n, size_t n_features) {
    size_t *starts = NULL;
    int status = fathom__alloc(&starts, n_features + 1, sizeof *starts);
    for (size_t i = 0; i < n && !status; i++)
        starts[entries[i].feature + 1]++;
    for (size_t f = 0; f < n_features && !status; f++)
        starts[f + 1] += starts[f];
    *out = starts;
    return status;
}

static int check_texts(const struct fathom_texts *texts) {
    const size_t positives = fathom_texts_count(texts, FATHOM_LABEL_POSITIVE),
                 negatives = fathom_texts_count(texts, FATHOM_LABEL_NEGATIVE);
    if (positives + negatives != texts->n)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%zu of %zu texts carry no label", texts->n - positives - negatives,
                            texts->n);
    if (positives < FEWEST_TEXTS || negatives < FEWEST_TEXTS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "sparse probing needs at least %d texts of each class; got %zu and %zu", FEWEST_TEXTS,
                            positives, negatives);
    return FATHOM_OK;
}

/* All columns of one kind. */
static int probe_all(struct fathom_sparse_probe_report *out, struct probing *probing, const struct columns *features,
                     const struct columns *neurons, uint64_t seed) {
    uint32_t n_neurons;
    const int8_t *labels = probing->texts.labels;
    int status = probe_columns(out->feature_probes, out->features, &out->n_features, probing, features, labels);
    if (!status) status = probe_columns(out->neuron_probes, out->neurons, &n_neurons, probing, neurons, labels);
    if (!status) status = probe_shuffled(out, probing, features, seed);
    for (size_t c = 0; c < neurons->n && !status; c++)
        spread(probing->values, neurons->n, c, neurons, c, probing->texts.n);
    if (!status) status = fit(&out->whole, probing, neurons->n, labels);
    for (size_t s = 0; s < FATHOM_SPARSE_PROBE_SIZES; s++)
        out->k[s] = sizes[s];
    for (int label = 0; label < 2; label++)
        for (size_t t = 0; t < probing->texts.n; t++)
            *(t < probing->n_train ? &out->n_train[label] : &out->n_test[label]) += labels[t] == label;
    return status;
}

int fathom_sparse_probe(struct fathom_sparse_probe_report *out, const fathom_model *model,
                        const fathom_dictionary *dictionary, const struct fathom_texts *texts, uint64_t seed) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom_sparse_probe_report report = {0};
    struct probing probing = {0};
    struct fathom__active *entries = NULL;
    struct fathom_hook hook;
    size_t n_entries = 0, *starts = NULL;
    float *rows = NULL;
    bool *read = NULL;
    int status = check_texts(texts);
    if (!status) status = fathom_dictionary_match(&hook, dictionary, model);
    if (!status) status = divide(&probing, texts, seed);
    if (!status) status = fathom__activity_read(&entries, &n_entries, model, dictionary, &probing.texts);
    if (!status) status = index_entries(&starts, entries, n_entries, info->n_features);
    if (!status) status = fathom__alloc(&rows, texts->n * info->d_in, sizeof *rows);
    if (!status) status = fathom__alloc(&read, texts->n, sizeof *read);
    if (!status)
        status = fathom__pool_texts(&rows, read, model, &probing.texts, &hook, 1, &info->max_norm, FATHOM_POOL_MEAN);
    const size_t widest = info->d_in > MOST ? info->d_in : MOST;
    if (!status) status = fathom__alloc(&probing.values, texts->n * widest, sizeof *probing.values);
    if (!status) status = fathom__alloc(&probing.scores, texts->n, sizeof *probing.scores);
    if (!status)
        status =
            probe_all(&report, &probing, &(struct columns){.n = info->n_features, .entries = entries, .starts = starts},
                      &(struct columns){.n = info->d_in, .rows = rows}, seed);
    if (!status) *out = report;
    fathom_free(entries);
    fathom_free(starts);
    fathom_free(rows);
    fathom_free(read);
    fathom_free(probing.values);
    fathom_free(probing.scores);
    fathom_free(probing.texts.texts);
    fathom_free(probing.texts.labels);
    return status;
}
