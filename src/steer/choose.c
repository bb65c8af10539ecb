#include "steer/choose.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "steer/scorer.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A round's levels of a new feature, in multiples of its maximum. */
static const float levels[] = {0.5f, 1.0f, 1.5f, 2.0f};
enum { LEVELS = sizeof levels / sizeof levels[0], DEFAULT_MOST = 4, KEPT_CANDIDATES = 16 };

/* Steps of the refinement. */
static const float steps[] = {3.0f / 4, 4.0f / 3};
enum { STEPS = sizeof steps / sizeof steps[0] };

static const double least_step = 0.005; /* what a refinement must gain */
static const double least_gain = 0.02;  /* what a further feature must gain */
/* The model's own greedy answers are its likeliest, and lose much as soon as it speaks of anything else: with 0.4 SmolLM2
 * is left with one feature that names nothing. */
static const double default_tolerance = 1.2;
static const double loss_weight = 2.0;

struct chooser {
    const struct fathom_steer_choosing *choosing;
    struct fathom_steer_chosen *chosen;
    fathom__scorer *scorer;
    double tolerance;
    uint32_t most;
    uint32_t *candidates;
    size_t n_candidates, trial_capacity;
    struct fathom_steer_set *sets; /* [candidates × levels, or what a refinement tries] */
    struct fathom__scored *scored;
    uint64_t done, total;
    double started;
    char note[96];
};

static struct fathom_steer_parts make_parts(const struct chooser *chooser, const struct fathom__scored *scored) {
    struct fathom_steer_parts parts = {.wanted = scored->means[FATHOM__PAIR_WANTED],
                                       .plain = scored->means[FATHOM__PAIR_PLAIN]};
    parts.lost = chooser->chosen->before.plain - parts.plain;
    parts.objective = parts.wanted - loss_weight * fmax(0, parts.lost - chooser->tolerance);
    return parts;
}

static int report(struct chooser *chooser, uint64_t n) {
    const struct fathom_steer_choosing *choosing = chooser->choosing;
    double seconds = fathom__seconds() - chooser->started;
    chooser->done += n;
    if (choosing->progress == NULL) {
        return FATHOM_OK;
    }
    double rate = seconds > 0 ? (double)chooser->done / seconds : 0;
    struct fathom_progress progress = {.stage = "choose",
                                       .done = chooser->done,
                                       .total = chooser->total,
                                       .unit = "settings",
                                       .units_per_second = rate,
                                       .seconds_left = rate > 0 ? (double)(chooser->total - chooser->done) / rate : -1,
                                       .note = chooser->note[0] != '\0' ? chooser->note : NULL};
    int returned = choosing->progress(&progress, choosing->payload);
    return returned == 0 ? FATHOM_OK : fathom__callback_status(returned);
}

/* Scores n settings of chooser->sets. */
static int score(struct chooser *chooser, size_t n) {
    size_t width = fathom__scorer_width(chooser->scorer);
    int status = FATHOM_OK;
    for (size_t first = 0; first < n && status == FATHOM_OK; first += width) {
        size_t count = n - first < width ? n - first : width;
        status = fathom__scorer_run(chooser->scored + first, chooser->scorer, chooser->sets + first, count);
        if (status == FATHOM_OK) {
            status = report(chooser, count);
        }
    }
    return status;
}

/* Scores n settings of chooser->sets, keeps them as trials, and takes the best into *best where it is better. */
static int try(struct fathom_steer_choice_trial *best, struct chooser *chooser, size_t n, bool refinement) {
    struct fathom_steer_chosen *chosen = chooser->chosen;
    int status = fathom__grow(&chosen->trials, &chooser->trial_capacity, chosen->n_trials + n, sizeof *chosen->trials);
    if (status == FATHOM_OK) {
        status = score(chooser, n);
    }
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        struct fathom_steer_choice_trial trial = {.round = (uint32_t)chooser->sets[i].n_features,
                                                  .refinement = refinement,
                                                  .set = chooser->sets[i],
                                                  .parts = make_parts(chooser, &chooser->scored[i])};
        chosen->trials[chosen->n_trials++] = trial;
        if (trial.parts.objective > best->parts.objective) {
            *best = trial;
        }
    }
    return status;
}

static bool holds(const struct fathom_steer_set *set, uint32_t feature) {
    for (size_t i = 0; i < set->n_features; i++) {
        if (set->features[i] == feature) {
            return true;
        }
    }
    return false;
}

/* Every candidate that is not in the set, at every level. */
static int try_candidates(struct fathom_steer_choice_trial *best, struct chooser *chooser, const uint32_t *candidates,
                          size_t n_candidates, const struct fathom_steer_set *set) {
    size_t n = 0;
    for (size_t c = 0; c < n_candidates; c++) {
        for (size_t l = 0; l < LEVELS && !holds(set, candidates[c]); l++) {
            struct fathom_steer_set *with = &chooser->sets[n++];
            *with = *set;
            with->features[with->n_features] = candidates[c];
            with->weights[with->n_features++] = levels[l];
        }
    }
    return try(best, chooser, n, false);
}

/* The best step first, until none is worth it. */
static int refine(struct fathom_steer_choice_trial *best, struct chooser *chooser) {
    for (;;) {
        struct fathom_steer_choice_trial next = *best;
        size_t n = 0;
        for (size_t i = 0; i < best->set.n_features; i++) {
            for (size_t s = 0; s < STEPS; s++) {
                chooser->sets[n] = best->set;
                chooser->sets[n++].weights[i] *= steps[s];
            }
        }
        chooser->total += n;
        int status = try(&next, chooser, n, true);
        if (status != FATHOM_OK || next.parts.objective - best->parts.objective < least_step) {
            return status;
        }
        *best = next;
        snprintf(chooser->note, sizeof chooser->note, "%zu features, wanted %.2f, plain answers lost %.2f",
                 best->set.n_features, best->parts.wanted, best->parts.lost);
    }
}

struct first_place {
    uint32_t feature;
    double objective;
};

static int by_objective(const void *a, const void *b) {
    const struct first_place *x = a;
    const struct first_place *y = b;
    if (x->objective != y->objective) {
        return x->objective > y->objective ? -1 : 1;
    }
    return x->feature < y->feature ? -1 : x->feature > y->feature;
}

/* The candidates that did best by themselves, out of the first round's trials, which begin at `first`. */
static int prune(uint32_t *kept, size_t *n_kept, const struct chooser *chooser, size_t first) {
    struct first_place *places = NULL;
    int status = fathom__alloc(&places, chooser->n_candidates, sizeof *places);
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t c = 0; c < chooser->n_candidates; c++) {
        places[c] = (struct first_place){chooser->candidates[c], -INFINITY};
        for (size_t l = 0; l < LEVELS; l++) {
            const struct fathom_steer_choice_trial *trial = &chooser->chosen->trials[first + c * LEVELS + l];
            places[c].objective = fmax(places[c].objective, trial->parts.objective);
        }
    }
    qsort(places, chooser->n_candidates, sizeof *places, by_objective);
    *n_kept = chooser->n_candidates < KEPT_CANDIDATES ? chooser->n_candidates : KEPT_CANDIDATES;
    for (size_t c = 0; c < *n_kept; c++) {
        kept[c] = places[c].feature;
    }
    fathom_free(places);
    return FATHOM_OK;
}

/* Chooses over one range of layers; the result has no features where none is worth it. */
static int choose_over(struct fathom_steer_choice_trial *out, struct chooser *chooser,
                       struct fathom_layer_range range) {
    uint32_t kept[KEPT_CANDIDATES];
    size_t n_kept = 0;
    size_t first = chooser->chosen->n_trials;
    struct fathom_steer_choice_trial best = {.set = {.first_layer = range.first, .last_layer = range.last},
                                             .parts = chooser->chosen->before};
    int status = FATHOM_OK;
    for (uint32_t round = 1; round <= chooser->most && status == FATHOM_OK; round++) {
        struct fathom_steer_choice_trial next = best;
        status = try_candidates(&next, chooser, round == 1 ? chooser->candidates : kept,
                                round == 1 ? chooser->n_candidates : n_kept, &best.set);
        if (status == FATHOM_OK && round == 1) {
            status = prune(kept, &n_kept, chooser, first);
        }
        if (status != FATHOM_OK || next.parts.objective - best.parts.objective < least_gain) {
            break;
        }
        best = next;
        status = refine(&best, chooser);
    }
    *out = best;
    return status;
}

static int choose_set(struct chooser *chooser) {
    static const struct fathom_layer_range own = {-1, -1};
    const struct fathom_steer_choosing *choosing = chooser->choosing;
    struct fathom_steer_chosen *chosen = chooser->chosen;
    const struct fathom_layer_range *ranges = choosing->n_ranges > 0 ? choosing->ranges : &own;
    size_t n_ranges = choosing->n_ranges > 0 ? choosing->n_ranges : 1;
    int status = FATHOM_OK;
    chosen->after = chosen->before;
    for (size_t r = 0; r < n_ranges && status == FATHOM_OK; r++) {
        struct fathom_steer_choice_trial best;
        status = choose_over(&best, chooser, ranges[r]);
        if (status == FATHOM_OK && best.parts.objective > chosen->after.objective) {
            chosen->set = best.set;
            chosen->after = best.parts;
        }
    }
    if (status == FATHOM_OK && chosen->set.n_features == 0) {
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND,
                              "none of %zu candidates brings the wanted answers %g nats a "
                              "token nearer for what the plain answers may lose",
                              chooser->n_candidates, least_gain);
    }
    return status;
}

/* Features as active, at the same multiples of their own maxima. */
static int make_control(struct chooser *chooser) {
    const struct fathom_steer_choosing *choosing = chooser->choosing;
    struct fathom_steer_chosen *chosen = chooser->chosen;
    uint32_t n_features = fathom_dictionary_describe(choosing->dictionary)->n_features;
    uint32_t avoid[2 * FATHOM_STEER_MOST_FEATURES];
    size_t n = chosen->set.n_features;
    int status = FATHOM_OK;
    chosen->control = chosen->set;
    memcpy(avoid, chosen->set.features, n * sizeof *avoid);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = fathom_feature_control(&chosen->control.features[i], choosing->measures, n_features,
                                        chosen->set.features[i], avoid, n + i, choosing->seed);
        avoid[n + i] = chosen->control.features[i];
    }
    chooser->sets[0] = chosen->control;
    if (status == FATHOM_OK) {
        status = score(chooser, 1);
    }
    if (status == FATHOM_OK) {
        chosen->control_parts = make_parts(chooser, &chooser->scored[0]);
    }
    return status;
}

static int run(struct chooser *chooser) {
    chooser->sets[0] = (struct fathom_steer_set){.first_layer = -1, .last_layer = -1};
    int status = score(chooser, 1);
    if (status == FATHOM_OK) {
        chooser->chosen->before.plain = chooser->scored[0].means[FATHOM__PAIR_PLAIN];
        chooser->chosen->before = make_parts(chooser, &chooser->scored[0]);
        status = choose_set(chooser);
    }
    return status == FATHOM_OK ? make_control(chooser) : status;
}

/* Settings that will be tried beside the refinements', at most. */
static uint64_t count_settings(const struct chooser *chooser) {
    size_t n_ranges = chooser->choosing->n_ranges > 0 ? chooser->choosing->n_ranges : 1;
    size_t later = chooser->n_candidates < KEPT_CANDIDATES ? chooser->n_candidates : KEPT_CANDIDATES;
    uint64_t n = chooser->n_candidates;
    for (size_t in_set = 1; in_set < chooser->most; in_set++) {
        n += later > in_set ? later - in_set : 0;
    }
    return 2 + n * LEVELS * n_ranges; /* the model without steering, and the control */
}

void fathom_steer_chosen_free(struct fathom_steer_chosen *chosen) {
    fathom_free(chosen->trials);
    *chosen = (struct fathom_steer_chosen)FATHOM_STEER_CHOSEN_INIT;
}

int fathom_steer_choose(struct fathom_steer_chosen *out, const fathom_model *model,
                        const struct fathom_steer_choosing *choosing) {
    struct fathom_steer_chosen chosen = FATHOM_STEER_CHOSEN_INIT;
    struct fathom__pairs pairs = {0};
    struct chooser chooser = {.choosing = choosing,
                              .chosen = &chosen,
                              .tolerance = choosing->tolerance > 0 ? choosing->tolerance : default_tolerance,
                              .most = choosing->most > 0 ? choosing->most : DEFAULT_MOST};
    const struct fathom__scoring scoring = {.choosing = choosing, .pairs = &pairs};
    int status = fathom__choosing_check(choosing, model);
    if (status != FATHOM_OK) {
        return status;
    }
    status = fathom__choosing_candidates(&chooser.candidates, &chooser.n_candidates, model, choosing);
    if (status == FATHOM_OK) {
        status = fathom__choosing_pairs(&pairs, model, choosing);
    }
    if (status == FATHOM_OK) {
        status = fathom__scorer_open(&chooser.scorer, model, &scoring);
    }
    size_t most_sets = chooser.n_candidates * LEVELS + FATHOM_STEER_MOST_FEATURES * STEPS;
    if (status == FATHOM_OK) {
        status = fathom__alloc(&chooser.sets, most_sets, sizeof *chooser.sets);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&chooser.scored, most_sets, sizeof *chooser.scored);
    }
    if (status == FATHOM_OK) {
        chooser.total = count_settings(&chooser);
        chooser.started = fathom__seconds();
        status = run(&chooser);
    }
    fathom__scorer_close(chooser.scorer);
    fathom__pairs_free(&pairs);
    fathom_free(chooser.candidates);
    fathom_free(chooser.sets);
    fathom_free(chooser.scored);
    if (status != FATHOM_OK) {
        fathom_steer_chosen_free(&chosen);
        return status;
    }
    *out = chosen;
    return FATHOM_OK;
}
