/* Sparse probing: how much of a labelled distinction lies in one, two or five features of a dictionary. */
#ifndef FATHOM_SPARSE_PROBE_H
#define FATHOM_SPARSE_PROBE_H

#include <fathom/detect.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FATHOM_SPARSE_PROBE_SIZES 3
#define FATHOM_SPARSE_PROBE_MOST 5

/* On test texts. accuracy: at log-odds of 0. */
struct fathom_sparse_probe_figures {
    double auroc, accuracy;
};

/* How much of a labelled distinction lies in a few features of a dictionary, beside what must be beaten. */
struct fathom_sparse_probe_report {
    size_t n_train[2], n_test[2];                /* texts, by label */
    uint32_t k[FATHOM_SPARSE_PROBE_SIZES];       /* 1, 2, 5 */
    uint32_t features[FATHOM_SPARSE_PROBE_MOST]; /* that were chosen, best first; a probe of k has the first k */
    uint32_t n_features;                         /* how many there are: the dictionary may have fewer than 5 */
    uint32_t neurons[FATHOM_SPARSE_PROBE_MOST];  /* coordinates of the row that were chosen likewise */
    struct fathom_sparse_probe_figures feature_probes[FATHOM_SPARSE_PROBE_SIZES];
    struct fathom_sparse_probe_figures neuron_probes[FATHOM_SPARSE_PROBE_SIZES];
    /* features chosen and weighed by shuffled training labels: mean over five shuffles */
    struct fathom_sparse_probe_figures shuffled[FATHOM_SPARSE_PROBE_SIZES];
    struct fathom_sparse_probe_figures whole; /* the whole row: the ceiling */
};

/* Gurnee et al. 2023 as in SAEBench: a text is the mean of its features' activations over its covered rows. On four
 * fifths of the texts, drawn by seed from each class, the k features with the largest difference of the classes' means
 * are chosen and logistic regression (C 1, classes of equal weight, columns standardised) is fitted to them; the other
 * fifth judges. Repeats should have been taken out (fathom_texts_unique). Choose and compare dictionaries on one set and
 * report on another: the best of thousands of features is in part chosen by chance, of which `shuffled` shows how
 * much.
 * Errors: ARGUMENT (a text without a label, fewer than 10 texts of a class), MISMATCH, those of sessions. */
FATHOM_API int fathom_sparse_probe(struct fathom_sparse_probe_report *out, const fathom_model *model,
                                   const fathom_dictionary *dictionary, const struct fathom_texts *texts,
                                   uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
