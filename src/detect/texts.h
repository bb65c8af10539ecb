/* Texts compared by their words: what counts as the same text, and as nearly the same. */
#ifndef FATHOM_DETECT_TEXTS_H
#define FATHOM_DETECT_TEXTS_H

#include <fathom/detect.h>

/* The set of a text's word pairs as sorted, distinct 32-bit hashes. Words are runs of letters and digits without case;
 * the text's start and end count as words, so that a text of n words has up to n + 1 pairs. *pairs is new
 * (fathom_free); *whole is a hash of the words in order. */
int fathom__text_pairs(uint32_t **pairs, size_t *n, uint64_t *whole, const char *text);

/* Shared pairs over all pairs of both sets (Jaccard). 0 when both are empty. */
double fathom__pairs_overlap(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b);

#endif
