/* Plans as the steer room sees them: one entry for each layer that is edited. */
#ifndef FATHOM_STEER_PLAN_H
#define FATHOM_STEER_PLAN_H

#include <fathom/plan.h>

/* A condition, resolved on the model. */
struct fathom__condition {
    struct fathom_hook hook;
    const fathom_dictionary *dictionary; /* or NULL */
    uint32_t feature;
    const fathom_probe *probe; /* or NULL */
    float *vector;             /* of a direction: unit, owned; or NULL */
    size_t width;
    float median, max_norm;
    enum fathom_steer_measure measure;
    float level;
    bool below;
    enum fathom_steer_over over;
    uint32_t window;
};

struct fathom__edit {
    struct fathom_hook hook;
    enum fathom_steer_what what;
    enum fathom_steer_how how;
    const fathom_dictionary *dictionary; /* feature, error */
    uint32_t feature;
    float value, offset;
    float share;   /* part of the whole that this layer gets */
    float *vector; /* what raises the level by one; NULL for errors and rows. Owned */
    size_t width;
    float inverse;  /* 1 / |vector|² */
    float bias;     /* of the level: a probe's */
    bool sinks;     /* position 0 is edited too */
    float max_norm; /* longer rows are left alone; of features the dictionary says */
    enum fathom_steer_rows rows;
    bool positioned;
    int32_t first_position, last_position;
    char *after_text; /* owned; NULL */
    bool after_token;
    int32_t token;
    int32_t ramp;
    size_t conditions[FATHOM_STEER_MOST_CONDITIONS]; /* numbers of the plan's conditions */
    size_t n_conditions;
    float *targets; /* of a patch: levels [n_targets], or rows [n_targets, width]. Owned */
    bool *known;    /* [n_targets]: whether the other row was read at all. Owned */
    size_t n_targets;
    bool from_end;
};

struct fathom_steer {
    const fathom_model *model;
    struct fathom__edit *edits;
    size_t n, capacity;
    struct fathom__condition *conditions;
    size_t n_conditions, condition_capacity;
    /* What was opened for the plan alone. */
    fathom_dictionary **dictionaries;
    size_t n_dictionaries, dictionary_capacity;
    fathom_probe **probes;
    size_t n_probes, probe_capacity;
};

/* Resolves negative layers and checks first <= last < layers of the model. */
int fathom__layer_range(int32_t *first, int32_t *last, const fathom_model *model);

/* Whether hook points of this kind are numbered by layer. */
bool fathom__hook_has_layers(enum fathom_hook_kind kind);

/* Checks that the model has rows of this width there. */
int fathom__steer_width(const fathom_model *model, struct fathom_hook hook, size_t width);

/* Appends a condition to the plan, resolved; it is read no later than `edit` acts. */
int fathom__condition_add(fathom_steer *plan, const struct fathom_steer_condition *condition, struct fathom_hook edit);

/* Reads of another text what a patch puts into edits first … n - 1 of the plan. */
int fathom__patch_read(fathom_steer *plan, size_t first, const int32_t *tokens, size_t n);

/* Takes back edits and conditions added since, so that a plan never holds half of what was asked. */
void fathom__plan_cut(fathom_steer *plan, size_t n_edits, size_t n_conditions);

/* Appends an edit, which the plan then owns; on an error what it holds is freed. */
int fathom__plan_append(fathom_steer *plan, struct fathom__edit edit);

void fathom__edit_free(struct fathom__edit *edit);

#endif
