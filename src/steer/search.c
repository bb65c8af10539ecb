#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "steer/asker.h"
#include "steer/direction.h"
#include "steer/plan.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Held-out answers are drawn with seeds that no trial used. */
enum { HELD_OUT_SEEDS = 1000 };

struct searching {
    const struct fathom_steer_search *search;
    const fathom_model *model;
    struct fathom_steer_found *found;
    fathom__asker *asker;
    size_t trial_capacity;
    /* Progress, in answers. */
    uint64_t done, total;
    double started;
    char note[96];
};

static int report(size_t n_answers, void *payload) {
    struct searching *searching = payload;
    const struct fathom_steer_search *search = searching->search;
    double seconds = fathom__seconds() - searching->started;
    searching->done += n_answers;
    if (search->progress == NULL) {
        return 0;
    }
    double rate = seconds > 0 ? (double)searching->done / seconds : 0;
    struct fathom_progress progress = {.stage = "search",
                                       .done = searching->done,
                                       .total = searching->total,
                                       .unit = "answers",
                                       .units_per_second = rate,
                                       .seconds_left =
                                           rate > 0 ? (double)(searching->total - searching->done) / rate : -1,
                                       .note = searching->note[0] != '\0' ? searching->note : NULL};
    return search->progress(&progress, search->payload) == 0 ? 0 : FATHOM_ERROR_STOPPED;
}

/* The part of a direction that covers a range of layers; borrows its arrays. */
static int narrow(struct fathom_direction *out, const struct fathom_direction *whole, struct fathom_layer_range range) {
    if (range.first < whole->first_layer || range.last > whole->last_layer || range.first > range.last) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "layers %d to %d: the direction was made for layers %d to %d",
                            range.first, range.last, whole->first_layer, whole->last_layer);
    }
    size_t skipped = (size_t)(range.first - whole->first_layer);
    *out = *whole;
    out->first_layer = range.first;
    out->last_layer = range.last;
    out->vectors += skipped * whole->width;
    out->lengths += skipped;
    out->median_norms += skipped;
    return FATHOM_OK;
}

static int make_plan(fathom_steer **out, const struct searching *searching, const struct fathom_steer_trial *trial) {
    const struct fathom_steer_search *search = searching->search;
    struct fathom_layer_range range = {trial->first_layer, trial->last_layer};
    fathom_steer *plan = NULL;
    int status = fathom_steer_open(&plan, searching->model);
    if (status == FATHOM_OK && trial->has_feature) {
        bool own = range.first == -1 && range.last == -1;
        for (size_t i = 0; i < search->n_features && status == FATHOM_OK; i++) {
            if (!search->together && search->features[i] != trial->feature) {
                continue;
            }
            struct fathom_steer_feature edit = {.dictionary = search->dictionary,
                                                .feature = search->features[i],
                                                .mode = search->mode,
                                                .value = trial->strength * search->maxima[i],
                                                .spread = !own,
                                                .first_layer = range.first,
                                                .last_layer = range.last};
            status = fathom_steer_add_feature(plan, &edit);
        }
    } else if (status == FATHOM_OK) {
        struct fathom_direction part = FATHOM_DIRECTION_INIT;
        status = narrow(&part, search->direction, range);
        if (status == FATHOM_OK) {
            status = fathom_steer_add_direction(plan, &part, trial->strength, FATHOM_STEER_ALL);
        }
    }
    if (status != FATHOM_OK) {
        fathom_steer_close(plan);
        return status;
    }
    *out = plan;
    return FATHOM_OK;
}

/* By the objective; among settings that all fail it, by how near the concept's words came. */
static bool better(const struct fathom_steer_score *a, const struct fathom_steer_score *b) {
    if (a->objective != b->objective) {
        return a->objective > b->objective;
    }
    return a->objective == 0 && a->concept_log_probability > b->concept_log_probability;
}

static int try(struct searching *searching, struct fathom_steer_trial trial) {
    struct fathom_steer_found *found = searching->found;
    fathom_steer *plan = NULL;
    int status = fathom__grow(&found->trials, &searching->trial_capacity, found->n_trials + 1, sizeof *found->trials);
    if (status == FATHOM_OK) {
        status = make_plan(&plan, searching, &trial);
    }
    if (status == FATHOM_OK) {
        status = fathom__asker_ask(&trial.score, NULL, searching->asker, plan, &found->plain, 0, report, searching);
    }
    fathom_steer_close(plan);
    if (status != FATHOM_OK) {
        return status;
    }
    found->trials[found->n_trials] = trial;
    if (found->n_trials == 0 || better(&trial.score, &found->trials[found->best].score)) {
        found->best = found->n_trials;
    }
    const struct fathom_steer_trial *best = &found->trials[found->best];
    snprintf(searching->note, sizeof searching->note, "best %.2f at strength %g over layers %d to %d",
             best->score.objective, (double)best->strength, best->first_layer, best->last_layer);
    found->n_trials++;
    return FATHOM_OK;
}

/* How many things are tried one after another. */
static size_t n_subjects(const struct fathom_steer_search *search) {
    return search->dictionary != NULL && !search->together ? search->n_features : 1;
}

static int try_grid(struct searching *searching) {
    const struct fathom_steer_search *search = searching->search;
    size_t n_features = n_subjects(search);
    int status = FATHOM_OK;
    for (size_t f = 0; f < n_features; f++) {
        for (size_t r = 0; r < search->n_ranges; r++) {
            for (size_t s = 0; s < search->n_strengths && status == FATHOM_OK; s++) {
                struct fathom_steer_trial trial = {.has_feature = search->dictionary != NULL,
                                                   .feature = search->dictionary != NULL ? search->features[f] : 0,
                                                   .first_layer = search->ranges[r].first,
                                                   .last_layer = search->ranges[r].last,
                                                   .strength = search->strengths[s]};
                status = try(searching, trial);
            }
        }
    }
    return status;
}

/* Distance from a strength to the nearest other one of the grid, 0 when there is none. */
static float nearest_step(const struct fathom_steer_search *search, float strength) {
    float step = 0;
    for (size_t s = 0; s < search->n_strengths; s++) {
        float distance = fabsf(search->strengths[s] - strength);
        if (distance > 0 && (step == 0 || distance < step)) {
            step = distance;
        }
    }
    return step;
}

/* Halves the step around the best setting, trying both sides each time. */
static int refine(struct searching *searching) {
    struct fathom_steer_found *found = searching->found;
    float step = nearest_step(searching->search, found->trials[found->best].strength);
    int status = FATHOM_OK;
    for (uint32_t i = 0; i < searching->search->n_refine && step > 0 && status == FATHOM_OK; i++) {
        struct fathom_steer_trial centre = found->trials[found->best];
        step /= 2;
        for (int side = -1; side <= 1 && status == FATHOM_OK; side += 2) {
            struct fathom_steer_trial trial = centre;
            trial.strength = centre.strength + (float)side * step;
            status = try(searching, trial);
        }
    }
    return status;
}

static int hold_out(struct searching *searching) {
    const struct fathom_steer_search *search = searching->search;
    struct fathom_steer_found *found = searching->found;
    struct fathom_steer_asking asking = search->asking;
    fathom__asker *asker = NULL;
    fathom_steer *plan = NULL;
    asking.questions = search->held_out;
    asking.n_questions = search->n_held_out;
    int status = fathom__asker_open(&asker, searching->model, &asking, search->concept);
    if (status == FATHOM_OK) {
        status = fathom__asker_ask(&found->held_out_plain, NULL, asker, NULL, NULL, HELD_OUT_SEEDS, report, searching);
    }
    if (status == FATHOM_OK) {
        status = make_plan(&plan, searching, &found->trials[found->best]);
    }
    if (status == FATHOM_OK) {
        status = fathom__asker_ask(&found->held_out, NULL, asker, plan, &found->held_out_plain, HELD_OUT_SEEDS, report,
                                   searching);
    }
    found->has_held_out = status == FATHOM_OK;
    fathom_steer_close(plan);
    fathom__asker_close(asker);
    return status;
}

static int check(const struct fathom_steer_search *search) {
    bool features = search->dictionary != NULL && search->n_features > 0;
    if (features == (search->direction != NULL)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a search turns either features of a dictionary or a direction");
    }
    if (search->n_ranges == 0 || search->n_strengths == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a search needs at least one range of layers and one strength");
    }
    if (features && search->mode == FATHOM_STEER_ABLATE) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "an ablation has no strength to search for");
    }
    if (search->concept == NULL) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a search needs a concept to look for");
    }
    for (size_t f = 0; features && f < search->n_features; f++) {
        if (!(search->maxima[f] > 0) || !isfinite(search->maxima[f])) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "feature %u: its maximum must be positive and finite, is %g",
                                search->features[f], (double)search->maxima[f]);
        }
    }
    return FATHOM_OK;
}

void fathom_steer_found_free(struct fathom_steer_found *found) {
    fathom_free(found->trials);
    *found = (struct fathom_steer_found)FATHOM_STEER_FOUND_INIT;
}

int fathom_steer_search(struct fathom_steer_found *out, const fathom_model *model,
                        const struct fathom_steer_search *search) {
    struct fathom_steer_found found = FATHOM_STEER_FOUND_INIT;
    struct searching searching = {.search = search, .model = model, .found = &found, .started = fathom__seconds()};
    int status = check(search);
    if (status != FATHOM_OK) {
        return status;
    }
    uint32_t n_seeds = search->asking.n_seeds ? search->asking.n_seeds : 1;
    size_t n_settings = n_subjects(search) * search->n_ranges * search->n_strengths;
    searching.total =
        n_seeds * ((1 + n_settings + 2 * search->n_refine) * search->asking.n_questions + 2 * search->n_held_out);
    status = fathom__asker_open(&searching.asker, model, &search->asking, search->concept);
    if (status == FATHOM_OK) {
        status = fathom__asker_ask(&found.plain, NULL, searching.asker, NULL, NULL, 0, report, &searching);
    }
    if (status == FATHOM_OK) {
        status = try_grid(&searching);
    }
    if (status == FATHOM_OK) {
        status = refine(&searching);
    }
    if (status == FATHOM_OK && search->n_held_out > 0) {
        status = hold_out(&searching);
    }
    fathom__asker_close(searching.asker);
    if (status != FATHOM_OK) {
        fathom_steer_found_free(&found);
        return status;
    }
    *out = found;
    return FATHOM_OK;
}
