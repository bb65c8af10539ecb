/* Sampling, generation and the probabilities of given texts. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "engine/session_internal.h"
#include <math.h>

enum { DEFAULT_PENALTY_WINDOW = 64 };

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

/* The engine's generator takes 32 bits and reads all ones as "any seed". */
static uint32_t engine_seed(uint64_t seed) {
    uint32_t folded = (uint32_t)(seed ^ seed >> 32);
    return folded == LLAMA_DEFAULT_SEED ? folded - 1 : folded;
}

static int check_sampling(const struct fathom_sampling *sampling) {
    const struct {
        const char *name;
        float value;
    } numbers[] = {{"temperature", sampling->temperature},
                   {"top_p", sampling->top_p},
                   {"min_p", sampling->min_p},
                   {"repeat_penalty", sampling->repeat_penalty},
                   {"frequency_penalty", sampling->frequency_penalty},
                   {"presence_penalty", sampling->presence_penalty}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!isfinite(numbers[i].value))
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "sampling: %s is not a finite number", numbers[i].name);
    if (sampling->penalty_window < 0 || sampling->repeat_penalty < 0.0f || sampling->min_p < 0.0f ||
        sampling->min_p > 1.0f || sampling->top_p < 0.0f)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "sampling: penalty_window %d, repeat_penalty %g and top_p %g must not be negative, and "
                            "min_p %g must lie between 0 and 1",
                            (int)sampling->penalty_window, (double)sampling->repeat_penalty, (double)sampling->top_p,
                            (double)sampling->min_p);
    return FATHOM_OK;
}

/* A sampling chain; NULL when memory is exhausted. */
static struct llama_sampler *make_chain(const struct fathom_sampling *sampling, uint32_t n_vocab) {
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    if (!chain) return NULL;
    float repeat = sampling->repeat_penalty > 0.0f ? sampling->repeat_penalty : 1.0f;
    int32_t window = sampling->penalty_window ? sampling->penalty_window : DEFAULT_PENALTY_WINDOW;
    if (repeat != 1.0f || sampling->frequency_penalty != 0.0f || sampling->presence_penalty != 0.0f)
        llama_sampler_chain_add(chain,
                                llama_sampler_init_penalties((int32_t)n_vocab, window, repeat,
                                                             sampling->frequency_penalty, sampling->presence_penalty));
    if (sampling->temperature <= 0.0f) {
        llama_sampler_chain_add(chain, llama_sampler_init_greedy());
        return chain;
    }
    if (sampling->top_k > 0) llama_sampler_chain_add(chain, llama_sampler_init_top_k(sampling->top_k));
    if (sampling->top_p > 0.0f && sampling->top_p < 1.0f)
        llama_sampler_chain_add(chain, llama_sampler_init_top_p(sampling->top_p, 1));
    if (sampling->min_p > 0.0f) llama_sampler_chain_add(chain, llama_sampler_init_min_p(sampling->min_p, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp(sampling->temperature));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(engine_seed(sampling->seed)));
    return chain;
}

struct generation {
    fathom_session *session;
    struct llama_sampler *chain;
    llama_token_data *candidates; /* [n_vocab] */
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
    for (size_t i = 0; i < n_vocab; i++)
        generation->candidates[i] = (llama_token_data){.id = (llama_token)i, .logit = logits[i], .p = 0.0f};
    llama_token_data_array array = {.data = generation->candidates, .size = n_vocab, .selected = -1, .sorted = false};
    llama_sampler_apply(generation->chain, &array);
    if (array.selected < 0 || (size_t)array.selected >= array.size)
        return fathom__fail(FATHOM_ERROR_ENGINE, "generation: the sampler chose no token");
    int32_t token = array.data[array.selected].id;
    llama_sampler_accept(generation->chain, token);

    struct fathom_generated generated = {.token = token, .index = index, .end = fathom_token_is_end(model, token)};
    generated.log_probability = (double)logits[token] - log_sum_exp(logits, n_vocab);
    int status = fathom_token_bytes(&generated.bytes, &generated.n_bytes, model, token);
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
    int status = check_sampling(sampling);
    if (status) return status;
    struct generation generation = {
        .session = session, .text = FATHOM__BUFFER_INIT(TEXT_LIMIT), .fn = fn, .payload = payload};
    size_t n_vocab = session->model->info.n_vocab;
    status = fathom__alloc(&generation.candidates, n_vocab, sizeof *generation.candidates);
    if (status) return status;
    generation.chain = make_chain(sampling, (uint32_t)n_vocab);
    if (!generation.chain) {
        status = fathom__fail_memory(n_vocab * sizeof *generation.candidates);
        goto cleanup;
    }
    fathom_session_forget(session, -1, 0);
    status = fathom_session_feed(session, prompt, n, 0, 0, false);
    if (status) goto cleanup;
    for (size_t i = 0; i < n; i++)
        llama_sampler_accept(generation.chain, prompt[i]);
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
    if (generation.chain) llama_sampler_free(generation.chain);
    fathom__buffer_free(&generation.text);
    fathom_free(generation.candidates);
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
    struct scoring scoring = {.session = session, .tokens = tokens, .n = n, .out = out};
    size_t part = PART_BYTES / (session->model->info.n_vocab * sizeof(float));
    fathom_session_forget(session, -1, 0);
    return fathom__session_feed(session, tokens, n, 0, 0, true, part ? part : 1, score_part, &scoring);
}
