/* The features that stand for a first letter: greedy forward selection among those that differ most. */
#include "base/memory.h"
#include "detect/absorption_internal.h"
#include "detect/logistic.h"
#include <math.h>
#include <string.h>

enum { CANDIDATES = 20 };
static const double feature_regularisation = 1; /* C */
static const double least_gain = 0.03;

static double f1_of(const double *scores, const int8_t *labels, size_t n) {
    size_t right = 0, said = 0, true_ones = 0;
    for (size_t i = 0; i < n; i++) {
        said += scores[i] > 0;
        true_ones += labels[i] == 1;
        right += scores[i] > 0 && labels[i] == 1;
    }
    return said + true_ones > 0 ? 2.0 * (double)right / (double)(said + true_ones) : 0;
}

int fathom__letter_score(struct fathom__measuring *m, double *weights, const float *values, size_t width,
                         const int8_t *labels, double regularisation) {
    struct fathom__rows rows;
    size_t *offsets = NULL;
    uint32_t *columns = NULL;
    double bias = 0;
    int status = fathom__rows_dense(&rows, &offsets, &columns, values, m->words->n_train, width);
    if (!status) status = fathom__logistic_train(weights, &bias, &rows, labels, NULL, regularisation);
    for (size_t r = 0; r < m->words->n && !status; r++) {
        m->scores[r] = bias;
        for (size_t c = 0; c < width; c++)
            m->scores[r] += weights[c] * values[r * width + c];
    }
    fathom_free(offsets);
    fathom_free(columns);
    return status;
}

double fathom__letter_f1(const struct fathom__measuring *m) {
    const size_t first = m->words->n_train;
    return f1_of(m->scores + first, m->labels + first, m->words->n - first);
}

/* The features whose mean is higher on the letter's words by the most deviations, best first. */
static uint32_t find_candidates(uint32_t out[CANDIDATES], const struct fathom__measuring *m, int letter) {
    const double n = (double)m->words->n_train, n_letter = (double)m->counts[letter];
    double best[CANDIDATES];
    uint32_t found = 0;
    for (uint32_t f = 0; f < m->n_features; f++) {
        const double sum = m->letter_sums[(size_t)letter * m->n_features + f],
                     gap = sum / n_letter - (m->sums[f] - sum) / (n - n_letter),
                     variance = m->squares[f] / n - pow(m->sums[f] / n, 2);
        if (gap <= 0 || variance <= 0) continue;
        const double value = gap / sqrt(variance);
        uint32_t at = found < CANDIDATES ? found++ : CANDIDATES;
        for (; at > 0 && best[at - 1] < value; at--)
            if (at < CANDIDATES) best[at] = best[at - 1], out[at] = out[at - 1];
        if (at < CANDIDATES) best[at] = value, out[at] = f;
    }
    return found;
}

/* Activations of features in all words, each as a part of its largest: [words, n]. */
static void spread(float *out, const struct fathom__measuring *m, const uint32_t *features, uint32_t n) {
    float largest[CANDIDATES] = {0};
    memset(out, 0, m->words->n * n * sizeof *out);
    for (size_t r = 0; r < m->words->n; r++)
        for (size_t i = m->sparse.offsets[r]; i < m->sparse.offsets[r + 1]; i++)
            for (uint32_t c = 0; c < n; c++)
                if (m->sparse.features[i] == features[c]) {
                    out[r * n + c] = m->sparse.values[i];
                    largest[c] = fmaxf(largest[c], m->sparse.values[i]);
                }
    for (size_t r = 0; r < m->words->n; r++)
        for (uint32_t c = 0; c < n; c++)
            if (largest[c] > 0) out[r * n + c] /= largest[c];
}

/* Scores words by the chosen columns of values [words, n]. */
static int score_by(struct fathom__measuring *m, float *columns, const float *values, uint32_t n,
                    const uint32_t *chosen, uint32_t n_chosen) {
    double weights[FATHOM_ABSORPTION_MOST];
    for (size_t r = 0; r < m->words->n; r++)
        for (uint32_t c = 0; c < n_chosen; c++)
            columns[r * n_chosen + c] = values[r * n + chosen[c]];
    return fathom__letter_score(m, weights, columns, n_chosen, m->labels, feature_regularisation);
}

int fathom__letter_features(struct fathom_absorption_letter *out, struct fathom__measuring *m, int letter) {
    uint32_t candidates[CANDIDATES], chosen[FATHOM_ABSORPTION_MOST];
    const uint32_t n = find_candidates(candidates, m, letter);
    bool taken[CANDIDATES] = {false};
    float *values = NULL, *columns = NULL;
    int status = fathom__alloc(&values, m->words->n * CANDIDATES, sizeof *values);
    if (!status) status = fathom__alloc(&columns, m->words->n * FATHOM_ABSORPTION_MOST, sizeof *columns);
    if (!status) spread(values, m, candidates, n);
    while (!status && out->n_features < FATHOM_ABSORPTION_MOST && out->n_features < n) {
        const uint32_t k = out->n_features;
        uint32_t best = n;
        double best_f1 = -1;
        for (uint32_t c = 0; c < n && !status; c++) {
            if (taken[c]) continue;
            chosen[k] = c;
            status = score_by(m, columns, values, n, chosen, k + 1);
            const double f1 = f1_of(m->scores, m->labels, m->words->n_train);
            if (f1 > best_f1) best_f1 = f1, best = c;
        }
        chosen[k] = best;
        if (!status) status = score_by(m, columns, values, n, chosen, k + 1);
        if (status) break;
        const double f1 = fathom__letter_f1(m);
        if (k > 0 && f1 - out->split_f1 <= least_gain) break;
        if (k == 0) out->best_f1 = f1;
        out->split_f1 = f1;
        taken[best] = true;
        out->features[out->n_features++] = candidates[best];
    }
    fathom_free(values);
    fathom_free(columns);
    return status;
}
