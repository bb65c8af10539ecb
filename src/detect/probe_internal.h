/* What a probe is made of. */
#ifndef FATHOM_DETECT_PROBE_INTERNAL_H
#define FATHOM_DETECT_PROBE_INTERNAL_H

#include "detect/logistic.h"
#include <fathom/detect.h>

struct fathom_probe {
    struct fathom_probe_info info;
    char *path, *hook, *model_identity, *model_name;
    float *mean, *deviation; /* [d_in] of the training texts' pooled rows */
    float *weights;          /* [d_in], of standardised rows */
    float bias;
    float *shuffled; /* [n_shuffled, d_in]: weights learned from shuffled labels */

    /* The same regression on which token ids occur. */
    size_t n_bag;
    int32_t *bag_tokens; /* [n_bag], ascending */
    float *bag_weights;
    float bag_bias;

    /* The training texts as fathom__text_pairs gives them, for the leakage check. */
    size_t n_texts;
    int64_t *wholes;       /* [n_texts] */
    int64_t *pair_offsets; /* [n_texts + 1] */
    int32_t *pairs;
};

/* Fills the texts' hashes into a probe. */
int fathom__probe_remember(fathom_probe *probe, const struct fathom_texts *texts);

/* Decides which of the given texts may test the probe: keep[i] is false for repeats of a training text or of an earlier
 * test text. MISMATCH for a near-duplicate of a training text. */
int fathom__probe_admit(bool *keep, size_t *n_dropped, const fathom_probe *probe, const struct fathom_texts *texts);

/* (rows - mean) / deviation, in place. */
void fathom__probe_standardise(const fathom_probe *probe, float *rows, size_t n_rows);

/* Log-odds of a set of token ids under the bag-of-tokens regression. */
double fathom__probe_bag_score(const fathom_probe *probe, const int32_t *tokens, size_t n);

/* Copies texts[i] where keep[i] (NULL: all). */
int fathom__texts_select(struct fathom_texts *out, const struct fathom_texts *texts, const bool *keep);

/* Sets the strings of info from the probe's own fields. */
void fathom__probe_describe_strings(fathom_probe *probe);

#endif
