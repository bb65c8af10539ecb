/* Figures of token sequences that need no model. */
#ifndef FATHOM_STEER_FLUENCY_H
#define FATHOM_STEER_FLUENCY_H

#include <stddef.h>
#include <stdint.h>

/* Share of the n-grams (of `size` tokens) that occurred earlier in the sequence; 0 when there is at most one. */
double fathom__repetition(const int32_t *tokens, size_t n, size_t size);

/* Distinct n-grams over all n-grams; 1 when there is at most one. */
double fathom__distinct(const int32_t *tokens, size_t n, size_t size);

size_t fathom__count_words(const char *text);

/* 3 / (1/a + 1/b + 1/c), 0 where a part is 0 or less; parts that are not numbers are left out. */
double fathom__harmonic_mean(const double *parts, size_t n);

#endif
