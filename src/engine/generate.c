/* Sampling, generation and the probabilities of given texts. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/utf8.h"
#include "engine/sampler.h"
#include "engine/session_internal.h"
#include <math.h>

/* Most bytes of logits that one part of fathom_log_probabilities asks for. */
#define PART_BYTES ((size_t)64 << 20)
/* Longest text that generation gives back. */
#define TEXT_LIMIT ((size_t)1 << 30)

static double log_sum_exp(const float *logits, size_t n) {
    double highest = logits[0], sum = 0.0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > highest) highest = logits[i];
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - highest);
    return highest + log(sum);
}

struct generation {
    fathom_session *session;
    fathom__sampler *sampler;
    struct fathom__buffer text;
    fathom_generate_fn fn;
    void *payload;
};

/* Chooses the next token from the last row's logits, hands it over and keeps its text. */
static int next_token(int32_t *out, bool *stop, struct generation *generation, uint32_t index) {
    const fathom_session *session = generation->session;
    const fathom_model *model = session->model;
    size_t n_vocab = model->info.n_vocab;
    const float *logits = fathom_session_logits(session, session->n_rows - 1);
    if (!logits) return fathom__fail(FATHOM_ERROR_ENGINE, "generation: the last row has no logits");
    int32_t token = 0;
    int status = fathom__sampler_next(&token, generation->sampler, logits);
    if (status) return status;

    struct fathom_generated generated = {.token = token, .index = index, .end = fathom_token_is_end(model, token)};
    generated.log_probability = (double)logits[token] - log_sum_exp(logits, n_vocab);
    status = fathom_token_bytes(&generated.bytes, &generated.n_bytes, model, token);
    if (!status && !generated.end)
        status = fathom__buffer_append(&generation->text, generated.bytes, generated.n_bytes);
    if (status) return status;
    bool asked = generation->fn && generation->fn(&generated, generation->payload);
    *stop = generated.end || asked;
    *out = token;
    return FATHOM_OK;
}

int fathom_generate(char **text, fathom_session *session, const int32_t *prompt, size_t n, uint32_t max_new,
                    const struct fathom_sampling *sampling, fathom_generate_fn fn, void *payload) {
    static const struct fathom_sampling greedy = FATHOM_SAMPLING_INIT;
    if (!session || !prompt || n == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "fathom_generate: a session and at least one prompt token are required");
    if (!sampling) sampling = &greedy;
    struct generation generation = {
        .session = session, .text = FATHOM__BUFFER_INIT(TEXT_LIMIT), .fn = fn, .payload = payload};
    int status = fathom__sampler_open(&generation.sampler, sampling, session->model->info.n_vocab);
    if (status) return status;
    fathom_session_forget(session, -1, 0);
    status = fathom_session_feed(session, prompt, n, 0, 0, false);
    if (status) goto cleanup;
    for (size_t i = 0; i < n; i++)
        fathom__sampler_accept(generation.sampler, prompt[i]);
    for (uint32_t index = 0; index < max_new; index++) {
        int32_t token = 0;
        bool stop = false;
        status = next_token(&token, &stop, &generation, index);
        if (status) goto cleanup;
        if (stop || index + 1 == max_new) break;
        struct fathom_row row = {.token = token, .position = (int32_t)(n + index), .sequence = 0, .want_logits = true};
        status = fathom_session_decode(session, &row, 1);
        if (status) goto cleanup;
    }
    if (text)
        status = fathom__utf8_clean(text, generation.text.bytes ? generation.text.bytes : "", generation.text.length);

cleanup:
    fathom__sampler_close(generation.sampler);
    fathom__buffer_free(&generation.text);
    return status;
}

struct scoring {
    const fathom_session *session;
    const int32_t *tokens;
    size_t n;
    double *out;
};

static int score_part(size_t first, size_t n, void *payload) {
    struct scoring *scoring = payload;
    size_t n_vocab = scoring->session->model->info.n_vocab;
    for (size_t i = 0; i < n && first + i + 1 < scoring->n; i++) {
        const float *logits = fathom_session_logits(scoring->session, i);
        if (!logits) return fathom__fail(FATHOM_ERROR_ENGINE, "row %zu has no logits", i);
        scoring->out[first + i] = (double)logits[scoring->tokens[first + i + 1]] - log_sum_exp(logits, n_vocab);
    }
    return FATHOM_OK;
}

int fathom_log_probabilities(double *out, fathom_session *session, const int32_t *tokens, size_t n) {
    if (!session || !tokens || n == 0 || (!out && n > 1))
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "fathom_log_probabilities: out, session and at least one token are required");
    /* The last row of a part is scored before the decode of the next one would look at its first token. */
    const uint32_t n_vocab = session->model->info.n_vocab;
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= n_vocab)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "row %zu has token %d, where the model has 0 to %u", i,
                                (int)tokens[i], n_vocab - 1);
    struct scoring scoring = {.session = session, .tokens = tokens, .n = n, .out = out};
    size_t part = PART_BYTES / (n_vocab * sizeof(float));
    fathom_session_forget(session, -1, 0);
    return fathom__session_feed(session, tokens, n, 0, 0, true, part ? part : 1, score_part, &scoring);
}
