/* Rows of one hook point on their way from the harvest to the trainers: exclusion, held-out rows, shuffling. */
#ifndef FATHOM_DICTIONARY_TRAIN_STREAM_H
#define FATHOM_DICTIONARY_TRAIN_STREAM_H

#include <base/random.h>
#include <fathom/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fathom__rows {
    size_t d, d_norm; /* numbers of a row; those of them, from the first, that its norm is of */
    uint32_t skip_positions;
    double norm_multiple; /* not above 0: none */
    float max_norm;       /* known once the held-out rows are complete */
    float *held_out;      /* [held_out_capacity, d]; before that complete, outliers included */
    size_t n_held_out, held_out_wanted, held_out_capacity;
    uint64_t last_held_out; /* the document that the held-out rows end in */
    bool held_out_complete;
    float *pool; /* [pool_capacity, d]: rows waiting to be drawn */
    size_t n_pool, pool_capacity;
    struct fathom__random random;
    uint64_t skipped_positions, skipped_norms;
};

int fathom__rows_open(struct fathom__rows *stream, size_t d, size_t held_out, size_t pool, uint64_t seed);
void fathom__rows_close(struct fathom__rows *stream);

/* Offers one row; it is left out, held out or put into the pool, which must not be full (fathom__rows_full). */
int fathom__rows_offer(struct fathom__rows *stream, const float *row, int32_t position, uint64_t document);
/* Whether the pool is full: rows must be drawn before more are offered. */
bool fathom__rows_full(const struct fathom__rows *stream);
/* Draws n rows at random out of the pool into out [n, d]; n <= n_pool. */
void fathom__rows_draw(float *out, struct fathom__rows *stream, size_t n);
/* Ends the held-out phase of a corpus that was shorter than it. */
int fathom__rows_settle(struct fathom__rows *stream);

#endif
