/* Logits as probabilities. */
#ifndef FATHOM_STEER_LIKELIHOOD_H
#define FATHOM_STEER_LIKELIHOOD_H

#include <stddef.h>
#include <stdint.h>

/* Natural logarithm of the sum of exp(logits) [n], to about 1e-6 of itself: what is taken from a logit to make it a log
 * probability. */
double fathom__log_total(const float *logits, size_t n);

/* Natural-log probability of a token. */
double fathom__log_probability(const float *logits, size_t n, int32_t token);

/* Σ p (log p - log q), in nats, to about 1e-5: log p [n] is given, q is the softmax of logits with `total` as above. */
double fathom__divergence(const float *log_p, const float *logits, double total, size_t n);

#endif
