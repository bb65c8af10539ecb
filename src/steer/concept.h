/* Concepts as the steer room sees them. */
#ifndef FATHOM_STEER_CONCEPT_H
#define FATHOM_STEER_CONCEPT_H

#include <fathom/steer.h>

/* The distinct first tokens of its words, with and without a space before them; none for regular expressions.
 * Borrowed. */
const int32_t *fathom__concept_tokens(size_t *n, const fathom_concept *concept);

/* Natural logarithm of the sum of softmax(logits) over those tokens; -INFINITY when there are none. */
double fathom__concept_log_mass(const fathom_concept *concept, const float *logits, size_t n_vocab);

#endif
