#include "variants.h"
#include <base/error.h>
#include <base/memory.h>
#include <base/thread.h>
#include <math.h>

size_t fathom__question_length(const struct fathom__question *question) {
    return question->n_prompt + question->n_answer - 1;
}

int fathom__variants_session(fathom_session **out, const fathom_model *model, const struct fathom__question *question,
                             uint32_t n_threads) {
    size_t length = fathom__question_length(question);
    uint32_t trained = fathom_model_describe(model)->context_trained; /* 0: not known */
    size_t at_once = length <= FATHOM__VARIANT_ROWS ? FATHOM__VARIANT_ROWS / length : 1;
    if (at_once > FATHOM_SESSION_SEQUENCES) at_once = FATHOM_SESSION_SEQUENCES;
    const struct fathom_session_options options = {
        .n_context = (uint32_t)(at_once * length),
        .n_batch = (uint32_t)(at_once * length),
        .n_sequences = (uint32_t)at_once,
        .n_threads = n_threads,
        .exact = true,
    };
    if (trained > 0 && length > trained)
        return fathom__fail(FATHOM_ERROR_LIMIT, "prompt and answer have %zu tokens, but the model was trained on %u",
                            length, trained);
    return fathom_session_open(out, model, &options);
}

/* log softmax of one logit, in double: answers of several tokens add up many of them. */
static int log_softmax(double *out, const float *logits, size_t n, int32_t token) {
    float most = logits[0];
    double sum = 0;
    for (size_t v = 1; v < n; v++)
        most = logits[v] > most ? logits[v] : most;
    for (size_t v = 0; v < n; v++)
        sum += exp((double)(logits[v] - most));
    *out = (double)(logits[token] - most) - log(sum);
    return isfinite(*out) ? FATHOM_OK : fathom__fail(FATHOM_ERROR_NUMERIC, "the model's logits are not finite");
}

int fathom__continuation_probability(double *log_probability, double *first_probability, uint32_t *first_rank,
                                     const fathom_session *session, const struct fathom__question *question,
                                     size_t first_row) {
    size_t n_vocab = fathom_model_describe(fathom_session_model(session))->n_vocab;
    double total = 0;
    for (size_t i = 0; i < question->n_answer; i++) {
        const float *logits = fathom_session_logits(session, first_row + question->n_prompt - 1 + i);
        int32_t token = question->tokens[question->n_prompt + i];
        double part = 0;
        if (logits == NULL) return fathom__fail(FATHOM_ERROR_ENGINE, "the engine gave no logits for an answer's row");
        int status = log_softmax(&part, logits, n_vocab, token);
        if (status != FATHOM_OK) return status;
        if (i == 0 && first_probability != NULL) *first_probability = exp(part);
        if (i == 0 && first_rank != NULL) {
            *first_rank = 0;
            for (size_t v = 0; v < n_vocab; v++)
                *first_rank += logits[v] > logits[token];
        }
        total += part;
    }
    *log_probability = total;
    return FATHOM_OK;
}

struct editing {
    const struct fathom__variants *variants;
    size_t first; /* variant of sequence 0 */
};

static int edit(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct editing *editing = payload;
    const struct fathom__variants *variants = editing->variants;
    for (size_t r = 0; r < block->n_rows; r++) {
        size_t variant = editing->first + (size_t)block->sequences[r];
        if (variants->change(rows + r * block->width, block, r, variant, variants->payload)) *changed = true;
    }
    return 0;
}

static int run(double *log_probabilities, fathom_session *session, const struct fathom__question *question,
               struct fathom_row *rows, size_t n_sequences) {
    size_t length = fathom__question_length(question);
    for (size_t s = 0; s < n_sequences; s++)
        for (size_t i = 0; i < length; i++)
            rows[s * length + i] = (struct fathom_row){
                .token = question->tokens[i],
                .position = (int32_t)i,
                .sequence = (int32_t)s,
                .want_logits = i + 1 >= question->n_prompt,
            };
    fathom_session_forget(session, -1, 0);
    int status = fathom_session_decode(session, rows, n_sequences * length);
    for (size_t s = 0; status == FATHOM_OK && s < n_sequences; s++)
        status = fathom__continuation_probability(&log_probabilities[s], NULL, NULL, session, question, s * length);
    return status;
}

static int report(const struct fathom__variants *variants, size_t done, double started) {
    double seconds = fathom__seconds() - started;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    struct fathom_progress progress = {
        .stage = variants->stage,
        .done = done,
        .total = variants->n_variants,
        .unit = "interventions",
        .units_per_second = rate,
        .seconds_left = rate > 0 ? (double)(variants->n_variants - done) / rate : -1,
    };
    if (variants->progress == NULL) return FATHOM_OK;
    int returned = variants->progress(&progress, variants->progress_payload);
    return returned == 0 ? FATHOM_OK : fathom__callback_status(returned);
}

int fathom__variants_measure(double *log_probabilities, fathom_session *session,
                             const struct fathom__variants *variants) {
    size_t length = fathom__question_length(&variants->question);
    size_t at_once = variants->alone ? 1 : fathom_session_batch(session) / length;
    struct editing editing = {.variants = variants};
    struct fathom_row *rows = NULL;
    int *ids = NULL;
    size_t n_ids = 0;
    double started = fathom__seconds();
    int status = fathom__alloc(&rows, at_once * length, sizeof *rows);
    if (status == FATHOM_OK) status = fathom__alloc(&ids, variants->n_hooks, sizeof *ids);
    for (; status == FATHOM_OK && n_ids < variants->n_hooks; n_ids++)
        status = fathom_session_edit(&ids[n_ids], session, variants->hooks[n_ids], edit, &editing);
    if (status != FATHOM_OK && n_ids > 0) n_ids--;
    for (size_t first = 0; status == FATHOM_OK && first < variants->n_variants; first += at_once) {
        size_t left = variants->n_variants - first;
        editing.first = first;
        size_t n = left < at_once ? left : at_once;
        status = run(log_probabilities + first, session, &variants->question, rows, n);
        if (status == FATHOM_OK) status = report(variants, first + n, started);
    }
    for (size_t i = 0; i < n_ids; i++)
        fathom_session_unhook(session, ids[i]);
    fathom_free(ids);
    fathom_free(rows);
    return status;
}
