#include "base/error.h"
#include "base/memory.h"
#include "steer/asker.h"
#include <math.h>

int fathom__prompts_keep(fathom_session *session, const struct fathom__prompt *prompts, size_t n) {
    int status = FATHOM_OK;
    fathom_session_forget(session, -1, 0);
    for (size_t q = 0; q < n && status == FATHOM_OK; q++) {
        if (prompts[q].n > 1) {
            status = fathom_session_feed(session, prompts[q].tokens, prompts[q].n - 1, (int32_t)q, 0, false);
        }
    }
    return status;
}

static double log_softmax(const float *logits, size_t n, int32_t token) {
    float highest = logits[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++) {
        highest = fmaxf(highest, logits[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - (double)highest);
    }
    return (double)logits[token] - (double)highest - log(sum);
}

int fathom__prompts_probability(double *out, fathom_session *session, const struct fathom__prompt *prompts, size_t n,
                                size_t which, const int32_t *answer, size_t n_answer) {
    const struct fathom__prompt *prompt = &prompts[which];
    size_t n_vocab = fathom_model_describe(fathom_session_model(session))->n_vocab;
    int32_t scratch = (int32_t)n;
    struct fathom_row *rows = NULL;
    double sum = 0;
    int status = fathom__alloc(&rows, n_answer, sizeof *rows);
    /* The row before a token predicts it: the prompt's last one the first, and the answer's last one nothing that is
     * asked for. */
    for (size_t i = 0; i < n_answer && status == FATHOM_OK; i++) {
        rows[i] = (struct fathom_row){i == 0 ? prompt->tokens[prompt->n - 1] : answer[i - 1],
                                      (int32_t)(prompt->n - 1 + i), scratch, true};
    }
    if (status == FATHOM_OK && prompt->n > 1) {
        status = fathom_session_fork(session, (int32_t)which, scratch);
    }
    if (status == FATHOM_OK) {
        status = fathom_session_decode(session, rows, n_answer);
    }
    for (size_t i = 0; i < n_answer && status == FATHOM_OK; i++) {
        const float *logits = fathom_session_logits(session, i);
        if (logits == NULL) {
            status = fathom__fail(FATHOM_ERROR_ENGINE, "row %zu of an answer has no logits", i);
        } else {
            sum += log_softmax(logits, n_vocab, answer[i]);
        }
    }
    fathom_session_forget(session, scratch, 0);
    fathom_free(rows);
    if (status == FATHOM_OK) {
        *out = sum;
    }
    return status;
}
