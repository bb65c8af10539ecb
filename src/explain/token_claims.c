/* Which earlier tokens carried the answer: a token is taken away in two ways, its content (its embedding replaced by
 * the mean of the others') and the sight of it (no later row may attend to it, at any layer). */
#include "parts.h"
#include <base/error.h>
#include <base/memory.h>

struct work {
    const struct fathom__baseline *baseline;
    size_t n_prompt;
    float *means; /* [n_prompt, d_model]: mean embedding of the other prompt tokens */
};

static bool erase_token(float *row, const struct fathom_block *block, size_t r, size_t variant, void *payload) {
    const struct work *work = payload;
    if ((size_t)block->positions[r] != variant) return false;
    for (size_t i = 0; i < block->width; i++)
        row[i] = work->means[variant * block->width + i];
    return true;
}

/* The pattern's columns are positions here: one sequence in a cleared session. What the other columns hold is scaled up
 * to sum to one again. */
static bool hide_token(float *row, const struct fathom_block *block, size_t r, size_t variant, void *payload) {
    size_t n_keys = block->width / block->heads;
    size_t hidden = variant + 1; /* position 0 is not asked about */
    (void)payload;
    if ((size_t)block->positions[r] <= hidden) return false;
    for (size_t h = 0; h < block->heads; h++) {
        float *pattern = row + h * n_keys;
        float rest = 1 - pattern[hidden];
        pattern[hidden] = 0;
        if (!(rest > 0)) continue;
        for (size_t k = 0; k < n_keys; k++)
            pattern[k] /= rest;
    }
    return true;
}

static void set_means(struct work *work) {
    size_t d = work->baseline->d_model;
    double others = work->n_prompt > 1 ? (double)(work->n_prompt - 1) : 1;
    for (size_t i = 0; i < d; i++) {
        double sum = 0;
        for (size_t p = 0; p < work->n_prompt; p++)
            sum += (double)work->baseline->embedding[p * d + i];
        for (size_t p = 0; p < work->n_prompt; p++)
            work->means[p * d + i] = (float)((sum - (double)work->baseline->embedding[p * d + i]) / others);
    }
}

/* Claims for effects of positions first … first + n - 1 (position `first` has index 0), each beside draws from the
 * others. */
static int fill(struct fathom_explained_token *tokens, bool unseen, const double *log_probabilities, size_t n,
                const struct fathom__parts *parts) {
    double plain = parts->baseline->log_probability;
    double *effects = NULL, *controls = NULL;
    uint32_t *candidates = NULL;
    int status = fathom__alloc(&effects, n, sizeof *effects);
    if (status == FATHOM_OK) status = fathom__alloc(&controls, parts->n_controls, sizeof *controls);
    if (status == FATHOM_OK) status = fathom__alloc(&candidates, n, sizeof *candidates);
    for (size_t i = 0; status == FATHOM_OK && i < n; i++)
        effects[i] = log_probabilities[i] - plain;
    for (size_t i = 0; status == FATHOM_OK && i < n; i++) {
        size_t n_candidates = 0;
        for (size_t j = 0; j < n; j++)
            if (j != i) candidates[n_candidates++] = (uint32_t)j;
        size_t n_controls =
            fathom__claim_draw(controls, parts->n_controls, effects, candidates, n_candidates, parts->random);
        fathom__claim_set(unseen ? &tokens[i].unseen : &tokens[i].erased, log_probabilities[i], plain, controls,
                          n_controls);
        tokens[i].has_unseen = tokens[i].has_unseen || unseen;
    }
    fathom_free(effects);
    fathom_free(controls);
    fathom_free(candidates);
    return status;
}

static int measure_unseen(fathom_explanation *explanation, struct fathom__variants *variants,
                          const struct fathom__parts *parts, double *log_probabilities) {
    size_t n_layers = parts->baseline->n_layers;
    size_t n = variants->question.n_prompt > 2 ? variants->question.n_prompt - 2 : 0;
    struct fathom_hook *hooks = NULL;
    int status = fathom__alloc(&hooks, n_layers, sizeof *hooks);
    if (status != FATHOM_OK || n == 0) goto done;
    for (size_t l = 0; l < n_layers; l++)
        hooks[l] = (struct fathom_hook){FATHOM_HOOK_PATTERN, (int32_t)l};
    variants->hooks = hooks;
    variants->n_hooks = n_layers;
    variants->change = hide_token;
    variants->n_variants = n;
    variants->alone = true;
    variants->stage = "hiding tokens";
    status = fathom__variants_measure(log_probabilities, parts->session, variants);
    if (status == FATHOM_OK) status = fill(explanation->tokens + 1, true, log_probabilities, n, parts);
done:
    fathom_free(hooks);
    return status;
}

int fathom__explain_tokens(fathom_explanation *explanation, const struct fathom__parts *parts) {
    struct fathom_hook embed = {FATHOM_HOOK_EMBED, -1};
    struct work work = {.baseline = parts->baseline, .n_prompt = parts->question.n_prompt};
    struct fathom__variants variants = {
        .question = parts->question,
        .hooks = &embed,
        .n_hooks = 1,
        .change = erase_token,
        .payload = &work,
        .n_variants = work.n_prompt,
        .stage = "erasing tokens",
        .progress = parts->progress,
        .progress_payload = parts->progress_payload,
    };
    double *log_probabilities = NULL;
    int status = fathom__alloc(&explanation->tokens, work.n_prompt, sizeof *explanation->tokens);
    if (status == FATHOM_OK)
        status = fathom__alloc(&work.means, work.n_prompt * parts->baseline->d_model, sizeof(float));
    if (status == FATHOM_OK) status = fathom__alloc(&log_probabilities, work.n_prompt, sizeof *log_probabilities);
    if (status != FATHOM_OK) goto done;
    explanation->n_tokens = work.n_prompt;
    for (size_t p = 0; p < work.n_prompt; p++) {
        explanation->tokens[p].token = parts->question.tokens[p];
        explanation->tokens[p].position = (int32_t)p;
    }
    set_means(&work);
    status = fathom__variants_measure(log_probabilities, parts->session, &variants);
    if (status == FATHOM_OK) status = fill(explanation->tokens, false, log_probabilities, work.n_prompt, parts);
    if (status == FATHOM_OK) status = measure_unseen(explanation, &variants, parts, log_probabilities);
done:
    fathom_free(work.means);
    fathom_free(log_probabilities);
    return status;
}
