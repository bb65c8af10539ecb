#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include <fathom/detect.h>
#include <math.h>
#include <stdlib.h>

enum { FEWEST_RESAMPLES = 100 };

struct scored {
    double score;
    int8_t label;
};

static int by_score(const void *a, const void *b) {
    double x = ((const struct scored *)a)->score;
    double y = ((const struct scored *)b)->score;
    return x < y ? -1 : x > y;
}

/* New sorted pairs of the labelled items, after every check that all figures share. */
static int sorted_pairs(struct scored **out, size_t *n_out, size_t counts[2], const double *scores,
                        const int8_t *labels, size_t n) {
    struct scored *pairs = NULL;
    size_t kept = 0;
    int status = fathom__alloc(&pairs, n, sizeof *pairs);
    counts[0] = counts[1] = 0;
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        if (labels[i] != FATHOM_LABEL_POSITIVE && labels[i] != FATHOM_LABEL_NEGATIVE) {
            continue;
        }
        if (isnan(scores[i])) {
            status = fathom__fail(FATHOM_ERROR_NUMERIC, "score %zu is not a number", i);
        } else {
            pairs[kept++] = (struct scored){scores[i], labels[i]};
            counts[labels[i]]++;
        }
    }
    if (status == FATHOM_OK && (counts[0] == 0 || counts[1] == 0)) {
        status =
            fathom__fail(FATHOM_ERROR_ARGUMENT, "both classes are needed; there are %zu positives and %zu negatives",
                         counts[1], counts[0]);
    }
    if (status != FATHOM_OK) {
        fathom_free(pairs);
        return status;
    }
    qsort(pairs, kept, sizeof *pairs, by_score);
    *out = pairs;
    *n_out = kept;
    return FATHOM_OK;
}

/* AUROC of sorted pairs where pair i occurs times[i] times (NULL: once). */
static double area(const struct scored *pairs, size_t n, const uint32_t *times) {
    double wins = 0;
    double below = 0;
    double positives = 0;
    for (size_t first = 0; first < n;) {
        double tied[2] = {0, 0};
        size_t next = first;
        for (; next < n && pairs[next].score == pairs[first].score; next++) {
            tied[pairs[next].label] += times ? times[next] : 1;
        }
        wins += tied[1] * (below + 0.5 * tied[0]);
        below += tied[0];
        positives += tied[1];
        first = next;
    }
    return wins / (positives * below);
}

int fathom_auroc(double *out, const double *scores, const int8_t *labels, size_t n) {
    struct scored *pairs = NULL;
    size_t kept = 0;
    size_t counts[2];
    int status = sorted_pairs(&pairs, &kept, counts, scores, labels, n);
    if (status == FATHOM_OK) {
        *out = area(pairs, kept, NULL);
    }
    fathom_free(pairs);
    return status;
}

static int by_number(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Draws as many items of a class as it has, with replacement. `members` are their places in the sorted pairs. */
static void resample(uint32_t *times, const size_t *members, size_t n, struct fathom__random *random) {
    for (size_t i = 0; i < n; i++) {
        times[members[fathom__random_below(random, n)]]++;
    }
}

int fathom_auroc_interval(double *low, double *high, const double *scores, const int8_t *labels, size_t n,
                          double confidence, uint32_t resamples, uint64_t seed) {
    struct scored *pairs = NULL;
    size_t *members[2] = {NULL, NULL};
    uint32_t *times = NULL;
    double *areas = NULL;
    size_t kept = 0;
    size_t counts[2] = {0, 0};
    size_t filled[2] = {0, 0};
    struct fathom__random random;
    int status = FATHOM_OK;
    if (!(confidence > 0 && confidence < 1) || resamples < FEWEST_RESAMPLES) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "a bootstrap needs 0 < confidence < 1 and at least %d resamples; got %g and %u",
                            FEWEST_RESAMPLES, confidence, resamples);
    }
    status = sorted_pairs(&pairs, &kept, counts, scores, labels, n);
    for (int label = 0; label < 2 && status == FATHOM_OK; label++) {
        status = fathom__alloc(&members[label], counts[label], sizeof *members[label]);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&times, kept, sizeof *times);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&areas, resamples, sizeof *areas);
    }
    if (status != FATHOM_OK) {
        goto done;
    }
    for (size_t i = 0; i < kept; i++) {
        members[pairs[i].label][filled[pairs[i].label]++] = i;
    }
    fathom__random_seed(&random, seed);
    for (uint32_t r = 0; r < resamples; r++) {
        for (size_t i = 0; i < kept; i++) {
            times[i] = 0;
        }
        resample(times, members[0], counts[0], &random);
        resample(times, members[1], counts[1], &random);
        areas[r] = area(pairs, kept, times);
    }
    qsort(areas, resamples, sizeof *areas, by_number);
    *low = areas[(size_t)floor((1 - confidence) / 2 * (resamples - 1))];
    *high = areas[(size_t)ceil((1 + confidence) / 2 * (resamples - 1))];
done:
    fathom_free(areas);
    fathom_free(times);
    fathom_free(members[0]);
    fathom_free(members[1]);
    fathom_free(pairs);
    return status;
}

void fathom_count_alerts(struct fathom_counts *out, const double *scores, const int8_t *labels, size_t n,
                         double level) {
    *out = (struct fathom_counts){0};
    for (size_t i = 0; i < n; i++) {
        bool alert = scores[i] >= level;
        if (labels[i] == FATHOM_LABEL_POSITIVE) {
            *(alert ? &out->true_positive : &out->false_negative) += 1;
        } else if (labels[i] == FATHOM_LABEL_NEGATIVE) {
            *(alert ? &out->false_positive : &out->true_negative) += 1;
        }
    }
}

double fathom_balanced_accuracy(const struct fathom_counts *counts) {
    double positives = (double)(counts->true_positive + counts->false_negative);
    double negatives = (double)(counts->true_negative + counts->false_positive);
    if (positives == 0 || negatives == 0) {
        return NAN;
    }
    return 0.5 * ((double)counts->true_positive / positives + (double)counts->true_negative / negatives);
}

/* A level between two neighbouring scores; exactly the upper one where nothing lies between or a score is infinite. */
static double between(double lower, double upper) {
    double middle = lower + (upper - lower) / 2;
    return isfinite(middle) && middle > lower ? middle : upper;
}

/* The place of the first pair of the best cut: everything from there on alerts. */
static size_t best_cut(const struct scored *pairs, size_t n, const size_t counts[2]) {
    double best = -INFINITY;
    double best_gap = 0;
    size_t cut = 0;
    size_t passed[2] = {0, 0}; /* pairs below the cut */
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && pairs[i].score > pairs[i - 1].score) {
            double youden = (double)passed[0] / (double)counts[0] - (double)passed[1] / (double)counts[1];
            double gap = pairs[i].score - pairs[i - 1].score;
            if (youden > best || (youden == best && gap > best_gap)) {
                best = youden;
                best_gap = gap;
                cut = i;
            }
        }
        passed[pairs[i].label]++;
    }
    return cut;
}

/* The lowest cut with at most `allowed` negatives at or above it; n when only no alert at all will do. */
static size_t cut_for(const struct scored *pairs, size_t n, size_t allowed) {
    size_t negatives = 0;
    size_t cut = n;
    for (size_t last = n; last > 0;) {
        size_t first = last;
        for (; first > 0 && pairs[first - 1].score == pairs[last - 1].score; first--) {
            negatives += pairs[first - 1].label == FATHOM_LABEL_NEGATIVE;
        }
        if (negatives > allowed) {
            break;
        }
        cut = first;
        last = first;
    }
    return cut;
}

int fathom_threshold_choose(struct fathom_threshold *out, const double *scores, const int8_t *labels, size_t n,
                            double target) {
    struct scored *pairs = NULL;
    size_t kept = 0;
    size_t counts[2] = {0, 0};
    size_t cut = 0;
    int status = FATHOM_OK;
    if (!(target >= 0 && target < 1)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a false-positive rate lies in 0 … 1; got %g", target);
    }
    status = sorted_pairs(&pairs, &kept, counts, scores, labels, n);
    if (status != FATHOM_OK) {
        return status;
    }
    /* A rounding error in target · n must not ask for one negative more than 10 / target. */
    if (target > 0 && (double)counts[0] * target < FATHOM_FALSE_POSITIVES_NEEDED * (1 - 1e-9)) {
        status = fathom__fail(FATHOM_ERROR_LIMIT,
                              "a false-positive rate of %g %% can be claimed from %.0f negatives on; there are %zu",
                              100 * target, ceil(FATHOM_FALSE_POSITIVES_NEEDED / target - 1e-6), counts[0]);
        goto done;
    }
    cut =
        target > 0 ? cut_for(pairs, kept, (size_t)(target * (double)counts[0] + 1e-9)) : best_cut(pairs, kept, counts);
    if (cut == kept) {
        out->level = nextafter(pairs[kept - 1].score, INFINITY);
    } else {
        out->level = cut == 0 ? pairs[0].score : between(pairs[cut - 1].score, pairs[cut].score);
    }
    fathom_count_alerts(&out->counts, scores, labels, n, out->level);
    out->recall = (double)out->counts.true_positive / (double)counts[1];
    out->false_positive_rate = (double)out->counts.false_positive / (double)counts[0];
done:
    fathom_free(pairs);
    return status;
}
