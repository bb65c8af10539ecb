/* Random numbers: xoshiro256**, seeded by splitmix64; the same seed gives the same stream on every machine.
 * Blackman and Vigna, "Scrambled linear pseudorandom number generators" (2021). */
#ifndef FATHOM_BASE_RANDOM_H
#define FATHOM_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct fathom__random {
    uint64_t state[4];
};

void fathom__random_seed(struct fathom__random *random, uint64_t seed);
uint64_t fathom__random_next(struct fathom__random *random);
uint64_t fathom__random_below(struct fathom__random *random, uint64_t bound); /* unbiased; bound >= 1 */
double fathom__random_unit(struct fathom__random *random);                    /* [0, 1) */
double fathom__random_normal(struct fathom__random *random);                  /* mean 0, variance 1 */
void fathom__random_shuffle(struct fathom__random *random, uint32_t *items, size_t n);

#endif
