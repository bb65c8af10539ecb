#include "steer/scorer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/accelerator.h"
#include "steer/likelihood.h"
#include <string.h>

/* One thread's session and its present setting. */
struct worker {
    fathom_session *session;
    double *sums; /* [pairs] */
    const struct fathom_steer_set *set;
    struct fathom__scored scored;
    int status;
    char *message; /* of the status: messages belong to threads */
};

struct fathom__scorer {
    struct fathom__scoring scoring;
    fathom_model *derived; /* NULL: the caller's model is run */
    const fathom_model *model;
    struct fathom__pair_rows rows;
    fathom__accelerator *accelerator; /* NULL: the engine's own products */
    fathom__team *team;               /* the caller, who only waits, and the workers */
    struct worker *workers;
    size_t n_workers;
};

static int make_plan(fathom_steer **out, const fathom__scorer *scorer, const struct fathom_steer_set *set) {
    const struct fathom_steer_choosing *choosing = scorer->scoring.choosing;
    fathom_steer *plan = NULL;
    int status = fathom_steer_open(&plan, scorer->model);
    for (size_t i = 0; i < set->n_features && status == FATHOM_OK; i++) {
        struct fathom_steer_feature edit = {.dictionary = choosing->dictionary,
                                            .feature = set->features[i],
                                            .mode = choosing->mode,
                                            .value = set->weights[i] * choosing->measures[set->features[i]].maximum,
                                            .spread = set->first_layer >= 0,
                                            .first_layer = set->first_layer,
                                            .last_layer = set->last_layer,
                                            .rows = choosing->rows};
        status = fathom_steer_add_feature(plan, &edit);
    }
    if (status != FATHOM_OK) {
        fathom_steer_close(plan);
        return status;
    }
    *out = plan;
    return FATHOM_OK;
}

static int add_row(const float *logits, size_t n_vocab, size_t pair, int32_t expected, void *payload) {
    double *sums = payload;
    sums[pair] += fathom__log_probability(logits, n_vocab, expected);
    return FATHOM_OK;
}

static void take_means(struct fathom__scored *out, const double *sums, const struct fathom__pairs *pairs) {
    size_t counts[FATHOM__PAIR_KINDS] = {0};
    *out = (struct fathom__scored){0};
    for (size_t p = 0; p < pairs->n; p++) {
        out->means[pairs->pairs[p].kind] += sums[p] / (double)pairs->pairs[p].n;
        counts[pairs->pairs[p].kind]++;
    }
    for (size_t k = 0; k < FATHOM__PAIR_KINDS; k++) {
        out->means[k] = counts[k] > 0 ? out->means[k] / (double)counts[k] : 0;
    }
}

static int run_set(struct worker *worker, const fathom__scorer *scorer) {
    const struct fathom__pairs *pairs = scorer->scoring.pairs;
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    int status = make_plan(&plan, scorer, worker->set);
    if (status == FATHOM_OK && worker->set->n_features > 0) {
        status = fathom_steer_attach(&steering, worker->session, plan);
    }
    for (size_t p = 0; p < pairs->n && steering != NULL && status == FATHOM_OK; p++) {
        status = fathom_steering_prompt(steering, fathom__pair_sequence(pairs, p),
                                        (int32_t)pairs->prompts[pairs->pairs[p].prompt].n);
    }
    if (status == FATHOM_OK) {
        memset(worker->sums, 0, pairs->n * sizeof *worker->sums);
        status = fathom__pair_rows_run(worker->session, pairs, &scorer->rows, add_row, worker->sums);
    }
    if (status == FATHOM_OK) {
        take_means(&worker->scored, worker->sums, pairs);
    }
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
    return status;
}

static int open_worker(struct worker *worker, const fathom__scorer *scorer) {
    const struct fathom__pairs *pairs = scorer->scoring.pairs;
    struct fathom_session_options options =
        fathom__pair_rows_session(pairs, &scorer->rows, fathom_model_describe(scorer->model)->n_vocab);
    options.n_threads = 1;
    int status = fathom__alloc(&worker->sums, pairs->n, sizeof *worker->sums);
    return status == FATHOM_OK ? fathom_session_open(&worker->session, scorer->model, &options) : status;
}

/* On each thread of the team but the caller's: opens the session the first time, later runs the setting there is. */
static void work(uint32_t number, uint32_t n, void *payload) {
    fathom__scorer *scorer = payload;
    (void)n;
    struct worker *worker = number > 0 ? &scorer->workers[number - 1] : NULL;
    if (worker == NULL || (worker->session != NULL && worker->set == NULL)) {
        return;
    }
    fathom__accelerator_use(scorer->accelerator);
    worker->status = worker->session == NULL ? open_worker(worker, scorer) : run_set(worker, scorer);
    if (worker->status != FATHOM_OK && fathom__copy_string(&worker->message, fathom_error_message()) != FATHOM_OK) {
        worker->message = NULL;
    }
}

/* Runs the team; the first worker's error, on the caller's thread. */
static int run_team(fathom__scorer *scorer) {
    int status = FATHOM_OK;
    fathom__team_run(scorer->team, work, scorer);
    for (size_t w = 0; w < scorer->n_workers; w++) {
        struct worker *worker = &scorer->workers[w];
        if (worker->status != FATHOM_OK && status == FATHOM_OK) {
            status = fathom__fail(worker->status, "%s",
                                  worker->message ? worker->message : fathom_error_name(worker->status));
        }
        fathom_free(worker->message);
        worker->message = NULL;
        worker->status = FATHOM_OK;
        worker->set = NULL;
    }
    return status;
}

static int open_model(fathom__scorer *scorer, const fathom_model *model) {
    const struct fathom_steer_choosing *choosing = scorer->scoring.choosing;
    char *path = NULL;
    int status = FATHOM_OK;
    if (!choosing->original) {
        status =
            fathom_model_derive(&path, fathom_model_describe(model)->path, 0, choosing->progress, choosing->payload);
        if (status == FATHOM_OK) {
            status = fathom_model_open(&scorer->derived, path, NULL);
        }
        if (status == FATHOM_OK && fathom__accelerator_register()) {
            status = fathom__accelerator_open(&scorer->accelerator);
        }
        fathom_free(path);
    }
    scorer->model = scorer->derived != NULL ? scorer->derived : model;
    return status;
}

int fathom__scorer_open(fathom__scorer **out, const fathom_model *model, const struct fathom__scoring *scoring) {
    fathom__scorer *scorer = NULL;
    const uint32_t n_threads = scoring->choosing->n_threads;
    int status = fathom__alloc(&scorer, 1, sizeof *scorer);
    if (status != FATHOM_OK) {
        return status;
    }
    scorer->scoring = *scoring;
    status = fathom__pair_rows_open(&scorer->rows, scoring->pairs);
    if (status == FATHOM_OK) {
        status = open_model(scorer, model);
    }
    if (status == FATHOM_OK) {
        scorer->n_workers = n_threads > 0 ? n_threads : fathom__cores();
        status = fathom__alloc(&scorer->workers, scorer->n_workers, sizeof *scorer->workers);
    }
    if (status == FATHOM_OK) {
        status = fathom__team_open(&scorer->team, (uint32_t)scorer->n_workers + 1);
    }
    if (status == FATHOM_OK) {
        status = run_team(scorer);
    }
    if (status != FATHOM_OK) {
        fathom__scorer_close(scorer);
        return status;
    }
    *out = scorer;
    return FATHOM_OK;
}

void fathom__scorer_close(fathom__scorer *scorer) {
    if (scorer == NULL) {
        return;
    }
    if (scorer->team != NULL) {
        fathom__team_close(scorer->team);
    }
    for (size_t w = 0; w < scorer->n_workers && scorer->workers != NULL; w++) {
        fathom_session_close(scorer->workers[w].session);
        fathom_free(scorer->workers[w].sums);
    }
    fathom_free(scorer->workers);
    fathom__pair_rows_free(&scorer->rows);
    fathom_model_close(scorer->derived);
    fathom__accelerator_close(scorer->accelerator);
    fathom_free(scorer);
}

size_t fathom__scorer_width(const fathom__scorer *scorer) {
    return scorer->n_workers;
}

int fathom__scorer_run(struct fathom__scored *out, fathom__scorer *scorer, const struct fathom_steer_set *sets,
                       size_t n) {
    for (size_t i = 0; i < n; i++) {
        scorer->workers[i].set = &sets[i];
    }
    int status = run_team(scorer);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        out[i] = scorer->workers[i].scored;
    }
    return status;
}
