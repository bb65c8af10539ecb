/* What became of features: how many have labels of each kind, and what those are worth. */
#include "catalogue/label_work.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static void add_yield(struct fathom_label_yield *yield, const struct fathom_label *label) {
    yield->n++;
    yield->score += ((double)label->score - yield->score) / yield->n;
    yield->f1 += ((double)label->f1 - yield->f1) / yield->n;
    yield->single_token += ((double)label->single_token - yield->single_token) / yield->n;
    yield->shuffled += ((double)label->shuffled - yield->shuffled) / yield->n;
}

static int by_text(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

int fathom__label_count(struct fathom_label_counts *counts, const struct fathom__labelling *work, uint32_t n_features) {
    const char **texts; /* of all labels */
    const int status = fathom__alloc(&texts, n_features, sizeof *texts);
    if (status) return status;
    *counts = (struct fathom_label_counts){0};
    for (uint32_t f = 0; f < n_features; f++) {
        const enum fathom__fate fate = work->outcomes[f].fate;
        counts->n_rare += fate == FATHOM__FATE_RARE;
        counts->n_dense += fate == FATHOM__FATE_DENSE;
        counts->n_candidates += fate >= FATHOM__FATE_NO_RULE;
        counts->n_no_rule += fate == FATHOM__FATE_NO_RULE;
        counts->n_low_score += fate == FATHOM__FATE_LOW_SCORE;
        counts->n_low_f1 += fate == FATHOM__FATE_LOW_F1;
        if (fate != FATHOM__FATE_LABELLED) continue;
        counts->n_strong += work->outcomes[f].range == FATHOM__RANGE_STRONG;
        texts[counts->all.n] = work->labels[f].text;
        add_yield(&counts->all, &work->labels[f]);
        add_yield(&counts->kinds[fathom__rule_kind(&work->outcomes[f].choices[work->outcomes[f].range].rule)],
                  &work->labels[f]);
    }
    if (counts->all.n) qsort(texts, counts->all.n, sizeof *texts, by_text);
    for (uint32_t i = 0; i < counts->all.n; i++)
        counts->n_distinct += !i || strcmp(texts[i], texts[i - 1]) != 0;
    fathom_free(texts);
    return FATHOM_OK;
}

int fathom__label_collect(struct fathom__feature_label **out, size_t *n, struct fathom__labelling *work,
                          uint32_t n_features) {
    size_t count = 0;
    for (uint32_t f = 0; f < n_features; f++)
        count += work->labels[f].text != NULL;
    const int status = fathom__alloc(out, count, sizeof **out);
    if (status) return status;
    *n = 0;
    for (uint32_t f = 0; f < n_features; f++)
        if (work->labels[f].text) (*out)[(*n)++] = (struct fathom__feature_label){f, work->labels[f]};
    return FATHOM_OK;
}
