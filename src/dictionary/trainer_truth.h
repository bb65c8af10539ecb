/* Tests: data whose true features are known, and how many of them a decoder has. */
#ifndef FATHOM_DICTIONARY_TRAINER_TRUTH_H
#define FATHOM_DICTIONARY_TRAINER_TRUTH_H

#include <base/random.h>
#include <math.h>
#include <stddef.h>

#define FATHOM__RECOVERED 0.9 /* least cosine */

/* n random directions of length 1, f32 [n, d]. */
static inline void fathom__truth_directions(float *out, size_t n, size_t d, uint64_t seed) {
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (size_t f = 0; f < n; f++) {
        double squares = 0;
        for (size_t j = 0; j < d; j++) {
            out[f * d + j] = (float)fathom__random_normal(&random);
            squares += out[f * d + j] * out[f * d + j];
        }
        for (size_t j = 0; j < d; j++)
            out[f * d + j] /= (float)sqrt(squares);
    }
}

/* The decoder's row, of n_learned that are `stride` apart, with the largest cosine to a direction. */
static inline size_t fathom__truth_nearest(double *cosine, const float *direction, size_t d, const float *decoder,
                                           size_t n_learned, size_t stride) {
    size_t best = 0;
    *cosine = -1;
    for (size_t f = 0; f < n_learned; f++) {
        double product = 0, a = 0, b = 0;
        for (size_t j = 0; j < d; j++) {
            product += (double)direction[j] * decoder[f * stride + j];
            a += (double)direction[j] * direction[j];
            b += (double)decoder[f * stride + j] * decoder[f * stride + j];
        }
        if (!(a * b > 0) || product / sqrt(a * b) <= *cosine) continue;
        *cosine = product / sqrt(a * b);
        best = f;
    }
    return best;
}

/* The part of the directions that some decoder row points along. */
static inline double fathom__truth_recovered(const float *directions, size_t n, size_t d, const float *decoder,
                                             size_t n_learned, size_t stride) {
    size_t found = 0;
    for (size_t t = 0; t < n; t++) {
        double cosine;
        fathom__truth_nearest(&cosine, directions + t * d, d, decoder, n_learned, stride);
        found += cosine > FATHOM__RECOVERED;
    }
    return (double)found / (double)n;
}

#endif
