/* Plans as the steer room sees them: one entry for each layer that is edited. */
#ifndef FATHOM_STEER_PLAN_H
#define FATHOM_STEER_PLAN_H

#include <fathom/steer.h>

struct fathom__edit {
    struct fathom_hook hook;
    const fathom_dictionary *dictionary; /* NULL: a direction */
    uint32_t feature;
    enum fathom_steer_mode mode;
    enum fathom_steer_rows rows;
    float value;   /* c, a or the strength g */
    float share;   /* part of the whole that this layer gets */
    float *vector; /* what coefficient 1 adds: d_i / s, or a direction as long as the median row */
    size_t width;
    float max_norm; /* directions: longer rows are left alone */
};

struct fathom_steer {
    const fathom_model *model;
    struct fathom__edit *edits;
    size_t n, capacity;
};

/* Resolves negative layers and checks first <= last < layers of the model. */
int fathom__layer_range(int32_t *first, int32_t *last, const fathom_model *model);

/* Whether hook points of this kind are numbered by layer. */
bool fathom__hook_has_layers(enum fathom_hook_kind kind);

#endif
