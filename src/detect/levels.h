/* A monitor's watches, grouped by what is read together, and the levels of rows. */
#ifndef FATHOM_DETECT_LEVELS_H
#define FATHOM_DETECT_LEVELS_H

#include <fathom/detect.h>

/* Watches on one dictionary are encoded together; every probe is a group of its own. */
struct fathom__watch_group {
    struct fathom_hook hook;
    size_t width;                        /* of a row */
    const fathom_dictionary *dictionary; /* or NULL */
    const fathom_probe *probe;           /* or NULL */
    size_t n;
    size_t *watches;    /* [n]: numbers of the monitor's watches */
    uint32_t *features; /* [n] */
    size_t capacity, feature_capacity;
    float *values; /* scratch [rows, n] */
    size_t value_capacity;
    struct fathom_sparse sparse; /* scratch of dictionaries that can only be read whole */
};

struct fathom_monitor {
    const fathom_model *model;
    struct fathom_watch *watches;
    char **names;
    size_t n, capacity, name_capacity;
    struct fathom__watch_group *groups;
    size_t n_groups, group_capacity;
    struct fathom__live *live; /* NULL while it is attached to no session */
};

/* Levels of n_rows rows for a group's watches, in group->values [n_rows, group->n]. A probe's rows at position 0 or
 * beyond its norm give NaN. */
int fathom__group_levels(struct fathom__watch_group *group, const float *rows, const int32_t *positions, size_t n_rows);

void fathom__group_free(struct fathom__watch_group *group);

#endif
