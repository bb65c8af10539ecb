/* The k largest positive numbers of a stream of tiles, exactly; of equal numbers the one with the smaller feature.
 *
 * Only positive values take part: what TopK keeps of the others is set to zero by its ReLU anyway.
 */
#ifndef FATHOM_DICTIONARY_SELECT_H
#define FATHOM_DICTIONARY_SELECT_H

#include <stddef.h>
#include <stdint.h>

/* Candidates of one row, by ascending feature. */
struct fathom__candidates {
    float *values;
    uint32_t *features;
    size_t n;
    float floor; /* values must be larger: 0, then the k-th largest so far */
};

/* Room that a row needs. */
size_t fathom__candidate_room(size_t k);

/* Offers values[i] + bias[i] of the features first + i, i < n. Features must come in ascending order over the calls. */
void fathom__offer(struct fathom__candidates *candidates, size_t k, const float *values, const float *bias,
                   uint32_t first, size_t n);
/* Cuts down to the k largest; their order stays. */
void fathom__settle(struct fathom__candidates *candidates, size_t k);

/* Writes past the last candidate: this much more room is needed than there are candidates. */
#define FATHOM__OFFER_SLACK 16

/* Appends all with value + bias > floor; the arrays must have room for n and FATHOM__OFFER_SLACK more. */
void fathom__offer_above(float *values_out, uint32_t *features_out, size_t *n_out, float floor, const float *values,
                         const float *bias, uint32_t first, size_t n);

#endif
