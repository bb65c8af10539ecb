/* Offline labels: for every feature the rule that tells best where it is active, found on some documents, chosen on
 * others and tested on others still.
 *
 * Proposals come from the rows drawn of a feature (PROPOSE): sets of tokens or words here, before, after or near that
 * the feature's rows have far more often than the corpus has; classes of nouns that its entries belong to more often
 * than chance allows; shapes, endings and beginnings of words. Choice (CHOOSE) and test (TEST) are by balanced accuracy
 * on rows where the feature is active, taken evenly from all quarters of its range, against near misses: the same words
 * where it is not active, what follows the same words, rows where its nearest features are active and it is not, and
 * other rows. A feature whose weak activations no rule tells may still have a label for the upper half of its range: it
 * is chosen and tested on rows of that half, against the same rows where it is silent, and says so ("athletes (where
 * strong)"). A class is preferred to a list of words that is better by no more than CLASS_GAIN (label_choose.c); a list
 * whose members share a class, or how they are written, is called by that (label_name.c), and labels that several
 * features have are told apart by the word where each is strongest (label_apart.c). Few rows of a sample read alike: a
 * sentence that the corpus repeats counts little more than once.
 */
#ifndef FATHOM_CATALOGUE_LABEL_H
#define FATHOM_CATALOGUE_LABEL_H

#include "catalogue/rule.h"

#define FATHOM__NEIGHBOURS 8

/* A label is kept when, on test documents, */
#define FATHOM__LABEL_SCORE 0.70f  /* its balanced accuracy is at least this, */
#define FATHOM__LABEL_MARGIN 0.10f /* at least so much above that of other features' labels, */
#define FATHOM__LABEL_F1 0.10f     /* its F1 over all rows at the true prevalence is at least this, */
/* it tells at least half of the rows drawn above half of the feature's maximum, */
#define FATHOM__LABEL_ACTIVE 8    /* it was measured on at least so many active rows, */
#define FATHOM__LABEL_DENSITY 0.2 /* and the feature is active on no more than this share of rows. */

struct fathom__feature_label {
    uint32_t feature;
    struct fathom_label label; /* text and rule are owned; origin is static */
};

struct fathom__label_options {
    const struct fathom_neighbour *neighbours; /* [n_features, FATHOM__NEIGHBOURS], or NULL */
    const struct fathom_effect *effects;       /* [n_features, 2, FATHOM__EFFECTS], or NULL */
    uint64_t seed;
    uint32_t n_threads;
    bool no_quotes; /* no label that quotes the corpus */
    fathom_progress_fn progress;
    void *payload;
};

/* Labels of all features that have one that holds, in feature order, and what became of the others. *out is new: free it
 * with fathom__labels_free. */
int fathom__labels_make(struct fathom__feature_label **out, size_t *n, struct fathom_label_counts *counts,
                        const struct fathom__stream *stream, const struct fathom__label_options *options);
void fathom__labels_free(struct fathom__feature_label *labels, size_t n);

#endif
