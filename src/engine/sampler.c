/* The engine's sampling chain. */
#include "engine/sampler.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/guard.h"
#include "engine/model_internal.h"
#include <llama.h>
#include <math.h>

enum { DEFAULT_PENALTY_WINDOW = 64 };

struct fathom__sampler {
    struct llama_sampler *chain, *grammar; /* grammar NULL: everything may be written */
    llama_token_data *candidates;          /* [n_vocab] */
    size_t n_vocab;
    bool plain; /* the likeliest token is all that is asked for */
};

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

static float repetition(const struct fathom_sampling *sampling) {
    return sampling->repeat_penalty > 0.0f ? sampling->repeat_penalty : 1.0f;
}

static bool has_penalties(const struct fathom_sampling *sampling) {
    return repetition(sampling) != 1.0f || sampling->frequency_penalty != 0.0f || sampling->presence_penalty != 0.0f;
}

static bool is_plain(const struct fathom_sampling *sampling) {
    return sampling->temperature <= 0.0f && !has_penalties(sampling);
}

/* A sampling chain; NULL when memory is exhausted. */
static struct llama_sampler *make_chain(const struct fathom_sampling *sampling, uint32_t n_vocab) {
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    if (!chain) return NULL;
    int32_t window = sampling->penalty_window ? sampling->penalty_window : DEFAULT_PENALTY_WINDOW;
    if (has_penalties(sampling))
        llama_sampler_chain_add(chain,
                                llama_sampler_init_penalties((int32_t)n_vocab, window, repetition(sampling),
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

int fathom__sampler_open(fathom__sampler **out, const struct fathom_sampling *sampling, size_t n_vocab) {
    fathom__sampler *sampler = NULL;
    int status = check_sampling(sampling);
    if (!status) status = fathom__alloc(&sampler, 1, sizeof *sampler);
    if (status) return status;
    sampler->n_vocab = n_vocab;
    sampler->plain = is_plain(sampling);
    status = fathom__alloc(&sampler->candidates, n_vocab, sizeof *sampler->candidates);
    if (!status && !(sampler->chain = make_chain(sampling, (uint32_t)n_vocab)))
        status = fathom__fail_memory(n_vocab * sizeof *sampler->candidates);
    if (status) {
        fathom__sampler_close(sampler);
        return status;
    }
    *out = sampler;
    return FATHOM_OK;
}

void fathom__sampler_close(fathom__sampler *sampler) {
    if (!sampler) return;
    if (sampler->chain) llama_sampler_free(sampler->chain);
    if (sampler->grammar) llama_sampler_free(sampler->grammar);
    fathom_free(sampler->candidates);
    fathom_free(sampler);
}

void fathom__sampler_accept(fathom__sampler *sampler, int32_t token) {
    llama_sampler_accept(sampler->chain, token);
}

int fathom__grammar_check(const fathom_model *model, const char *grammar) {
    struct llama_sampler *sampler = NULL;
    const int status = fathom__guard_grammar(&sampler, model->vocab, grammar);
    if (sampler) llama_sampler_free(sampler);
    return status;
}

int fathom__sampler_constrain(fathom__sampler *sampler, const fathom_model *model, const char *grammar) {
    return fathom__guard_grammar(&sampler->grammar, model->vocab, grammar);
}

static llama_token_data_array all_candidates(fathom__sampler *sampler, const float *logits) {
    for (size_t i = 0; i < sampler->n_vocab; i++)
        sampler->candidates[i] = (llama_token_data){.id = (llama_token)i, .logit = logits[i], .p = 0.0f};
    return (llama_token_data_array){
        .data = sampler->candidates, .size = sampler->n_vocab, .selected = -1, .sorted = false};
}

static int choose(int32_t *token, fathom__sampler *sampler, llama_token_data_array *array) {
    llama_sampler_apply(sampler->chain, array);
    if (array->selected < 0 || (size_t)array->selected >= array->size)
        return fathom__fail(FATHOM_ERROR_ENGINE, "generation: the sampler chose no token");
    *token = array->data[array->selected].id;
    return FATHOM_OK;
}

static int check_allowed(bool *out, fathom__sampler *sampler, int32_t token) {
    llama_token_data one = {.id = token, .logit = 1.0f, .p = 0.0f};
    llama_token_data_array array = {.data = &one, .size = 1, .selected = -1, .sorted = false};
    const int status = fathom__guard_sampler_apply(sampler->grammar, &array);
    *out = isfinite(one.logit) != 0;
    return status;
}

/* The grammar is asked about the whole vocabulary only where the token that was drawn does not fit: to draw again among those
 * that do gives each its share of what the first draw lost. */
static int choose_within(int32_t *token, fathom__sampler *sampler, const float *logits) {
    bool allowed = false;
    int status = check_allowed(&allowed, sampler, *token);
    if (!status && !allowed) {
        llama_token_data_array array = all_candidates(sampler, logits);
        status = fathom__guard_sampler_apply(sampler->grammar, &array);
        if (!status) status = choose(token, sampler, &array);
        if (!status) status = check_allowed(&allowed, sampler, *token);
    }
    if (!status && !allowed)
        status = fathom__fail(FATHOM_ERROR_ENGINE, "generation: no token of the vocabulary goes on within the grammar");
    return status ? status : fathom__guard_sampler_accept(sampler->grammar, *token);
}

/* The first of the largest logits, as the engine's chain would find it among candidates; in lanes, because a running
 * maximum of floats waits for the one before it. */
static int32_t likeliest(const float *logits, size_t n) {
    enum { LANES = 16 };
    float highest[LANES], most = logits[0];
    size_t i = 0;
    for (size_t lane = 0; lane < LANES; lane++)
        highest[lane] = logits[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            highest[lane] = logits[i + lane] > highest[lane] ? logits[i + lane] : highest[lane];
    for (; i < n; i++)
        most = logits[i] > most ? logits[i] : most;
    for (size_t lane = 0; lane < LANES; lane++)
        most = highest[lane] > most ? highest[lane] : most;
    for (i = 0; i + 1 < n && logits[i] < most;)
        i++;
    return (int32_t)i;
}

int fathom__sampler_next(int32_t *token, fathom__sampler *sampler, const float *logits) {
    int status = FATHOM_OK;
    if (sampler->plain) {
        *token = likeliest(logits, sampler->n_vocab);
    } else {
        llama_token_data_array array = all_candidates(sampler, logits);
        status = choose(token, sampler, &array);
    }
    if (!status && sampler->grammar) status = choose_within(token, sampler, logits);
    if (!status) llama_sampler_accept(sampler->chain, *token);
    return status;
}
