/* Generated answers: their tokens and their texts, cut at the stop text. */
#ifndef FATHOM_STEER_ANSWER_H
#define FATHOM_STEER_ANSWER_H

#include <fathom/session.h>
#include <fathom/steer.h>

struct fathom__answer {
    int32_t *tokens; /* new */
    size_t n;
    char *text;     /* new, valid UTF-8 */
    double concept; /* mean log mass of the concept over the answer's positions; 0 without a concept or a token */
};

struct fathom__request {
    const int32_t *prompt;
    size_t n_prompt;
    uint64_t seed;
};

/* Answers n requests side by side, one a sequence of the session, which must have as many and room for all of them; a
 * prompt must fit one decode. Requests one after another that point to the same prompt have it run once, but under
 * conditions. sampling's own seed is not used. `steering` (NULL allowed) is in force on the session and is told where the
 * prompts end. On an error nothing is left in out. */
int fathom__answers_generate(struct fathom__answer *out, fathom_session *session, fathom_steering *steering,
                             const struct fathom__request *requests, size_t n, uint32_t max_new,
                             const struct fathom_sampling *sampling, const char *stop, const fathom_concept *concept);
void fathom__answer_free(struct fathom__answer *answer);

#endif
