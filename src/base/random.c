#include <base/random.h>

#include <math.h>

#define TWO_PI 6.283185307179586476925

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

void fathom__random_seed(struct fathom__random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++)
        random->state[i] = splitmix64(&seed);
}

uint64_t fathom__random_next(struct fathom__random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t fathom__random_below(struct fathom__random *random, uint64_t bound) {
    /* Numbers under 2^64 mod bound would make the small remainders more likely: they are drawn again. */
    uint64_t least = -bound % bound;
    uint64_t drawn;
    do
        drawn = fathom__random_next(random);
    while (drawn < least);
    return drawn % bound;
}

double fathom__random_unit(struct fathom__random *random) {
    return (double)(fathom__random_next(random) >> 11) * 0x1p-53;
}

double fathom__random_normal(struct fathom__random *random) {
    /* Box and Muller (1958); the second value is given up so that the state is the generator's alone. */
    double radius = sqrt(-2.0 * log(1.0 - fathom__random_unit(random)));
    return radius * cos(TWO_PI * fathom__random_unit(random));
}

void fathom__random_shuffle(struct fathom__random *random, uint32_t *items, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)fathom__random_below(random, i);
        uint32_t item = items[i - 1];
        items[i - 1] = items[j];
        items[j] = item;
    }
}
