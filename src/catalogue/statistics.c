#include "catalogue/statistics.h"

#include <math.h>

static double log_factorial(uint64_t n) {
    int sign;
    return lgamma_r((double)n + 1, &sign);
}

static double log_choose(uint64_t n, uint64_t k) {
    return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

double fathom__log_hypergeometric_tail(uint64_t k, uint64_t n, uint64_t marked, uint64_t all) {
    const uint64_t most = n < marked ? n : marked;
    const uint64_t least = n + marked > all ? n + marked - all : 0;
    if (k <= least) return 0;
    if (k > most) return -HUGE_VAL;
    /* The terms fall off once k is above the mean; they are summed relative to the first. */
    const double first = log_choose(marked, k) + log_choose(all - marked, n - k) - log_choose(all, n);
    double sum = 1, term = 1;
    for (uint64_t i = k; i < most && term > 0; i++) {
        term *= (double)(marked - i) * (double)(n - i) / ((double)(i + 1) * (double)(all - marked - n + i + 1));
        sum += term;
    }
    const double result = first + log(sum);
    return result < 0 ? result : 0;
}

double fathom__information(double share, double background) {
    if (share <= 0) return 0;
    return background >= 1 ? share * log(share) : share * log(share / background);
}
