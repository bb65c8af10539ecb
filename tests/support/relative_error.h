/* How far numbers are from what is expected. */
#ifndef FATHOM_TESTS_RELATIVE_ERROR_H
#define FATHOM_TESTS_RELATIVE_ERROR_H

#include <math.h>
#include <stddef.h>

/* |a - b| / |b| where b is finite; infinite when a is not what b is where b is not, no number where b is zero. */
static inline double relative_error(const float *a, const float *b, size_t n) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(b[i]) && a[i] != b[i]) return INFINITY;
        if (!isfinite(b[i])) continue;
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(difference / norm);
}

#endif
