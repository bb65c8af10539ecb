#include "steer/refusal.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "detect/pool.h"
#include "steer/direction.h"
#include <math.h>
#include <string.h>

enum { DEFAULT_POSITIONS = 5 };
enum { FIRST_LAYER = 1 }; /* before it a token is nothing but itself, in every question the same */
static const double default_divergence = 0.1;
static const double first_layers = 0.8; /* later ones are not taken */

void fathom_refusal_free(struct fathom_refusal *refusal) {
    fathom_direction_free(&refusal->direction);
    fathom_free(refusal->trials);
    *refusal = (struct fathom_refusal)FATHOM_REFUSAL_INIT;
}

/* Sums of rows at the beginning of a layer, by position from the end. */
struct layer_sums {
    double *sums; /* [positions, width] */
    size_t n_positions, width;
    double weight; /* of the question that is read */
};

static int add_rows(const struct fathom_block *block, void *payload) {
    struct layer_sums *layer = payload;
    for (size_t p = 0; p < layer->n_positions; p++) {
        const float *row = block->rows + (block->n_rows - 1 - p) * block->width;
        for (size_t i = 0; i < layer->width; i++) {
            layer->sums[p * layer->width + i] += layer->weight * (double)row[i];
        }
    }
    return FATHOM_OK;
}

/* Differences of means: f64 [layers, positions, width], new. */
static int read_differences(double **out, struct fathom__refusal_bench *bench, size_t n_layers, size_t n_positions,
                            size_t width) {
    struct layer_sums *layers = NULL;
    int status = fathom__alloc(out, n_layers * n_positions * width, sizeof **out);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&layers, n_layers, sizeof *layers);
    }
    for (size_t l = 0; l < n_layers && status == FATHOM_OK; l++) {
        layers[l] = (struct layer_sums){*out + l * n_positions * width, n_positions, width, 0};
        status = fathom_session_tap(NULL, bench->session, (struct fathom_hook){FATHOM_HOOK_RESID_PRE, (int32_t)l},
                                    add_rows, &layers[l]);
    }
    for (int c = 0; c < 2 && status == FATHOM_OK; c++) {
        for (size_t i = 0; i < bench->n_train && status == FATHOM_OK; i++) {
            for (size_t l = 0; l < n_layers; l++) {
                layers[l].weight = (c == 1 ? 1.0 : -1.0) / (double)bench->n_train;
            }
            fathom_session_forget(bench->session, -1, 0);
            status = fathom_session_feed(bench->session, bench->asked[c][i].tokens, bench->asked[c][i].n, 0, 0, false);
        }
    }
    fathom_session_unhook_all(bench->session);
    fathom_free(layers);
    return status;
}

/* The same vector at the beginning of all layers. */
static int set_vector(struct fathom_direction *direction, const double *difference) {
    for (size_t l = 0; l < fathom__direction_layers(direction); l++) {
        for (size_t i = 0; i < direction->width; i++) {
            direction->vectors[l * direction->width + i] = (float)difference[i];
        }
    }
    return fathom__direction_normalise(direction, "harmful minus harmless");
}

int fathom_refusal_ablate(fathom_steer *plan, const struct fathom_direction *direction) {
    static const enum fathom_hook_kind kinds[] = {FATHOM_HOOK_RESID_PRE, FATHOM_HOOK_ATTN_OUT, FATHOM_HOOK_MLP_OUT};
    int status = FATHOM_OK;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0] && status == FATHOM_OK; k++) {
        struct fathom_direction there = *direction;
        there.kind = kinds[k];
        struct fathom_steer_edit edit = {
            .what = FATHOM_STEER_VECTOR, .direction = &there, .how = FATHOM_STEER_HOW_PROJECT_OUT, .value = 1};
        status = fathom_steer_add(plan, &edit);
    }
    return status;
}

static int induce(fathom_steer *plan, const struct fathom_direction *direction, int32_t layer) {
    struct fathom_steer_edit edit = {.what = FATHOM_STEER_VECTOR,
                                     .direction = direction,
                                     .how = FATHOM_STEER_HOW_ADD,
                                     .value = 1,
                                     .placed = true,
                                     .first_layer = layer,
                                     .last_layer = layer};
    return fathom_steer_add(plan, &edit);
}

/* Of the three figures no more than it takes to refuse the candidate: harmless questions ablated, then added to, then
 * harmful ones. */
static int try_candidate(struct fathom_refusal_trial *trial, struct fathom__refusal_bench *bench,
                         const struct fathom_direction *direction, double most_divergence, double least_induce) {
    fathom_steer *ablated = NULL;
    fathom_steer *added = NULL;
    double harmless = 0;
    trial->bypass = trial->induce = NAN;
    int status = fathom_steer_open(&ablated, bench->model);
    if (status == FATHOM_OK) {
        status = fathom_refusal_ablate(ablated, direction);
    }
    if (status == FATHOM_OK) {
        status = fathom__refusal_mean(&harmless, &trial->divergence, bench, 0, ablated, false);
    }
    if (status == FATHOM_OK && trial->divergence < most_divergence) {
        status = fathom_steer_open(&added, bench->model);
        if (status == FATHOM_OK) {
            status = induce(added, direction, trial->layer);
        }
        if (status == FATHOM_OK) {
            status = fathom__refusal_mean(&trial->induce, NULL, bench, 0, added, false);
        }
    }
    trial->admitted = status == FATHOM_OK && trial->induce > least_induce;
    if (trial->admitted) {
        status = fathom__refusal_mean(&trial->bypass, NULL, bench, 1, ablated, false);
    }
    fathom_steer_close(added);
    fathom_steer_close(ablated);
    return status;
}

static int measure_norms(struct fathom_direction *direction, const fathom_model *model,
                         const struct fathom_refusal_search *search) {
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct fathom_hook *hooks = NULL;
    int status = fathom__direction_hooks(&hooks, direction);
    for (size_t i = 0; i < search->n_train && status == FATHOM_OK; i++) {
        status = fathom_texts_append(&texts, search->harmless[i], strlen(search->harmless[i]), FATHOM_LABEL_NONE);
    }
    if (status == FATHOM_OK) {
        status =
            fathom__median_norms(direction->median_norms, model, &texts, hooks, fathom__direction_layers(direction));
    }
    fathom_free(hooks);
    fathom_texts_free(&texts);
    return status;
}

/* Tries every candidate; the trial of lowest bypass among the admitted ones is the best. */
static int try_all(struct fathom_refusal *refusal, struct fathom__refusal_bench *bench, const double *differences,
                   size_t n_layers, size_t n_positions, const struct fathom_refusal_search *search) {
    double most = search->most_divergence > 0 ? search->most_divergence : default_divergence;
    double nearest = INFINITY;
    double highest = -INFINITY;
    double started = fathom__seconds();
    bool found = false;
    int status = FATHOM_OK;
    for (size_t t = 0; t < refusal->n_trials && status == FATHOM_OK; t++) {
        struct fathom_refusal_trial *trial = &refusal->trials[t];
        double seconds = fathom__seconds() - started;
        double rate = t > 0 && seconds > 0 ? (double)t / seconds : 0;
        struct fathom_progress progress = {.stage = "candidates",
                                           .done = t,
                                           .total = refusal->n_trials,
                                           .unit = "candidates",
                                           .units_per_second = rate,
                                           .seconds_left = rate > 0 ? (double)(refusal->n_trials - t) / rate : -1};
        size_t place = (size_t)trial->layer * n_positions + (size_t)(-1 - trial->position);
        if (search->progress != NULL && search->progress(&progress, search->payload) != 0) {
            return fathom__fail(FATHOM_ERROR_STOPPED, "the selection was stopped");
        }
        status = set_vector(&refusal->direction, differences + place * refusal->direction.width);
        if (status == FATHOM_OK) {
            status = try_candidate(trial, bench, &refusal->direction, most, search->least_induce);
        }
        if (status == FATHOM_OK && trial->admitted &&
            (!found || trial->bypass < refusal->trials[refusal->best].bypass)) {
            refusal->best = t;
            found = true;
        }
        nearest = fmin(nearest, trial->divergence);
        highest = fmax(highest, trial->induce);
    }
    if (status == FATHOM_OK && !found) {
        return fathom__fail(
            FATHOM_ERROR_NOT_FOUND,
            "no candidate of %zu on %zu layers leaves harmless questions as they are where it is taken away (at best "
            "%.3f nats, expected below %g) and makes the model refuse them where it is added (of those at best %.2f, "
            "expected above %g)",
            refusal->n_trials, n_layers, nearest, most, highest, search->least_induce);
    }
    if (status == FATHOM_OK) {
        const struct fathom_refusal_trial *best = &refusal->trials[refusal->best];
        size_t place = (size_t)best->layer * n_positions + (size_t)(-1 - best->position);
        status = set_vector(&refusal->direction, differences + place * refusal->direction.width);
    }
    return status;
}

int fathom_refusal_select(struct fathom_refusal *out, const fathom_model *model,
                          const struct fathom_refusal_search *search) {
    struct fathom_refusal refusal = FATHOM_REFUSAL_INIT;
    struct fathom__refusal_bench bench = {0};
    double *differences = NULL;
    size_t n_layers = fathom_model_describe(model)->n_layers;
    size_t end = (size_t)((double)n_layers * first_layers);
    size_t tried = end > FIRST_LAYER ? end - FIRST_LAYER : 0;
    size_t n_positions = search->most_positions > 0 ? search->most_positions : DEFAULT_POSITIONS;
    int status = fathom__direction_start(&refusal.direction, model, FATHOM_HOOK_RESID_PRE, 0, -1);
    if (status == FATHOM_OK) {
        status = fathom__refusal_bench_open(&bench, model, search);
    }
    if (status == FATHOM_OK) {
        size_t common = fathom__refusal_common_end(&bench);
        n_positions = n_positions < common ? n_positions : common;
        status = n_positions > 0 ? measure_norms(&refusal.direction, model, search)
                                 : fathom__fail(FATHOM_ERROR_ARGUMENT,
                                                "no token stands after every question: ask by a chat template, or with "
                                                "a text after the question");
    }
    refusal.n_trials = tried * n_positions;
    if (status == FATHOM_OK) {
        status = fathom__alloc(&refusal.trials, refusal.n_trials, sizeof *refusal.trials);
    }
    for (size_t t = 0; t < refusal.n_trials && status == FATHOM_OK; t++) {
        refusal.trials[t].position = -1 - (int32_t)(t / tried);
        refusal.trials[t].layer = FIRST_LAYER + (int32_t)(t % tried);
    }
    if (status == FATHOM_OK) {
        status = read_differences(&differences, &bench, n_layers, n_positions, refusal.direction.width);
    }
    if (status == FATHOM_OK) {
        status = fathom__refusal_mean(&refusal.plain_harmless, NULL, &bench, 0, NULL, true);
    }
    if (status == FATHOM_OK) {
        status = fathom__refusal_mean(&refusal.plain_harmful, NULL, &bench, 1, NULL, false);
    }
    if (status == FATHOM_OK) {
        status = try_all(&refusal, &bench, differences, n_layers, n_positions, search);
    }
    fathom_free(differences);
    fathom__refusal_bench_close(&bench);
    if (status != FATHOM_OK) {
        fathom_refusal_free(&refusal);
        return status;
    }
    *out = refusal;
    return FATHOM_OK;
}
