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

/* Fills vectors and lengths from pooled rows: rows[l] is [n, width] at the l-th layer, read[t * layers + l] tells whether
 * text t left a row there. NUMERIC where a class's rows do not differ from the other's. */
int fathom__direction_fit(struct fathom_direction *direction, enum fathom_direction_method method, float *const *rows,
                          const bool *read, const int8_t *labels, size_t n);

/* liblinear's C of the logistic direction: few rows against many dimensions. */
#define FATHOM__DIRECTION_REGULARISATION 0.01

/* One row a text at one layer. */
struct fathom__class_rows {
    const float *rows;    /* [n, width] */
    const bool *read;     /* [n * stride]: whether row t was read is at t * stride */
    const int8_t *labels; /* [n]: enum fathom_text_label */
    size_t n, width, stride;
};
size_t fathom__class_count(const struct fathom__class_rows *rows, int8_t label);

/* Mean of the positive rows minus that of the negative ones, added to out [width]. */
int fathom__fit_means(float *out, const struct fathom__class_rows *rows);
/* First principal component of the pairs' differences (about zero, not their mean), found from `means` on; unit. */
int fathom__fit_component(float *out, const struct fathom__class_rows *rows, const float *means);
/* Slope of the log-odds of a logistic regression on standardised rows, in the rows' own units. */
int fathom__fit_logistic(float *out, const struct fathom__class_rows *rows);

#endif
