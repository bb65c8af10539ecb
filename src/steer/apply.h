/* What an edit does to one row. */
#ifndef FATHOM_STEER_APPLY_H
#define FATHOM_STEER_APPLY_H

#include "steer/plan.h"

/* What is known of the row besides itself. */
struct fathom__row_facts {
    float amount;       /* of the whole, 0 … 1: a ramp */
    float level;        /* activation of a feature, where the edit needs it */
    float worth;        /* times the vector, a unit of the level: where a norm is undone */
    const float *error; /* of an error: x - x^, [width] */
    size_t target;      /* of a patch: row of the other text */
};

/* Whether the edit needs the feature's activation. */
bool fathom__edit_reads(const struct fathom__edit *edit);

/* Changes the row in place; false where nothing was written. */
bool fathom__edit_apply(float *row, const struct fathom__edit *edit, const struct fathom__row_facts *facts);

#endif
