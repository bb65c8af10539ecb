/* Choosing features that work together, in parts. */
#ifndef FATHOM_STEER_CHOOSE_H
#define FATHOM_STEER_CHOOSE_H

#include "steer/pairs.h"

/* Refuses what cannot be chosen with. */
int fathom__choosing_check(const struct fathom_steer_choosing *choosing, const fathom_model *model);

/* The candidates to try, new (fathom_free): the caller's, or the first of the ranking. */
int fathom__choosing_candidates(uint32_t **out, size_t *n, const fathom_model *model,
                                const struct fathom_steer_choosing *choosing);

/* All pairs: the wanted ones, and plain ones, which the model answers itself where there are none. */
int fathom__choosing_pairs(struct fathom__pairs *out, const fathom_model *model,
                           const struct fathom_steer_choosing *choosing);

#endif
