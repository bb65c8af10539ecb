#include "steer/answer.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include <fathom/steer.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 24 };

struct collecting {
    struct fathom__buffer text;
    int32_t *tokens;
    size_t *ends; /* bytes of text after each token */
    size_t n, token_capacity, end_capacity;
    const char *stop;
    int status;
};

static int collect(const struct fathom_generated *token, void *payload) {
    struct collecting *collecting = payload;
    if (token->end) {
        return 0;
    }
    collecting->status = fathom__buffer_append(&collecting->text, token->bytes, token->n_bytes);
    if (collecting->status == FATHOM_OK) {
        collecting->status =
            fathom__grow(&collecting->tokens, &collecting->token_capacity, collecting->n + 1, sizeof(int32_t));
    }
    if (collecting->status == FATHOM_OK) {
        collecting->status =
            fathom__grow(&collecting->ends, &collecting->end_capacity, collecting->n + 1, sizeof(size_t));
    }
    if (collecting->status != FATHOM_OK) {
        return 1;
    }
    collecting->tokens[collecting->n] = token->token;
    collecting->ends[collecting->n++] = collecting->text.length;
    return collecting->stop != NULL && strstr(collecting->text.bytes, collecting->stop) != NULL;
}

/* Cuts text and tokens before the stop text. */
static void cut(struct collecting *collecting) {
    const char *found =
        collecting->stop != NULL && collecting->n > 0 ? strstr(collecting->text.bytes, collecting->stop) : NULL;
    if (found == NULL) {
        return;
    }
    collecting->text.length = (size_t)(found - collecting->text.bytes);
    while (collecting->n > 0 && collecting->ends[collecting->n - 1] > collecting->text.length) {
        collecting->n--;
    }
}

int fathom__answer_generate(struct fathom__answer *out, fathom_session *session, const int32_t *prompt, size_t n_prompt,
                            uint32_t max_new, const struct fathom_sampling *sampling, const char *stop) {
    struct collecting collecting = {.text = FATHOM__BUFFER_INIT(TEXT_LIMIT), .stop = stop};
    char *text = NULL;
    int status = fathom_generate(NULL, session, prompt, n_prompt, max_new, sampling, collect, &collecting);
    if (status == FATHOM_OK) {
        status = collecting.status;
    }
    if (status == FATHOM_OK) {
        cut(&collecting);
        status = fathom__utf8_clean(&text, collecting.text.bytes ? collecting.text.bytes : "", collecting.text.length);
    }
    fathom__buffer_free(&collecting.text);
    fathom_free(collecting.ends);
    if (status != FATHOM_OK) {
        fathom_free(collecting.tokens);
        return status;
    }
    *out = (struct fathom__answer){collecting.tokens, collecting.n, text};
    return FATHOM_OK;
}

void fathom__answer_free(struct fathom__answer *answer) {
    fathom_free(answer->tokens);
    fathom_free(answer->text);
    *answer = (struct fathom__answer){0};
}

void fathom_answers_free(struct fathom_answers *answers) {
    for (size_t i = 0; i < answers->n; i++) {
        fathom_free(answers->texts[i]);
    }
    fathom_free(answers->texts);
    *answers = (struct fathom_answers)FATHOM_ANSWERS_INIT;
}
