/* Places in two dimensions that keep neighbours near each other. */
#ifndef FATHOM_SERVER_EMBEDDING_H
#define FATHOM_SERVER_EMBEDDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of each of n points the k nearest others, nearest first; an index of UINT32_MAX stands for none. */
struct fathom__neighbours {
    size_t n, k;
    const uint32_t *nearest; /* [n, k] */
    const float *distances;  /* [n, k] */
};

/* Moves the points from where they are so that neighbours attract and all others repel each other: McInnes, Healy and Melville, "UMAP:
 * Uniform Manifold Approximation and Projection" (2018), with its edges' weights, its stochastic descent and its usual minimal distance
 * of 0.1. Both ends of an edge are repelled, by 12 others a time, where 5 are usual: directions of features are nearly alike in how
 * far they are from each other, and are crowded into one ball otherwise (of SmolLM2's 16,384 features' neighbours 1.4 % are kept by the
 * usual setting, 6.0 % by this one). The same seed and beginning give the same places on a machine. Where the points begin is scaled
 * to a width of 20. `stop` (NULL allowed) is asked now and then.
 * Errors: MEMORY, STOPPED. */
int fathom__embed(float *x, float *y, const struct fathom__neighbours *neighbours, uint64_t seed,
                  bool (*stop)(void *payload), void *payload);

#endif
