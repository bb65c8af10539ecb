/* Where a plan acts on a text, and by what: so that rows which were computed under one plan may serve under another. */
#ifndef FATHOM_STEER_FOOTPRINT_H
#define FATHOM_STEER_FOOTPRINT_H

#include "steer/steering.h"

enum { FATHOM__FOOTPRINT_NAME = 33 };

/* Names are equal where the same is done to the same tokens, and "" where nothing is. They tell dictionaries and probes apart by
 * their addresses, so that they may be compared only while those are open; the names of a plan that opened some for itself are
 * equal to no other plan's. */
struct fathom__footprint {
    char prompt[FATHOM__FOOTPRINT_NAME]; /* what acts on rows of the prompt */
    char answer[FATHOM__FOOTPRINT_NAME]; /* on rows of the answer */
    char whole[FATHOM__FOOTPRINT_NAME];  /* the plan */
    int32_t first;   /* no row before this one is changed, whatever the tokens are; INT32_MAX: none ever */
    bool looks_back; /* what is done to a row depends on levels that earlier rows had: they must be recalled */
};

/* Of a prompt of n_prompt tokens. plan NULL: none. Errors: MEMORY. */
int fathom__footprint(struct fathom__footprint *out, const fathom_steer *plan, int32_t n_prompt);

/* The levels that conditions had in a sequence. */
struct fathom__read_levels {
    float **levels; /* [n_conditions][n]; NaN where nothing was read */
    size_t *n;
    size_t n_conditions;
};
/* Copies those of a plan in force. *out held nothing, or what it held is freed. */
int fathom__levels_keep(struct fathom__read_levels *out, const fathom_steering *steering, int32_t sequence);
/* Gives the first n rows' levels to a plan in force that is equal (`whole`) to the one they were read under. */
int fathom__levels_recall(fathom_steering *steering, int32_t sequence, const struct fathom__read_levels *levels,
                          size_t n);
void fathom__levels_free(struct fathom__read_levels *levels);

#endif
