/* The k largest positive numbers of a stream of tiles, exactly.
 *
 * A key holds value and feature in one integer: larger values first, equal values by the smaller feature. Only positive values take part: what
 * TopK keeps of the others is set to zero by its ReLU anyway.
 */
#ifndef FATHOM_DICTIONARY_SELECT_H
#define FATHOM_DICTIONARY_SELECT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t fathom__key(float value, uint32_t feature) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint64_t)bits << 32 | (uint32_t)~feature;
}
static inline float fathom__key_value(uint64_t key) {
    uint32_t bits = (uint32_t)(key >> 32);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline uint32_t fathom__key_feature(uint64_t key) {
    return ~(uint32_t)key;
}

/* Brings the k largest of n keys to the front, in no order; k <= n. */
void fathom__select_keys(uint64_t *keys, size_t n, size_t k);
/* Sorts keys by ascending feature. */
void fathom__sort_by_feature(uint64_t *keys, size_t n);

/* Candidates of one row. */
struct fathom__candidates {
    uint64_t *keys; /* room for fathom__candidate_room(k, width) */
    size_t n;
    float floor; /* values must be larger: 0, then the k-th largest so far */
};

/* Room that a row needs when tiles of `width` features are offered. */
size_t fathom__candidate_room(size_t k, size_t width);

/* Offers values[i] + bias[i] of features first + i, i < n, n a multiple of 16 for the caller's padding: values past n_valid are ignored. Features must
 * come in ascending order over the calls. */
void fathom__offer(struct fathom__candidates *candidates, size_t k, const float *values, const float *bias,
                   uint32_t first, size_t n_valid);
/* Cuts down to the k largest. */
void fathom__settle(struct fathom__candidates *candidates, size_t k);

/* Appends all with value + bias > floor; keys must have room for n_valid more. */
void fathom__offer_above(uint64_t *keys, size_t *n, float floor, const float *values, const float *bias, uint32_t first,
                         size_t n_valid);

#endif
