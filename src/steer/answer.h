/* One generated answer: its tokens and its text, cut at the stop text. */
#ifndef FATHOM_STEER_ANSWER_H
#define FATHOM_STEER_ANSWER_H

#include <fathom/session.h>

struct fathom__answer {
    int32_t *tokens; /* new */
    size_t n;
    char *text; /* new, valid UTF-8 */
};

int fathom__answer_generate(struct fathom__answer *out, fathom_session *session, const int32_t *prompt, size_t n_prompt,
                            uint32_t max_new, const struct fathom_sampling *sampling, const char *stop);
void fathom__answer_free(struct fathom__answer *answer);

#endif
