/* Drawing tokens from logits, one sampler a sequence. */
#ifndef FATHOM_ENGINE_SAMPLER_H
#define FATHOM_ENGINE_SAMPLER_H

#include <fathom/session.h>

typedef struct fathom__sampler fathom__sampler;

/* Errors: ARGUMENT (a value that is not finite or out of its range), MEMORY. */
int fathom__sampler_open(fathom__sampler **out, const struct fathom_sampling *sampling, size_t n_vocab);
void fathom__sampler_close(fathom__sampler *sampler);
/* Whether a grammar can be read: what fathom__sampler_constrain would say. */
int fathom__grammar_check(const fathom_model *model, const char *grammar);
/* From here on only tokens are drawn that go on within a GBNF grammar, from its rule "root" on, and an end token where it is
 * complete. What is drawn is distributed as the sampling says, among those tokens. Errors: FORMAT (the grammar), MEMORY. */
int fathom__sampler_constrain(fathom__sampler *sampler, const fathom_model *model, const char *grammar);
/* Counts a token of the prompt, so that penalties see it. */
void fathom__sampler_accept(fathom__sampler *sampler, int32_t token);
/* Draws the next token from logits [n_vocab] and counts it. */
int fathom__sampler_next(int32_t *token, fathom__sampler *sampler, const float *logits);

#endif
