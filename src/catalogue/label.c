#include "catalogue/label.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "catalogue/label_work.h"

#include <stdatomic.h>
#include <stdio.h>

enum { LEAST_PROPOSED = 8, MESSAGE_SIZE = 256 };
static const double PROGRESS_SECONDS = 0.3;
/* A rule for the whole range that is worse than this where rules are chosen may fail: one for the upper half of the
 * range is chosen beside it. */
static const double SURE_SCORE = 0.8;

typedef int (*stage_fn)(struct fathom__labelling *work, struct fathom__label_scratch *scratch, uint32_t feature);

/* A stage goes through all features; one thread has one scratch. */
struct team_work {
    struct fathom__labelling work;
    struct fathom__label_scratch *scratch; /* one a thread */
    atomic_uint_fast32_t done;
    atomic_int status;
    char message[MESSAGE_SIZE]; /* written by the first thread that fails */
    double started, reported;   /* the calling thread's */
    const char *stage;
    stage_fn feature;
};

static void fail(struct team_work *team, int status) {
    int none = FATHOM_OK;
    if (status && atomic_compare_exchange_strong(&team->status, &none, status))
        snprintf(team->message, sizeof team->message, "%s", fathom_error_message());
}

static enum fathom__fate fate_before(const struct fathom__evidence *evidence, uint32_t feature) {
    const struct fathom__statistics *statistics = &evidence->features[feature];
    if (!statistics->count) return FATHOM__FATE_DEAD;
    if ((double)statistics->count > FATHOM__LABEL_DENSITY * (double)evidence->n_covered) return FATHOM__FATE_DENSE;
    return statistics->n_drawn[FATHOM__PROPOSE] < LEAST_PROPOSED ||
                   statistics->n_drawn[FATHOM__TEST] < FATHOM__LABEL_ACTIVE
               ? FATHOM__FATE_RARE
               : FATHOM__FATE_NO_RULE;
}

/* Chooses the rule for a range of the feature; *score is what it reached. */
static int choose(double *score, struct fathom__labelling *work, struct fathom__label_scratch *scratch,
                  uint32_t feature, enum fathom__range range) {
    const struct fathom__evidence *evidence = work->context.stream->evidence;
    const struct fathom__drawn *drawn = fathom__evidence_drawn(evidence, feature, FATHOM__PROPOSE);
    const float least = fathom__label_least(evidence, feature, range);
    struct fathom__choice *choice = &work->outcomes[feature].choices[range];
    struct fathom__sample sample = {.outputs = &scratch->outputs};
    const int status = fathom__label_propose(scratch, &work->context, feature, least);
    if (status) return status;
    fathom__label_seed(&scratch->random, work, feature, FATHOM__CHOOSE);
    fathom__label_sample(&sample, &work->context, feature, FATHOM__CHOOSE, least, &scratch->random);
    /* A rare feature may have next to nothing there: then the rows that proposed must do, and the test decides. */
    for (uint32_t i = 0;
         sample.n_active < FATHOM__LABEL_ACTIVE && i < evidence->features[feature].n_drawn[FATHOM__PROPOSE]; i++)
        if (drawn[i].value > least) sample.active[sample.n_active++] = drawn[i].row;
    fathom__label_choose(&choice->rule, scratch, &work->context, &sample);
    fathom__label_choose_token(&choice->token, scratch, &work->context, &sample);
    *score = choice->rule.n ? fathom__label_score(&choice->rule, &sample, work->context.stream) : 0;
    return FATHOM_OK;
}

static int choose_feature(struct fathom__labelling *work, struct fathom__label_scratch *scratch, uint32_t feature) {
    struct fathom__outcome *outcome = &work->outcomes[feature];
    double score;
    outcome->fate = fate_before(work->context.stream->evidence, feature);
    if (outcome->fate != FATHOM__FATE_NO_RULE) return FATHOM_OK;
    int status = choose(&score, work, scratch, feature, FATHOM__RANGE_WHOLE);
    if (!status &&
        (score < SURE_SCORE || !fathom__label_tells_strong(work, feature, &outcome->choices[FATHOM__RANGE_WHOLE].rule)))
        status = choose(&score, work, scratch, feature, FATHOM__RANGE_STRONG);
    for (int range = 0; !status && range < FATHOM__RANGES; range++)
        fathom__label_name(&outcome->choices[range].rule, &work->context);
    return status;
}

static int test_feature(struct fathom__labelling *work, struct fathom__label_scratch *scratch, uint32_t feature) {
    struct fathom__outcome *outcome = &work->outcomes[feature];
    enum fathom__fate strong = FATHOM__FATE_NO_RULE;
    if (outcome->fate != FATHOM__FATE_NO_RULE) return FATHOM_OK;
    int status = fathom__label_judge(&outcome->fate, work, scratch, feature, FATHOM__RANGE_WHOLE);
    if (!status && outcome->fate != FATHOM__FATE_LABELLED)
        status = fathom__label_judge(&strong, work, scratch, feature, FATHOM__RANGE_STRONG);
    if (strong == FATHOM__FATE_LABELLED) {
        outcome->fate = strong;
        outcome->range = FATHOM__RANGE_STRONG;
    }
    return status;
}

static void report(struct team_work *team, uint32_t n_features) {
    const struct fathom__label_options *options = team->work.context.options;
    const double now = fathom__seconds();
    if (!options->progress || (team->reported > 0 && now - team->reported < PROGRESS_SECONDS)) return;
    team->reported = now;
    const uint64_t done = atomic_load(&team->done);
    const double rate = (double)done / (now - team->started + 1e-9);
    const struct fathom_progress progress = {
        team->stage, done, n_features, "features", rate, rate > 0 ? (double)(n_features - done) / rate : -1, NULL};
    const int returned = options->progress(&progress, options->payload);
    if (returned) fail(team, fathom__callback_status(returned));
}

static void run_features(uint32_t worker, uint32_t n_workers, void *payload) {
    struct team_work *team = payload;
    const uint32_t n = team->work.context.stream->evidence->n_features;
    for (uint32_t feature = worker; feature < n && !atomic_load(&team->status); feature += n_workers) {
        fail(team, team->feature(&team->work, &team->scratch[worker], feature));
        atomic_fetch_add(&team->done, 1);
        if (worker == 0) report(team, n);
    }
}

static int run_stage(struct team_work *team, fathom__team *threads, const char *stage, stage_fn feature) {
    team->stage = stage;
    team->feature = feature;
    team->started = fathom__seconds();
    team->reported = 0;
    atomic_store(&team->done, 0);
    fathom__team_run(threads, run_features, team);
    const int status = atomic_load(&team->status);
    return !status          ? FATHOM_OK
           : *team->message ? fathom__fail(status, "%s", team->message)
                            : fathom__fail(status, "labelling was stopped");
}

static void free_label(const struct fathom_label *label) {
    fathom_free((char *)(uintptr_t)label->text);
    fathom_free((char *)(uintptr_t)label->rule);
}

int fathom__labels_make(struct fathom__feature_label **out, size_t *n, struct fathom_label_counts *counts,
                        const struct fathom__stream *stream, const struct fathom__label_options *options) {
    const uint32_t n_features = stream->evidence->n_features;
    struct team_work team = {.scratch = NULL};
    struct fathom__labelling *work = &team.work;
    fathom__team *threads = NULL;
    uint32_t n_workers = 0;
    bool given = false;
    int status = fathom__label_context_open(&work->context, stream, options);
    if (status) return status;
    if ((status = fathom__team_open(&threads, options->n_threads)) ||
        (status = fathom__alloc(&work->outcomes, n_features, sizeof *work->outcomes)) ||
        (status = fathom__alloc(&work->labels, n_features, sizeof *work->labels)) ||
        (status = fathom__alloc(&team.scratch, fathom__team_size(threads), sizeof *team.scratch)))
        goto done;
    n_workers = fathom__team_size(threads);
    for (uint32_t i = 0; i < n_workers; i++)
        if ((status =
                 fathom__alloc(&team.scratch[i].classes, work->context.n_classes, sizeof *team.scratch->classes)) ||
            (status =
                 fathom__alloc(&team.scratch[i].touched, work->context.n_classes, sizeof *team.scratch->touched)) ||
            (status = fathom__alloc(&team.scratch[i].fires, work->context.longest_sequence, 1)) ||
            (status = fathom__alloc(&team.scratch[i].marks, work->context.longest_sequence, 1)))
            goto done;
    if ((status = run_stage(&team, threads, "choose labels", choose_feature)) ||
        (status = run_stage(&team, threads, "test labels", test_feature)) ||
        (!options->no_quotes && (status = fathom__labels_tell_apart(work->labels, n_features, stream))) ||
        (status = fathom__label_count(counts, work, n_features)) ||
        (status = fathom__label_collect(out, n, work, n_features)))
        goto done;
    given = true;
done:
    for (uint32_t f = 0; !given && work->labels && f < n_features; f++)
        free_label(&work->labels[f]);
    for (uint32_t i = 0; i < n_workers; i++) {
        fathom_free(team.scratch[i].seen);
        fathom_free(team.scratch[i].classes);
        fathom_free(team.scratch[i].touched);
        fathom_free(team.scratch[i].fires);
        fathom_free(team.scratch[i].marks);
    }
    fathom_free(team.scratch);
    fathom_free(work->outcomes);
    fathom_free(work->labels);
    fathom__team_close(threads);
    fathom__label_context_close(&work->context);
    return status;
}

void fathom__labels_free(struct fathom__feature_label *labels, size_t n) {
    for (size_t i = 0; labels && i < n; i++)
        free_label(&labels[i].label);
    fathom_free(labels);
}
