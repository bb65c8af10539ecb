/* What making labels for all features works on: label.c chooses rules, label_judge.c tests what was chosen, and
 * label_yield.c counts what became of it. */
#ifndef FATHOM_CATALOGUE_LABEL_WORK_H
#define FATHOM_CATALOGUE_LABEL_WORK_H

#include "catalogue/label_internal.h"

enum fathom__fate {
    FATHOM__FATE_DEAD,
    FATHOM__FATE_RARE,
    FATHOM__FATE_DENSE,
    FATHOM__FATE_NO_RULE,
    FATHOM__FATE_LOW_SCORE,
    FATHOM__FATE_LOW_F1,
    FATHOM__FATE_LABELLED
};

/* What a label is about: all of a feature's range, or its upper part (FATHOM__LABEL_STRONG). */
enum fathom__range { FATHOM__RANGE_WHOLE, FATHOM__RANGE_STRONG, FATHOM__RANGES };

/* What was chosen for one range of a feature. */
struct fathom__choice {
    struct fathom__rule rule, token; /* n 0: none */
};

struct fathom__outcome {
    enum fathom__fate fate;
    enum fathom__range range; /* that the label is about */
    struct fathom__choice choices[FATHOM__RANGES];
};

struct fathom__labelling {
    struct fathom__label_context context;
    struct fathom__outcome *outcomes; /* [n_features] */
    struct fathom_label *labels;      /* [n_features]; text NULL: none holds */
};

/* The same draws for a feature and a purpose, whichever thread makes them. */
void fathom__label_seed(struct fathom__random *random, const struct fathom__labelling *work, uint32_t feature,
                        uint64_t purpose);
/* The activation above which rows belong to a range. */
float fathom__label_least(const struct fathom__evidence *evidence, uint32_t feature, enum fathom__range range);
/* Whether a rule tells most of the strongest rows drawn: a label that is right about the weak ones alone misleads. */
bool fathom__label_tells_strong(const struct fathom__labelling *work, uint32_t feature,
                                const struct fathom__rule *rule);

/* Tests what was chosen for a range; a label that holds is written. Every feature's choices are made by then: the control
 * is other features' rules. */
int fathom__label_judge(enum fathom__fate *fate, struct fathom__labelling *work, struct fathom__label_scratch *scratch,
                        uint32_t feature, enum fathom__range range);

int fathom__label_count(struct fathom_label_counts *counts, const struct fathom__labelling *work, uint32_t n_features);
/* The labels that hold, taken over. */
int fathom__label_collect(struct fathom__feature_label **out, size_t *n, struct fathom__labelling *work,
                          uint32_t n_features);

#endif
