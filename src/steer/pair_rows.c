/* Questions and answers run in the fewest decodes. */
#include "base/error.h"
#include "base/memory.h"
#include "steer/pairs.h"
#include <string.h>

/* A decode's logits are held at once: no more of them than this, but always a few rows. */
enum { MOST_LOGITS = 1 << 25, FEWEST_ROWS = 64, MOST_ROWS = 512 };

struct fathom_session_options fathom__pair_rows_session(const struct fathom__pairs *pairs,
                                                        const struct fathom__pair_rows *rows, size_t n_vocab) {
    size_t longest = rows->n_answers > rows->n_questions ? rows->n_answers : rows->n_questions;
    size_t most = MOST_LOGITS / n_vocab;
    longest = rows->n_shared > longest ? rows->n_shared : longest;
    most = most < FEWEST_ROWS ? FEWEST_ROWS : most > MOST_ROWS ? MOST_ROWS : most;
    return (struct fathom_session_options){.n_context =
                                               (uint32_t)(rows->n_shared + rows->n_questions + rows->n_answers),
                                           .n_batch = (uint32_t)(longest < most ? longest : most),
                                           .n_sequences = (uint32_t)(1 + pairs->n_prompts + pairs->n),
                                           .flash_attention = true};
}

/* Decodes rows whose logits nobody needs; the last of each batch gives some all the same, so that every layer runs. */
static int decode_prompts(fathom_session *session, const struct fathom_row *rows, size_t n) {
    const size_t batch = fathom_session_batch(session);
    struct fathom_row *part = NULL;
    int status = fathom__alloc(&part, batch < n ? batch : n, sizeof *part);
    for (size_t first = 0; first < n && status == FATHOM_OK; first += batch) {
        size_t count = n - first < batch ? n - first : batch;
        memcpy(part, rows + first, count * sizeof *part);
        part[count - 1].want_logits = true;
        status = fathom_session_decode(session, part, count);
    }
    fathom_free(part);
    return status;
}

static int decode_answers(fathom_session *session, const struct fathom__pair_rows *rows, fathom__pair_row_fn fn,
                          void *payload) {
    const size_t batch = fathom_session_batch(session);
    const size_t n_vocab = fathom_model_describe(fathom_session_model(session))->n_vocab;
    int status = FATHOM_OK;
    for (size_t first = 0; first < rows->n_answers && status == FATHOM_OK; first += batch) {
        size_t count = rows->n_answers - first < batch ? rows->n_answers - first : batch;
        status = fathom_session_decode(session, rows->answers + first, count);
        for (size_t r = 0; r < count && status == FATHOM_OK; r++) {
            const float *logits = fathom_session_logits(session, r);
            status = logits != NULL
                         ? fn(logits, n_vocab, rows->owners[first + r], rows->expected[first + r], payload)
                         : fathom__fail(FATHOM_ERROR_ENGINE, "row %zu of the answers has no logits", first + r);
        }
    }
    return status;
}

int fathom__pair_rows_run(fathom_session *session, const struct fathom__pairs *pairs,
                          const struct fathom__pair_rows *rows, fathom__pair_row_fn fn, void *payload) {
    fathom_session_forget(session, -1, 0);
    int status = decode_prompts(session, rows->shared, rows->n_shared);
    for (size_t p = 0; p < pairs->n_prompts && status == FATHOM_OK; p++) {
        status = fathom_session_fork(session, 0, (int32_t)(1 + p));
    }
    if (status == FATHOM_OK) {
        status = decode_prompts(session, rows->questions, rows->n_questions);
    }
    for (size_t p = 0; p < pairs->n && status == FATHOM_OK; p++) {
        status = fathom_session_fork(session, (int32_t)(1 + pairs->pairs[p].prompt), fathom__pair_sequence(pairs, p));
    }
    return status == FATHOM_OK ? decode_answers(session, rows, fn, payload) : status;
}
