/* One row a text, made of its rows at a hook point. */
#ifndef FATHOM_DETECT_POOL_H
#define FATHOM_DETECT_POOL_H

#include "detect/read.h"

/* Median Euclidean norm at each hook point of the rows past position 0, over at most 64 of the texts spread evenly.
 * NUMERIC when a row is not finite, ARGUMENT when no text has a second token. */
int fathom__median_norms(float *out, const fathom_model *model, const struct fathom_texts *texts,
                         const struct fathom_hook *hooks, size_t n_hooks);

/* out[h] is f32 [texts, widths[h]] of the caller's. Rows at position 0 of a piece or longer than max_norms[h] are left
 * out; read[t * n_hooks + h] tells whether any was left. NUMERIC when a row is not finite. */
int fathom__pool_tokens(float *const *out, bool *read, const fathom_model *model, const struct fathom__tokens *texts,
                        const struct fathom_hook *hooks, size_t n_hooks, const float *max_norms, enum fathom_pool pool);
int fathom__pool_texts(float *const *out, bool *read, const fathom_model *model, const struct fathom_texts *texts,
                       const struct fathom_hook *hooks, size_t n_hooks, const float *max_norms, enum fathom_pool pool);

/* Width of a row at a point that exists. */
size_t fathom__hook_width(const fathom_model *model, struct fathom_hook hook);

#endif
