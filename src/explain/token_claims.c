/* Which earlier tokens carried the answer: a token is taken away in two ways, its content (its embedding replaced by
 * those of four others in turn) and the sight of it (no later row may attend to it, at any layer). */
#include "parts.h"
#include <base/error.h>
#include <base/memory.h>
#include <string.h>

enum { REPLACEMENTS = 4 }; /* tokens put in a token's place, one a run */

struct work {
    const struct fathom__baseline *baseline;
    size_t n_prompt;
    /* [n_prompt, REPLACEMENTS]: positions whose embedding is put in; what comes in is always a real token's */
    uint32_t *from;
};

static bool erase_token(float *row, const struct fathom_block *block, size_t r, size_t variant, void *payload) {
    const struct work *work = payload;
    if ((size_t)block->positions[r] != variant / REPLACEMENTS) return false;
    memcpy(row, work->baseline->embedding + work->from[variant] * block->width, block->width * sizeof *row);
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

/* Draws the replacements of every position among the prompt's other tokens; a prompt of one repeated token keeps its
 * own. */
static int draw_replacements(struct work *work, const struct fathom__parts *parts) {
    uint32_t *others = NULL;
    int status = fathom__alloc(&others, work->n_prompt, sizeof *others);
    if (status == FATHOM_OK) status = fathom__alloc(&work->from, work->n_prompt * REPLACEMENTS, sizeof *work->from);
    for (size_t p = 0; status == FATHOM_OK && p < work->n_prompt; p++) {
        size_t n = 0;
        for (size_t q = 0; q < work->n_prompt; q++)
            if (parts->question.tokens[q] != parts->question.tokens[p]) others[n++] = (uint32_t)q;
        fathom__random_shuffle(parts->random, others, n);
        for (size_t i = 0; i < REPLACEMENTS; i++)
            work->from[p * REPLACEMENTS + i] = n > 0 ? others[i % n] : (uint32_t)p;
    }
    fathom_free(others);
    return status;
}

/* The mean over a position's replacements, in place of the first n_prompt entries. */
static void average(double *log_probabilities, size_t n_prompt) {
    for (size_t p = 0; p < n_prompt; p++) {
        double sum = 0;
        for (size_t i = 0; i < REPLACEMENTS; i++)
            sum += log_probabilities[p * REPLACEMENTS + i];
        log_probabilities[p] = sum / REPLACEMENTS;
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
            if (j != i && tokens[j].position > 0) candidates[n_candidates++] = (uint32_t)j;
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
        .n_variants = work.n_prompt * REPLACEMENTS,
        .stage = "erasing tokens",
        .progress = parts->progress,
        .progress_payload = parts->progress_payload,
    };
    double *log_probabilities = NULL;
    int status = fathom__alloc(&explanation->tokens, work.n_prompt, sizeof *explanation->tokens);
    if (status == FATHOM_OK) status = draw_replacements(&work, parts);
    if (status == FATHOM_OK)
        status = fathom__alloc(&log_probabilities, work.n_prompt * REPLACEMENTS, sizeof *log_probabilities);
    if (status != FATHOM_OK) goto done;
    explanation->n_tokens = work.n_prompt;
    for (size_t p = 0; p < work.n_prompt; p++) {
        explanation->tokens[p].token = parts->question.tokens[p];
        explanation->tokens[p].position = (int32_t)p;
    }
    status = fathom__variants_measure(log_probabilities, parts->session, &variants);
    if (status == FATHOM_OK) {
        average(log_probabilities, work.n_prompt);
        status = fill(explanation->tokens, false, log_probabilities, work.n_prompt, parts);
    }
    if (status == FATHOM_OK) status = measure_unseen(explanation, &variants, parts, log_probabilities);
done:
    fathom_free(work.from);
    fathom_free(log_probabilities);
    return status;
}
