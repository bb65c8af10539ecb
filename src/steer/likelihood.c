#include "steer/likelihood.h"
#include "engine/vector.h"
#include <math.h>

enum { PART = 4096 }; /* logits whose sum is taken in f32 before it joins the rest in f64 */

static float greatest(const float *logits, size_t n) {
    const size_t whole = n / FATHOM__LANES * FATHOM__LANES;
    fathom__v most = fathom__v_all(-INFINITY);
    for (size_t i = 0; i < whole; i += FATHOM__LANES) {
        most = fathom__v_max(most, fathom__v_load(logits + i));
    }
    float top = fathom__v_greatest(most);
    for (size_t i = whole; i < n; i++) {
        top = logits[i] > top ? logits[i] : top;
    }
    return top;
}

double fathom__log_total(const float *logits, size_t n) {
    const size_t whole = n / FATHOM__LANES * FATHOM__LANES;
    const float top = greatest(logits, n);
    const fathom__v tops = fathom__v_all(top);
    double sum = 0;
    for (size_t first = 0; first < whole; first += PART) {
        const size_t end = whole - first < PART ? whole : first + PART;
        fathom__v sums = fathom__v_all(0);
        for (size_t i = first; i < end; i += FATHOM__LANES) {
            sums += fathom__v_exp(fathom__v_load(logits + i) - tops);
        }
        sum += (double)fathom__v_sum(sums);
    }
    for (size_t i = whole; i < n; i++) {
        sum += exp((double)logits[i] - (double)top);
    }
    return (double)top + log(sum);
}

double fathom__log_probability(const float *logits, size_t n, int32_t token) {
    return (double)logits[token] - fathom__log_total(logits, n);
}

double fathom__divergence(const float *log_p, const float *logits, double total, size_t n) {
    const size_t whole = n / FATHOM__LANES * FATHOM__LANES;
    const fathom__v totals = fathom__v_all((float)total);
    double sum = 0;
    for (size_t first = 0; first < whole; first += PART) {
        const size_t end = whole - first < PART ? whole : first + PART;
        fathom__v sums = fathom__v_all(0);
        for (size_t i = first; i < end; i += FATHOM__LANES) {
            const fathom__v log_here = fathom__v_load(log_p + i);
            sums += fathom__v_exp(log_here) * (log_here - (fathom__v_load(logits + i) - totals));
        }
        sum += (double)fathom__v_sum(sums);
    }
    for (size_t i = whole; i < n; i++) {
        sum += exp((double)log_p[i]) * ((double)log_p[i] - ((double)logits[i] - total));
    }
    return sum;
}
