/* Sampling for many documents at once: one pass of exponentials over the vocabulary, and a sort of the few that
 * matter. */
#include "engine/vector.h"
#include "engine/write_parts.h"
#include <math.h>
#include <stdlib.h>

/* Candidates less likely than the likeliest by this factor (e^-9) wait until the others do not hold top_p. */
#define NEAR 9.0f

static float greatest(const float *logits, int32_t n) {
    fathom__v best = fathom__v_all(-INFINITY);
    int32_t i = 0;
    for (; i + FATHOM__LANES <= n; i += FATHOM__LANES)
        best = fathom__v_max(fathom__v_load(logits + i), best);
    float top = fathom__v_greatest(best);
    for (; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    return top;
}

static double weight_of_all(const float *logits, int32_t n, float top, float scale) {
    fathom__v sum = fathom__v_all(0.0f);
    int32_t i = 0;
    for (; i + FATHOM__LANES <= n; i += FATHOM__LANES)
        sum += fathom__v_exp((fathom__v_load(logits + i) - top) * scale);
    double total = fathom__v_sum(sum);
    for (; i < n; i++)
        total += exp((logits[i] - top) * scale);
    return total;
}

static int32_t gather(struct fathom__candidate *out, const float *logits, int32_t n, float top, float scale,
                      float near) {
    int32_t found = 0;
    for (int32_t i = 0; i < n; i++) {
        const float below = (logits[i] - top) * scale;
        if (below >= -near) out[found++] = (struct fathom__candidate){expf(below), i};
    }
    return found;
}

static int by_weight(const void *a, const void *b) {
    const struct fathom__candidate *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->token < y->token ? -1 : 1;
}

static double weight_of(const struct fathom__candidate *candidates, int32_t n) {
    double sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += candidates[i].weight;
    return sum;
}

int32_t fathom__write_sample(const float *logits, int32_t n, float temperature, float top_p,
                             struct fathom__random *random, struct fathom__candidate *candidates) {
    const float top = greatest(logits, n), scale = 1.0f / temperature;
    const double wanted = top_p * weight_of_all(logits, n, top, scale);
    int32_t found = gather(candidates, logits, n, top, scale, NEAR);
    if (weight_of(candidates, found) < wanted) found = gather(candidates, logits, n, top, scale, INFINITY);
    qsort(candidates, (size_t)found, sizeof *candidates, by_weight);
    double held = 0;
    int32_t kept = 0;
    while (kept < found && held < wanted)
        held += candidates[kept++].weight;
    double at = fathom__random_unit(random) * held;
    for (int32_t i = 0; i < kept; i++) {
        at -= candidates[i].weight;
        if (at < 0) return candidates[i].token;
    }
    return candidates[kept - 1].token;
}
