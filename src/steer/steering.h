/* A plan in force: what is kept of the sequences, and where edits act on them. */
#ifndef FATHOM_STEER_STEERING_H
#define FATHOM_STEER_STEERING_H

#include "detect/levels.h"
#include "steer/apply.h"
#include "steer/trail.h"

/* A condition's levels in one sequence. */
struct fathom__track {
    float *levels; /* [n], by position; NaN where nothing was read */
    size_t n, capacity;
    int32_t since; /* first position where it was on; FATHOM__NEVER */
};

struct fathom__state {
    int32_t n_prompt; /* INT32_MAX: not told */
    struct fathom__trail trail;
    struct fathom__track *tracks; /* [conditions of the plan] */
};

/* An edit at a point, and where its feature's level stands among those read there. */
struct fathom__placed {
    const struct fathom__edit *edit;
    size_t group, column; /* SIZE_MAX: reads nothing */
    size_t text, token;   /* triggers; SIZE_MAX: none */
    size_t error;         /* index of the point's error; SIZE_MAX */
};

/* A condition that is read at a point. */
struct fathom__reader {
    size_t condition;
    size_t group, column; /* SIZE_MAX: a direction */
};

/* What a dictionary leaves unexplained of the rows of a block. */
struct fathom__errors {
    const fathom_dictionary *dictionary;
    struct fathom_sparse sparse;
    float *rows; /* [rows, width]: x - x^ */
    size_t capacity;
};

/* All edits and conditions of one hook point. */
struct fathom__steer_point {
    fathom_steering *steering;
    struct fathom_hook hook;
    struct fathom__placed *placed;
    size_t n, capacity;
    struct fathom__reader *readers;
    size_t n_readers, reader_capacity;
    struct fathom__watch_group *groups; /* one a dictionary or probe that is read */
    size_t n_groups, group_capacity;
    struct fathom__errors *errors;
    size_t n_errors, error_capacity;
    float *amounts; /* scratch [rows, n] */
    size_t amount_capacity;
    struct fathom__row_facts *facts; /* scratch [n] */
    int id;
    bool added;
};

struct fathom_steering {
    fathom_session *session;
    const fathom_steer *plan;
    struct fathom__steer_point *points;
    size_t n_points, capacity;
    struct fathom__state *states; /* [sequences seen] */
    size_t n_states, state_capacity;
    struct fathom__trigger *triggers;
    size_t n_triggers, trigger_capacity;
    bool trails;  /* an edit asks what the tokens were */
    int32_t only; /* -1: all sequences */
    uint64_t edited, left;
};

/* The sequence's state, made where there is none yet. */
int fathom__state_at(struct fathom__state **out, fathom_steering *steering, int32_t sequence);
void fathom__state_free(struct fathom__state *state, size_t n_conditions);

/* Keeps a condition's level at a position. */
int fathom__track_level(struct fathom__track *track, const struct fathom__condition *condition, int32_t position,
                        float level);

/* How much of an edit acts on a row of the sequence: 0 … 1. */
float fathom__where(const fathom_steering *steering, const struct fathom__placed *placed,
                    const struct fathom__state *state, int32_t position);

/* The level of a direction's condition in a row; NaN where rows are left out. */
float fathom__condition_level(const struct fathom__condition *condition, const float *row, int32_t position);

/* Builds the points of steering->plan, in the order in which the model comes to them. */
int fathom__steer_points_build(fathom_steering *steering);
void fathom__steer_points_free(fathom_steering *steering);

#endif
