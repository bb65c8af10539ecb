/* Prompts, and their levels along directions. */
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "steer/cast.h"
#include "steer/direction.h"
#include "steer/steering.h"
#include <math.h>

void fathom__cast_prompts_free(struct fathom__cast_prompts *prompts) {
    fathom__tokens_free(&prompts->tokens);
    fathom_free(prompts->labels);
    *prompts = (struct fathom__cast_prompts){0};
}

int fathom__cast_prompts_add(struct fathom__cast_prompts *prompts, const fathom_model *model,
                             const struct fathom_prompt_style *style, const char *question, int8_t label) {
    struct fathom__tokens *tokens = &prompts->tokens;
    const size_t n = tokens->n;
    int status = fathom__grow(&tokens->tokens, &prompts->token_capacity, n + 1, sizeof *tokens->tokens);
    if (status == FATHOM_OK) {
        status = fathom__grow(&tokens->lengths, &prompts->length_capacity, n + 1, sizeof *tokens->lengths);
    }
    if (status == FATHOM_OK) {
        status = fathom__grow(&prompts->labels, &prompts->label_capacity, n + 1, sizeof *prompts->labels);
    }
    if (status == FATHOM_OK) {
        status = fathom_prompt_tokens(&tokens->tokens[n], &tokens->lengths[n], model, style, question);
    }
    if (status == FATHOM_OK) {
        prompts->labels[n] = label;
        tokens->n++;
    }
    return status;
}

struct levelling {
    const struct fathom__condition *conditions; /* [directions, layers] */
    size_t n_directions, n_layers, n_prompts;
    double *sums;   /* [directions, layers]: of the prompt that is read */
    size_t *counts; /* [directions, layers] */
    float *out;
    const struct fathom_cast_search *search;
    double started;
};

static int report(const struct levelling *levelling, size_t done) {
    const struct fathom_cast_search *search = levelling->search;
    if (search->progress == NULL) {
        return 0;
    }
    double rate = (double)done / fmax(fathom__seconds() - levelling->started, 1e-9);
    const struct fathom_progress progress = {.stage = "levels",
                                             .done = done,
                                             .total = levelling->n_prompts,
                                             .unit = "prompts",
                                             .units_per_second = rate,
                                             .seconds_left = (double)(levelling->n_prompts - done) / rate};
    return search->progress(&progress, search->payload) == 0 ? FATHOM_OK : FATHOM_ERROR_STOPPED;
}

static int read_levels(const struct fathom__piece *piece, void *payload) {
    struct levelling *levelling = payload;
    const size_t n = levelling->n_directions * levelling->n_layers;
    for (size_t c = 0; c < n; c++) {
        const size_t layer = c % levelling->n_layers;
        for (size_t r = 0; r < piece->n_tokens; r++) {
            float level = fathom__condition_level(&levelling->conditions[c],
                                                  piece->rows[layer] + r * piece->widths[layer], piece->positions[r]);
            if (!isnan(level)) {
                levelling->sums[c] += level;
                levelling->counts[c]++;
            }
        }
        if (piece->last) {
            levelling->out[c * levelling->n_prompts + piece->text] =
                levelling->counts[c] > 0 ? (float)(levelling->sums[c] / (double)levelling->counts[c]) : NAN;
            levelling->sums[c] = 0;
            levelling->counts[c] = 0;
        }
    }
    return piece->last ? report(levelling, piece->text + 1) : FATHOM_OK;
}

int fathom__cast_levels(float *out, const fathom_model *model, const struct fathom__cast_prompts *prompts,
                        const struct fathom_direction *directions, size_t n_directions,
                        const struct fathom_cast_search *search) {
    const size_t n_layers = fathom__direction_layers(directions);
    struct levelling levelling = {.n_directions = n_directions,
                                  .n_layers = n_layers,
                                  .n_prompts = prompts->tokens.n,
                                  .out = out,
                                  .search = search,
                                  .started = fathom__seconds()};
    struct fathom__condition *conditions = NULL;
    struct fathom_hook *hooks = NULL;
    int status = fathom__alloc(&conditions, n_directions * n_layers, sizeof *conditions);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&levelling.sums, n_directions * n_layers, sizeof *levelling.sums);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&levelling.counts, n_directions * n_layers, sizeof *levelling.counts);
    }
    if (status == FATHOM_OK) {
        status = fathom__direction_hooks(&hooks, directions);
    }
    for (size_t c = 0; c < n_directions * n_layers && status == FATHOM_OK; c++) {
        const struct fathom_direction *direction = &directions[c / n_layers];
        const size_t layer = c % n_layers;
        conditions[c] = (struct fathom__condition){.vector = direction->vectors + layer * direction->width,
                                                   .width = direction->width,
                                                   .median = direction->median_norms[layer],
                                                   .max_norm = FATHOM__OUTLIER_RATIO * direction->median_norms[layer],
                                                   .measure = search->measure};
    }
    if (status == FATHOM_OK) {
        levelling.conditions = conditions;
        status = fathom__read_tokens(model, &prompts->tokens, hooks, n_layers, read_levels, &levelling);
    }
    fathom_free(hooks);
    fathom_free(conditions);
    fathom_free(levelling.sums);
    fathom_free(levelling.counts);
    return status;
}
