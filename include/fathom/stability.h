/* Which features come back when a dictionary is trained again from another seed.
 *
 * A feature comes back in another dictionary as far as the largest cosine between its decoder row and that dictionary's
 * decoder rows. Dictionaries trained on the same rows from different seeds share only a part of their features (Paulo
 * and Belrose 2025, "Sparse autoencoders trained on the same data learn different features"); what comes back from every
 * seed is a property of the model rather than of a start.
 *
 * Random directions, as many as are measured, are matched with the same dictionaries: in few dimensions or among many
 * features they too have large cosines, and only what lies above them means anything.
 */
#ifndef FATHOM_STABILITY_H
#define FATHOM_STABILITY_H

#include <fathom/dictionary.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FATHOM_STABILITY_SIMILAR 0.7 /* cosines above which a feature is counted as having come back */
#define FATHOM_STABILITY_SAME 0.9

struct fathom_stability_figures {
    double mean, median;  /* over features, of the best cosine in that other dictionary which has the least */
    double similar, same; /* parts of the features where that is above the two limits */
};

struct fathom_stability {
    uint32_t n_features;
    float *best; /* [n_features]: that least best cosine; new (fathom_free) */
    struct fathom_stability_figures features, random;
};

/* Matches every dictionary with all the others. out has room for n (2 or more), one each; on an error nothing in it is
 * left to free. Costs features² · d multiplications a pair. Errors: ARGUMENT (fewer than two, or rows of different
 * widths), MEMORY. */
FATHOM_API int fathom_stability_measure(struct fathom_stability *out, const fathom_dictionary *const *dictionaries,
                                        size_t n, uint32_t n_threads);

#ifdef __cplusplus
}
#endif
#endif
