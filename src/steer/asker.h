/* Asking the same questions under one plan after another, and measuring the answers. */
#ifndef FATHOM_STEER_ASKER_H
#define FATHOM_STEER_ASKER_H

#include <fathom/steer.h>

typedef struct fathom__asker fathom__asker;

/* asking, concept (NULL allowed) and what they point to are borrowed until it is closed. */
int fathom__asker_open(fathom__asker **out, const fathom_model *model, const struct fathom_steer_asking *asking,
                       const fathom_concept *concept);
void fathom__asker_close(fathom__asker *asker);

/* As fathom_steer_ask; seeds begin at the asking's own + seed_offset. `between` (NULL allowed) is called after every answer and stops when it is not 0. */
int fathom__asker_ask(struct fathom_steer_score *out, struct fathom_answers *answers, fathom__asker *asker,
                      const fathom_steer *plan, const struct fathom_steer_score *plain, uint64_t seed_offset,
                      int (*between)(void *payload), void *payload);

/* Sum of natural-log probabilities of `answer` after `prompt` in the cleared session, and (concept not NULL) the mean over the answer's
 * positions of the concept's log mass. */
int fathom__answer_probability(double *log_probability, double *concept_mass, fathom_session *session,
                               const int32_t *prompt, size_t n_prompt, const int32_t *answer, size_t n_answer,
                               const fathom_concept *concept);

#endif
