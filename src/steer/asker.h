/* Asking the same questions under one plan after another, and measuring the answers. */
#ifndef FATHOM_STEER_ASKER_H
#define FATHOM_STEER_ASKER_H

#include <fathom/steer.h>

typedef struct fathom__asker fathom__asker;

/* asking, concept (NULL allowed) and what they point to are borrowed until it is closed. */
int fathom__asker_open(fathom__asker **out, const fathom_model *model, const struct fathom_steer_asking *asking,
                       const fathom_concept *concept);
void fathom__asker_close(fathom__asker *asker);

/* As fathom_steer_ask; seeds begin at the asking's own + seed_offset. `between` (NULL allowed) is called after every
 * answer and stops when it is not 0. */
int fathom__asker_ask(struct fathom_steer_score *out, struct fathom_answers *answers, fathom__asker *asker,
                      const fathom_steer *plan, const struct fathom_steer_score *plain, uint64_t seed_offset,
                      int (*between)(size_t n_answers, void *payload), void *payload);

/* Prompts kept in a session's KV cache, one a sequence, for asking after each how likely an answer is. */
struct fathom__prompt {
    int32_t *tokens;
    size_t n;
};
/* Feeds prompts as sequences 0 … n - 1 of the session, all but their last tokens; the session needs one sequence
 * more. */
int fathom__prompts_keep(fathom_session *session, const struct fathom__prompt *prompts, size_t n);
/* Sum of the natural-log probabilities of `answer` after prompt `which` of the n that the session keeps. */
int fathom__prompts_probability(double *out, fathom_session *session, const struct fathom__prompt *prompts, size_t n,
                                size_t which, const int32_t *answer, size_t n_answer);

#endif
