/* Reading the JSON document of a plan, part by part. Every error names the edit and the key. */
#ifndef FATHOM_STEER_PLAN_JSON_H
#define FATHOM_STEER_PLAN_JSON_H

#include "steer/plan_text.h"

/* One object of the document on its way into an edit. */
struct fathom__reading {
    struct fathom__plan_names *names;
    json_t *object;
    const char *where; /* stands in messages */
    const char *path;  /* of the dictionary where the object names none; NULL: the default one */
    struct fathom__named_dictionary *dictionary;
    uint32_t feature;
    float unit; /* what a number of the text is worth */
};

/* FORMAT for anything but an object with these keys. */
int fathom__plan_check_keys(json_t *object, const char *const *known, const char *where);
/* A word out of a list, as its number; a missing key leaves *out. */
int fathom__plan_get_word(int *out, const json_t *object, const char *key, const char *const *words, const char *where);
/* A whole number or a pair of them. */
int fathom__plan_get_range(bool *has, int32_t *first, int32_t *last, const json_t *object, const char *key,
                           const char *where);
int fathom__plan_get_float(float *out, const json_t *object, const char *key, bool required, const char *where);
/* Which one of the keys the object has; -1 after an error. */
int fathom__plan_what_key(const json_t *object, const char *const *keys, const char *where);

/* The feature that an edit or a condition names, and what its numbers are worth. */
int fathom__plan_take_feature(struct fathom__reading *reading);

/* *direction is filled where the condition has one. `path` is the dictionary of the edit, which is the condition's too
 * where it names none. */
int fathom__plan_read_condition(struct fathom_steer_condition *out, struct fathom_direction *direction,
                                struct fathom__plan_names *names, json_t *object, const char *where, const char *path);

/* Reads one edit and adds it to the plan. */
int fathom__plan_read_edit(struct fathom__plan_names *names, json_t *object, const char *name, size_t number);

#endif
