/* Where between the levels of two kinds of prompts a condition goes. */
#include "base/error.h"
#include "base/memory.h"
#include "steer/cast.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct levelled {
    float level;
    int8_t label;
};

static int by_level(const void *a, const void *b) {
    float x = ((const struct levelled *)a)->level;
    float y = ((const struct levelled *)b)->level;
    return x < y ? -1 : x > y;
}

static double f1_of(const struct fathom_counts *counts) {
    double named = (double)(2 * counts->true_positive + counts->false_positive + counts->false_negative);
    return named > 0 ? 2 * (double)counts->true_positive / named : 0;
}

/* The number of the fewest digits in the middle half of a gap, for people; its exact middle where six do not do. */
static float in_gap(float lower, float upper) {
    enum { MOST_DIGITS = 6 };
    double quarter = ((double)upper - lower) / 4;
    char text[32];
    for (int digits = 1; digits <= MOST_DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, ((double)lower + upper) / 2);
        double level = strtod(text, NULL);
        if (level >= lower + quarter && level <= upper - quarter && (float)level > lower && (float)level <= upper) {
            return (float)level;
        }
    }
    float middle = (float)(((double)lower + upper) / 2);
    return middle > lower ? middle : upper;
}

static double deviation(const struct levelled *items, size_t n) {
    double sum = 0;
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += items[i].level;
    }
    for (size_t i = 0; i < n; i++) {
        squares += (items[i].level - sum / (double)n) * (items[i].level - sum / (double)n);
    }
    return sqrt(squares / (double)n);
}

/* Tries every gap between sorted levels from both sides. Prompts without a level are never let through: they are among
 * the totals only. */
static void try_gaps(struct fathom_cast_point *out, const struct levelled *items, size_t n, const size_t totals[2]) {
    size_t under[2] = {0, 0};
    size_t read[2] = {0, 0};
    double widest = 0;
    for (size_t i = 0; i < n; i++) {
        read[items[i].label]++;
    }
    for (size_t i = 0; i < n; i++) {
        double gap = i > 0 ? (double)items[i].level - items[i - 1].level : 0;
        for (int below = 0; below < 2 && gap > 0; below++) {
            size_t positives = below ? under[1] : read[1] - under[1];
            size_t negatives = below ? under[0] : read[0] - under[0];
            const struct fathom_counts counts = {.true_positive = positives,
                                                 .false_positive = negatives,
                                                 .true_negative = totals[0] - negatives,
                                                 .false_negative = totals[1] - positives};
            double f1 = f1_of(&counts);
            if (isnan(out->f1) || f1 > out->f1 || (f1 == out->f1 && gap > widest)) {
                out->f1 = f1;
                out->counts = counts;
                out->below = below == 1;
                out->level = in_gap(items[i - 1].level, items[i].level);
                widest = gap;
            }
        }
        under[items[i].label]++;
    }
    out->margin = isnan(out->f1) ? 0 : widest / deviation(items, n);
}

static int measure_auroc(double *out, const float *levels, const int8_t *labels, size_t n) {
    double *scores = NULL;
    bool whole = true;
    size_t counts[2] = {0, 0};
    int status = fathom__alloc(&scores, n, sizeof *scores);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        scores[i] = levels[i];
        whole = whole && !isnan(levels[i]);
        counts[labels[i]]++;
    }
    *out = NAN;
    if (status == FATHOM_OK && whole && counts[0] > 0 && counts[1] > 0) {
        status = fathom_auroc(out, scores, labels, n);
    }
    fathom_free(scores);
    return status;
}

int fathom__cast_choose(struct fathom_cast_point *out, const float *levels, const int8_t *labels, size_t n) {
    struct levelled *items = NULL;
    size_t kept = 0;
    size_t totals[2] = {0, 0};
    int status = fathom__alloc(&items, n, sizeof *items);
    out->f1 = NAN;
    out->margin = 0;
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        totals[labels[i]]++;
        if (!isnan(levels[i])) {
            items[kept++] = (struct levelled){levels[i], labels[i]};
        }
    }
    if (status == FATHOM_OK) {
        qsort(items, kept, sizeof *items, by_level);
        try_gaps(out, items, kept, totals);
        status = measure_auroc(&out->auroc, levels, labels, n);
    }
    fathom_free(items);
    return status;
}

int fathom__cast_judge(struct fathom_cast_point *point, const float *levels, const int8_t *labels, size_t n) {
    point->counts = (struct fathom_counts){0};
    for (size_t i = 0; i < n; i++) {
        bool on = point->below ? levels[i] < point->level : levels[i] >= point->level;
        if (labels[i] == FATHOM_LABEL_POSITIVE) {
            *(on ? &point->counts.true_positive : &point->counts.false_negative) += 1;
        } else {
            *(on ? &point->counts.false_positive : &point->counts.true_negative) += 1;
        }
    }
    point->f1 = f1_of(&point->counts);
    return measure_auroc(&point->auroc, levels, labels, n);
}

double fathom__cast_always(const int8_t *labels, size_t n) {
    struct fathom_counts counts = {0};
    for (size_t i = 0; i < n; i++) {
        *(labels[i] == FATHOM_LABEL_POSITIVE ? &counts.true_positive : &counts.false_positive) += 1;
    }
    return f1_of(&counts);
}
