#include "claims.h"
#include <math.h>

void fathom__claim_set(struct fathom_effect_measure *out, double without, double plain, const double *controls,
                       size_t n_controls) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n_controls; i++)
        sum += controls[i];
    double mean = n_controls > 0 ? sum / (double)n_controls : 0;
    for (size_t i = 0; i < n_controls; i++)
        squares += (controls[i] - mean) * (controls[i] - mean);
    double deviation = n_controls > 1 ? sqrt(squares / (double)(n_controls - 1)) : 0;
    double effect = without - plain;
    *out = (struct fathom_effect_measure){
        .effect = effect,
        .probability = exp(without),
        .control = mean,
        .control_deviation = deviation,
        .n_controls = (uint32_t)n_controls,
        .holds = n_controls > 0 && fabs(effect) >= FATHOM_EXPLAIN_LEAST && fabs(effect) > fabs(mean) + 2 * deviation,
    };
}

size_t fathom__claim_draw(double *out, size_t most, const double *effects, uint32_t *candidates, size_t n,
                          struct fathom__random *random) {
    size_t taken = n < most ? n : most;
    fathom__random_shuffle(random, candidates, n);
    for (size_t i = 0; i < taken; i++)
        out[i] = effects[candidates[i]];
    return taken;
}
