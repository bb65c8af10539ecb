#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "detect/activity.h"
#include <stdlib.h>

enum { SHUFFLES = 5 };

static int by_worth(const void *a, const void *b) {
    const struct fathom_watch_candidate *x = a;
    const struct fathom_watch_candidate *y = b;
    double worth_x = fathom_balanced_accuracy(&x->threshold.counts);
    double worth_y = fathom_balanced_accuracy(&y->threshold.counts);
    if (worth_x != worth_y) {
        return worth_x > worth_y ? -1 : 1;
    }
    if (x->auroc != y->auroc) {
        return x->auroc > y->auroc ? -1 : 1;
    }
    return x->feature < y->feature ? -1 : x->feature > y->feature;
}

/* A feature that fires nowhere else has its cut between 0 and its smallest level, where all alike are below. */
static int judge(void *judged, const struct fathom__active *entries, size_t n, const struct fathom_texts *texts,
                 double *scores) {
    struct fathom_watch_candidate *out = judged;
    out->feature = entries[0].feature;
    fathom__activity_spread(scores, texts->n, entries, n);
    int status = fathom_auroc(&out->auroc, scores, texts->labels, texts->n);
    return status == FATHOM_OK ? fathom_threshold_choose(&out->threshold, scores, texts->labels, texts->n, 0) : status;
}

/* Judges every feature; labels may be others than the texts' own. */
static int judge_all(struct fathom_watch_candidate **out, size_t *n_out, const struct fathom__active *entries,
                     size_t n_entries, const struct fathom_texts *texts) {
    void *judged = NULL;
    int status = fathom__activity_judge_all(&judged, n_out, sizeof **out, entries, n_entries, texts, judge);
    if (status == FATHOM_OK) {
        qsort(judged, *n_out, sizeof **out, by_worth);
        *out = judged;
    }
    return status;
}

static int judge_shuffled(double *by_chance, const struct fathom__active *entries, size_t n_entries,
                          const struct fathom_texts *texts, uint64_t seed) {
    struct fathom_texts shuffled = *texts;
    struct fathom__random random;
    uint32_t *order = NULL;
    double sum = 0;
    shuffled.labels = NULL;
    int status = fathom__alloc(&shuffled.labels, texts->n, sizeof *shuffled.labels);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&order, texts->n, sizeof *order);
    }
    fathom__random_seed(&random, seed);
    for (size_t i = 0; i < texts->n && status == FATHOM_OK; i++) {
        order[i] = (uint32_t)i;
    }
    for (int s = 0; s < SHUFFLES && status == FATHOM_OK; s++) {
        struct fathom_watch_candidate *candidates = NULL;
        size_t n = 0;
        fathom__random_shuffle(&random, order, texts->n);
        for (size_t i = 0; i < texts->n; i++) {
            shuffled.labels[i] = texts->labels[order[i]];
        }
        status = judge_all(&candidates, &n, entries, n_entries, &shuffled);
        sum += status == FATHOM_OK && n > 0 ? fathom_balanced_accuracy(&candidates[0].threshold.counts) : 0;
        fathom_free(candidates);
    }
    *by_chance = sum / SHUFFLES;
    fathom_free(order);
    fathom_free(shuffled.labels);
    return status;
}

int fathom_watch_candidates(struct fathom_watch_candidate **out, size_t *n_out, double *by_chance,
                            const fathom_model *model, const fathom_dictionary *dictionary,
                            const struct fathom_texts *texts, size_t most, uint64_t seed) {
    struct fathom__active *entries = NULL;
    struct fathom_watch_candidate *candidates = NULL;
    double chance = 0;
    size_t n_entries = 0;
    size_t n = 0;
    size_t positives = fathom_texts_count(texts, FATHOM_LABEL_POSITIVE);
    size_t negatives = fathom_texts_count(texts, FATHOM_LABEL_NEGATIVE);
    if (positives == 0 || negatives == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "features are told apart by texts of both classes; got %zu positive and %zu negative",
                            positives, negatives);
    }
    int status = fathom__activity_read(&entries, &n_entries, model, dictionary, texts);
    if (status == FATHOM_OK && by_chance != NULL) {
        status = judge_shuffled(&chance, entries, n_entries, texts, seed);
    }
    if (status == FATHOM_OK) {
        status = judge_all(&candidates, &n, entries, n_entries, texts);
    }
    fathom_free(entries);
    if (status != FATHOM_OK) {
        return status;
    }
    if (by_chance != NULL) {
        *by_chance = chance;
    }
    *out = candidates;
    *n_out = n < most ? n : most;
    return FATHOM_OK;
}
