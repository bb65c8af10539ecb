/* Directions as the steer room makes them. */
#ifndef FATHOM_STEER_DIRECTION_H
#define FATHOM_STEER_DIRECTION_H

#include <fathom/steer.h>

static inline size_t fathom__direction_layers(const struct fathom_direction *direction) {
    return (size_t)(direction->last_layer - direction->first_layer) + 1;
}

/* Checks range and kind against the model and allocates zeroed arrays; the caller frees *out whatever happens. */
int fathom__direction_start(struct fathom_direction *out, const fathom_model *model, enum fathom_hook_kind kind,
                            int32_t first_layer, int32_t last_layer);

/* New hook points of the range. */
int fathom__direction_hooks(struct fathom_hook **out, const struct fathom_direction *direction);

/* Makes each vector a unit one and keeps its length. NUMERIC when one is zero or not finite; `what` names it in the
 * message. */
int fathom__direction_normalise(struct fathom_direction *direction, const char *what);

#endif
