/* Levels of conditions that outlive the plan in force that read them. */
#include "base/memory.h"
#include "steer/footprint.h"
#include <string.h>

void fathom__levels_free(struct fathom__read_levels *levels) {
    for (size_t c = 0; levels->levels != NULL && c < levels->n_conditions; c++) {
        fathom_free(levels->levels[c]);
    }
    fathom_free(levels->levels);
    fathom_free(levels->n);
    *levels = (struct fathom__read_levels){0};
}

int fathom__levels_keep(struct fathom__read_levels *out, const fathom_steering *steering, int32_t sequence) {
    size_t n = (size_t)sequence < steering->n_states ? steering->plan->n_conditions : 0;
    fathom__levels_free(out);
    int status = fathom__alloc(&out->levels, n, sizeof *out->levels);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&out->n, n, sizeof *out->n);
    }
    for (; out->n_conditions < n && status == FATHOM_OK; out->n_conditions++) {
        const struct fathom__track *track = &steering->states[sequence].tracks[out->n_conditions];
        float **levels = &out->levels[out->n_conditions];
        status = fathom__alloc(levels, track->n, sizeof **levels);
        if (status == FATHOM_OK && track->n > 0) {
            memcpy(*levels, track->levels, track->n * sizeof **levels);
        }
        out->n[out->n_conditions] = track->n;
    }
    if (status != FATHOM_OK) {
        fathom__levels_free(out);
    }
    return status;
}

int fathom__levels_recall(fathom_steering *steering, int32_t sequence, const struct fathom__read_levels *levels,
                          size_t n) {
    struct fathom__state *state = NULL;
    int status = fathom__state_at(&state, steering, sequence);
    for (size_t c = 0; c < levels->n_conditions && status == FATHOM_OK; c++) {
        for (size_t p = 0; p < n && p < levels->n[c] && status == FATHOM_OK; p++) {
            status = fathom__track_level(&state->tracks[c], &steering->plan->conditions[c], (int32_t)p,
                                         levels->levels[c][p]);
        }
    }
    return status;
}
