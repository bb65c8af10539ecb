#include "base/error.h"
#include "base/memory.h"
#include "steer/asker.h"
#include "steer/likelihood.h"

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

/* The row before a token predicts it: the prompt's last one the first, and the answer's last one nothing that is asked
 * for. */
static void lay_answer(struct fathom_row *rows, const struct fathom__prompt *prompt, int32_t sequence,
                       const int32_t *answer, size_t n_answer) {
    for (size_t i = 0; i < n_answer; i++) {
        rows[i] = (struct fathom_row){i == 0 ? prompt->tokens[prompt->n - 1] : answer[i - 1],
                                      (int32_t)(prompt->n - 1 + i), sequence, true};
    }
}

static int sum_rows(double *out, const fathom_session *session, size_t first_row, const int32_t *answer,
                    size_t n_answer) {
    size_t n_vocab = fathom_model_describe(fathom_session_model(session))->n_vocab;
    *out = 0;
    for (size_t i = 0; i < n_answer; i++) {
        const float *logits = fathom_session_logits(session, first_row + i);
        if (logits == NULL) {
            return fathom__fail(FATHOM_ERROR_ENGINE, "row %zu of an answer has no logits", i);
        }
        *out += fathom__log_probability(logits, n_vocab, answer[i]);
    }
    return FATHOM_OK;
}

int fathom__prompts_probabilities(double *out, fathom_session *session, const struct fathom__prompt *prompts, size_t n,
                                  const size_t *which, size_t n_which, const int32_t *answer, size_t n_answer) {
    size_t fitting = fathom_session_batch(session) / n_answer;
    size_t together = fitting < 1 ? 1 : fitting < n_which ? fitting : n_which;
    struct fathom_row *rows = NULL;
    int status = fathom__alloc(&rows, together * n_answer, sizeof *rows);
    for (size_t first = 0; first < n_which && status == FATHOM_OK; first += together) {
        size_t count = n_which - first < together ? n_which - first : together;
        for (size_t i = 0; i < count && status == FATHOM_OK; i++) {
            int32_t scratch = (int32_t)(n + i);
            lay_answer(rows + i * n_answer, &prompts[which[first + i]], scratch, answer, n_answer);
            if (prompts[which[first + i]].n > 1) {
                status = fathom_session_fork(session, (int32_t)which[first + i], scratch);
            }
        }
        if (status == FATHOM_OK) {
            status = fathom_session_decode(session, rows, count * n_answer);
        }
        for (size_t i = 0; i < count; i++) {
            if (status == FATHOM_OK) {
                status = sum_rows(&out[first + i], session, i * n_answer, answer, n_answer);
            }
            fathom_session_forget(session, (int32_t)(n + i), 0);
        }
    }
    fathom_free(rows);
    return status;
}
