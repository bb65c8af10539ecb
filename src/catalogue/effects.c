#include "catalogue/effects.h"

#include "base/error.h"
#include "base/memory.h"
#include "catalogue/extremes.h"

#include <math.h>

/* Directions of some features (NULL: of the first n) as rows of length one; a zero direction stays zero. centred:
 * without their mean over the width, as layer norm takes it away. */
static int unit_directions(float **out, const fathom_dictionary *dictionary, const uint32_t *features, size_t n,
                           int (*direction)(float *, const fathom_dictionary *, uint32_t), bool centred) {
    const size_t d = fathom_dictionary_describe(dictionary)->d_out;
    float *directions;
    int status = fathom__alloc(&directions, n * d, sizeof *directions);
    for (size_t f = 0; !status && f < n; f++) {
        float *row = directions + f * d;
        double mean = 0, square = 0;
        if ((status = direction(row, dictionary, features != NULL ? features[f] : (uint32_t)f))) break;
        for (size_t i = 0; centred && i < d; i++)
            mean += (double)row[i] / (double)d;
        for (size_t i = 0; i < d; i++) {
            row[i] -= (float)mean;
            square += (double)row[i] * (double)row[i];
        }
        for (size_t i = 0; square > 0 && i < d; i++)
            row[i] = (float)((double)row[i] / sqrt(square));
    }
    if (status)
        fathom_free(directions);
    else
        *out = directions;
    return status;
}

static bool writes_to_residual(const fathom_dictionary *dictionary, const fathom_model *model) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom_hook hook;
    if (info->d_out != fathom_model_describe(model)->d_model || fathom_hook_parse(&hook, model, info->hook_out))
        return false;
    switch (hook.kind) {
    case FATHOM_HOOK_EMBED:
    case FATHOM_HOOK_RESID_PRE:
    case FATHOM_HOOK_RESID_MID:
    case FATHOM_HOOK_RESID_POST:
    case FATHOM_HOOK_ATTN_OUT:
    case FATHOM_HOOK_MLP_OUT: return true;
    default: return false;
    }
}

/* W_U with the final gain folded in and each column's mean over the vocabulary taken away, in place of W_U. */
static int centred_unembedding(float **out, size_t *n_vocab, bool *layer_norm, const fathom_model *model) {
    struct fathom_final_norm norm;
    float *unembedding;
    double *means = NULL;
    size_t rows, columns;
    int status = fathom_model_final_norm(&norm, model);
    if (status) return status;
    if ((status = fathom_model_unembedding(&unembedding, &rows, &columns, model))) goto done;
    if ((status = fathom__alloc(&means, columns, sizeof *means))) {
        fathom_free(unembedding);
        goto done;
    }
    for (size_t t = 0; t < rows; t++)
        for (size_t i = 0; i < columns; i++)
            means[i] += (double)unembedding[t * columns + i];
    for (size_t i = 0; i < columns; i++)
        means[i] /= (double)rows;
    for (size_t t = 0; t < rows; t++)
        for (size_t i = 0; i < columns; i++)
            unembedding[t * columns + i] =
                (float)(((double)unembedding[t * columns + i] - means[i]) * (double)norm.gain[i]);
    *out = unembedding;
    *n_vocab = rows;
    *layer_norm = !norm.rms;
done:
    fathom_free(means);
    fathom_free(norm.gain);
    fathom_free(norm.bias);
    return status;
}

static int find_effects(struct fathom_effect *effects, const fathom_dictionary *dictionary, const fathom_model *model,
                        const struct fathom__extremes_task *like) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    const size_t n = info->n_features;
    struct fathom__extreme *raised = NULL, *lowered = NULL;
    struct fathom__extremes_task task = *like;
    float *directions = NULL, *unembedding = NULL;
    bool layer_norm;
    int status;
    if ((status = centred_unembedding(&unembedding, &task.n_y, &layer_norm, model)) ||
        (status = unit_directions(&directions, dictionary, NULL, n, fathom_dictionary_direction, layer_norm)) ||
        (status = fathom__alloc(&raised, n * FATHOM__EFFECTS, sizeof *raised)) ||
        (status = fathom__alloc(&lowered, n * FATHOM__EFFECTS, sizeof *lowered)))
        goto done;
    task.x = directions;
    task.y = unembedding;
    task.k = FATHOM__EFFECTS;
    task.stage = "output effects";
    if ((status = fathom__extremes(raised, lowered, &task))) goto done;
    for (size_t f = 0; f < n; f++)
        for (size_t i = 0; i < FATHOM__EFFECTS; i++) {
            const struct fathom__extreme up = raised[f * FATHOM__EFFECTS + i], down = lowered[f * FATHOM__EFFECTS + i];
            /* A zero direction moves nothing: its products are all zero and name no token. */
            if (up.index != UINT32_MAX && up.value > 0)
                effects[f * 2 * FATHOM__EFFECTS + i] = (struct fathom_effect){(int32_t)up.index, up.value};
            if (down.index != UINT32_MAX && down.value < 0)
                effects[(f * 2 + 1) * FATHOM__EFFECTS + i] = (struct fathom_effect){(int32_t)down.index, down.value};
        }
done:
    fathom_free(directions);
    fathom_free(unembedding);
    fathom_free(raised);
    fathom_free(lowered);
    return status;
}

int fathom__raised_tokens(struct fathom_effect *out, const fathom_dictionary *dictionary, const fathom_model *model,
                          const uint32_t *features, size_t n, size_t k) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct fathom__extremes_task task = {.n_x = n, .d = info->d_out, .k = k};
    struct fathom__extreme *raised = NULL;
    float *directions = NULL, *unembedding = NULL;
    bool layer_norm = false;
    if (!writes_to_residual(dictionary, model))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: writes at %s, whose rows are not those of the output",
                            info->path, info->hook_out);
    int status = centred_unembedding(&unembedding, &task.n_y, &layer_norm, model);
    if (!status)
        status = unit_directions(&directions, dictionary, features, n, fathom_dictionary_direction, layer_norm);
    if (!status) status = fathom__alloc(&raised, n * k, sizeof *raised);
    task.x = directions;
    task.y = unembedding;
    if (!status) status = fathom__extremes(raised, NULL, &task);
    for (size_t i = 0; i < n * k && !status; i++) {
        const bool there = raised[i].index != UINT32_MAX && raised[i].value > 0;
        out[i] =
            there ? (struct fathom_effect){(int32_t)raised[i].index, raised[i].value} : (struct fathom_effect){-1, 0};
    }
    fathom_free(directions);
    fathom_free(unembedding);
    fathom_free(raised);
    return status;
}

static int find_neighbours(struct fathom_neighbour *neighbours, const fathom_dictionary *dictionary,
                           const struct fathom__extremes_task *like) {
    struct fathom__extremes_task task = *like;
    struct fathom__extreme *nearest = NULL;
    float *directions = NULL;
    int status = unit_directions(&directions, dictionary, NULL, task.n_x, fathom_dictionary_trained_direction, false);
    if (!status) status = fathom__alloc(&nearest, task.n_x * FATHOM__NEIGHBOURS, sizeof *nearest);
    if (status) goto done;
    task.x = task.y = directions;
    task.n_y = task.n_x;
    task.k = FATHOM__NEIGHBOURS;
    task.not_itself = true;
    task.stage = "nearest features";
    if ((status = fathom__extremes(nearest, NULL, &task))) goto done;
    for (size_t f = 0; f < task.n_x; f++)
        for (size_t i = 0; i < FATHOM__NEIGHBOURS; i++) {
            const struct fathom__extreme *other = &nearest[f * FATHOM__NEIGHBOURS + i];
            if (other->index == UINT32_MAX) other = &nearest[f * FATHOM__NEIGHBOURS];
            neighbours[f * FATHOM__NEIGHBOURS + i] = other->index == UINT32_MAX
                                                         ? (struct fathom_neighbour){(uint32_t)f, 1}
                                                         : (struct fathom_neighbour){other->index, other->value};
        }
done:
    fathom_free(directions);
    fathom_free(nearest);
    return status;
}

int fathom__decoder_facts_make(struct fathom__decoder_facts *out, const fathom_dictionary *dictionary,
                               const fathom_model *model, uint32_t n_threads, fathom_progress_fn progress,
                               void *payload) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    const struct fathom__extremes_task like = {
        .n_x = info->n_features, .d = info->d_out, .n_threads = n_threads, .progress = progress, .payload = payload};
    struct fathom__decoder_facts facts = {0};
    const size_t n_effects = (size_t)info->n_features * 2 * FATHOM__EFFECTS;
    int status;
    if ((status = fathom__alloc(&facts.effects, n_effects, sizeof *facts.effects)) ||
        (status =
             fathom__alloc(&facts.neighbours, (size_t)info->n_features * FATHOM__NEIGHBOURS, sizeof *facts.neighbours)))
        goto done;
    for (size_t i = 0; i < n_effects; i++)
        facts.effects[i].token = -1;
    if (writes_to_residual(dictionary, model) && (status = find_effects(facts.effects, dictionary, model, &like)))
        goto done;
    status = find_neighbours(facts.neighbours, dictionary, &like);
done:
    if (status)
        fathom__decoder_facts_free(&facts);
    else
        *out = facts;
    return status;
}

void fathom__decoder_facts_free(struct fathom__decoder_facts *facts) {
    fathom_free(facts->effects);
    fathom_free(facts->neighbours);
    *facts = (struct fathom__decoder_facts){0};
}
