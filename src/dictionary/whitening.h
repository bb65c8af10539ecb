/* Linear maps that give the dimensions of rows comparable spreads: x -> P x before encoding, y -> P⁻¹ y after decoding.
 *
 * P is diagonal (each dimension divided by its standard deviation) or lower triangular (the inverse Cholesky factor of
 * the covariance, so that dimensions are uncorrelated too). Nothing is subtracted: a dictionary's b_dec does that.
 */
#ifndef FATHOM_DICTIONARY_WHITENING_H
#define FATHOM_DICTIONARY_WHITENING_H

#include <stdbool.h>
#include <stddef.h>

/* One of the two maps: P or P⁻¹. */
struct fathom__map {
    size_t d, stride; /* stride: d padded (vector.h) */
    bool diagonal;
    float *weights; /* [stride], or lower triangular rows [d, stride]; owned */
};

/* Copies weights f32 [d] or [d, d]; NULL: zeros, to be filled in. Errors: MEMORY. */
int fathom__map_open(struct fathom__map *out, const float *weights, size_t d, bool diagonal);
void fathom__map_close(struct fathom__map *map);
/* x = P x in place, x [stride], zero in the padding; without weights nothing. */
void fathom__map_apply(float *x, const struct fathom__map *map);
/* x = Pᵀ x likewise. */
void fathom__map_apply_transposed(float *x, const struct fathom__map *map);
/* The weights without padding: [d] or [d, d]. */
void fathom__map_weights(float *out, const struct fathom__map *map);
size_t fathom__map_count(const struct fathom__map *map); /* how many those are */

/* Both maps, in place of what they were, for rows f32 [n, d] that lie `step` numbers apart. A dimension without spread keeps its scale. full: lower
 * triangular maps. Errors: MEMORY, NUMERIC (a row that is not finite). */
int fathom__whitening_fit(struct fathom__map *forward, struct fathom__map *backward, const float *rows, size_t n,
                          size_t d, size_t step, bool full);

#endif
