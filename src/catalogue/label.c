#include "catalogue/label.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/thread.h"
#include "catalogue/label_internal.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

enum { SHUFFLED = 8, LEAST_PROPOSED = 8, MOST_LABEL_BYTES = 400, MESSAGE_SIZE = 256 };
static const double PROGRESS_SECONDS = 0.3;

struct choice {
    struct fathom__rule rule, token; /* n 0: none */
};

struct work {
    struct fathom__label_context context;
    struct fathom__label_scratch *scratch; /* one a thread */
    struct choice *choices;                /* [n_features] */
    struct fathom_label *labels;           /* [n_features]; text NULL: none holds */
    atomic_uint_fast32_t done;
    atomic_int status;
    char message[MESSAGE_SIZE]; /* written by the first thread that fails */
    double started, reported;   /* the calling thread's */
    const char *stage;
    void (*feature)(struct work *work, struct fathom__label_scratch *scratch, uint32_t feature);
};

static void fail(struct work *work, int status) {
    int none = FATHOM_OK;
    if (status && atomic_compare_exchange_strong(&work->status, &none, status))
        snprintf(work->message, sizeof work->message, "%s", fathom_error_message());
}

/* The same draws for a feature and a purpose, whichever thread makes them. */
static void seed_for(struct fathom__random *random, const struct work *work, uint32_t feature, uint64_t purpose) {
    fathom__random_seed(random, work->context.options->seed * UINT64_C(0x9e3779b97f4a7c15) + ((uint64_t)feature << 8) +
                                    purpose);
}

static bool worth_trying(const struct fathom__evidence *evidence, uint32_t feature) {
    const struct fathom__statistics *statistics = &evidence->features[feature];
    return statistics->n_drawn[FATHOM__PROPOSE] >= LEAST_PROPOSED &&
           statistics->n_drawn[FATHOM__TEST] >= FATHOM__LABEL_ACTIVE &&
           (double)statistics->count <= FATHOM__LABEL_DENSITY * (double)evidence->n_covered;
}

static void choose_feature(struct work *work, struct fathom__label_scratch *scratch, uint32_t feature) {
    const struct fathom__evidence *evidence = work->context.stream->evidence;
    struct fathom__sample sample;
    if (!worth_trying(evidence, feature)) return;
    const int status = fathom__label_propose(scratch, &work->context, feature);
    if (status) {
        fail(work, status);
        return;
    }
    seed_for(&scratch->random, work, feature, FATHOM__CHOOSE);
    fathom__label_sample(&sample, &work->context, feature, FATHOM__CHOOSE, &scratch->random);
    /* A rare feature may have next to nothing there: then the rows that proposed must do, and the test decides. */
    const struct fathom__drawn *drawn = fathom__evidence_drawn(evidence, feature, FATHOM__PROPOSE);
    for (uint32_t i = 0;
         sample.n_active < FATHOM__LABEL_ACTIVE && i < evidence->features[feature].n_drawn[FATHOM__PROPOSE]; i++)
        sample.active[sample.n_active++] = drawn[i].row;
    fathom__label_choose(&work->choices[feature].rule, scratch, &work->context, &sample);
    fathom__label_choose_token(&work->choices[feature].token, scratch, &work->context, &sample);
}

/* Precision, recall and F1 over all rows of the test documents. */
static void measure_all(struct fathom_label *label, const struct work *work, struct fathom__label_scratch *scratch,
                        uint32_t feature) {
    const struct fathom__stream *stream = work->context.stream;
    const struct fathom__evidence *evidence = stream->evidence;
    size_t both = 0, fires = 0, active = 0, rows = 0;
    size_t next = evidence->active_starts[feature];
    const size_t end = evidence->active_starts[feature + 1];
    for (size_t s = 0; s < work->context.n_test_sequences; s++) {
        const uint32_t first = work->context.test_sequences[s].first_row,
                       last = work->context.test_sequences[s].document;
        fathom__rule_mark(scratch->fires, scratch->marks, &work->choices[feature].rule, stream, first, last);
        while (next < end && evidence->active_rows[next] < first)
            next++;
        for (uint32_t row = first; row < last; row++) {
            const bool on = next < end && evidence->active_rows[next] == row;
            next += on;
            if (!evidence->covered[row]) continue;
            rows++;
            active += on;
            fires += scratch->fires[row - first];
            both += on && scratch->fires[row - first];
        }
    }
    label->precision = fires ? (float)both / (float)fires : 0;
    label->recall = active ? (float)both / (float)active : 0;
    label->f1 = both ? 2 * label->precision * label->recall / (label->precision + label->recall) : 0;
    label->prevalence = rows ? (float)active / (float)rows : 0;
}

/* The mean score of labels that belong to other features. */
static float score_shuffled(const struct work *work, struct fathom__label_scratch *scratch,
                            const struct fathom__sample *sample, uint32_t feature) {
    const uint32_t n = work->context.stream->evidence->n_features;
    double sum = 0;
    int taken = 0;
    for (int i = 0; i < SHUFFLED * SHUFFLED && taken < SHUFFLED; i++) {
        const uint32_t other = (uint32_t)fathom__random_below(&scratch->random, n);
        if (other == feature || !work->choices[other].rule.n) continue;
        sum += fathom__label_score(&work->choices[other].rule, sample, work->context.stream);
        taken++;
    }
    return taken ? (float)(sum / taken) : 0.5f;
}

static int write_label(struct fathom_label *label, const struct work *work, const struct fathom__rule *rule) {
    struct fathom__buffer text = FATHOM__BUFFER_INIT(MOST_LABEL_BYTES);
    json_t *json = NULL;
    char *written = NULL, *rule_text = NULL;
    int status = fathom__rule_text(&text, rule, work->context.stream);
    if (status == FATHOM_ERROR_LIMIT) { /* tokens of many bytes: no label for people */
        fathom__buffer_free(&text);
        return FATHOM_OK;
    }
    if (!status && !(status = fathom__rule_json(&json, rule, work->context.stream)))
        status = fathom__json_text(&rule_text, json, false);
    if (!status) status = fathom__buffer_take(&written, &text);
    json_decref(json);
    fathom__buffer_free(&text);
    if (status) {
        fathom_free(rule_text);
        return status;
    }
    label->text = written;
    label->rule = rule_text;
    label->origin = "offline";
    return FATHOM_OK;
}

static void test_feature(struct work *work, struct fathom__label_scratch *scratch, uint32_t feature) {
    const struct choice *choice = &work->choices[feature];
    struct fathom_label label = {0};
    struct fathom__sample sample;
    if (!choice->rule.n) return;
    seed_for(&scratch->random, work, feature, FATHOM__TEST);
    fathom__label_sample(&sample, &work->context, feature, FATHOM__TEST, &scratch->random);
    label.score = (float)fathom__label_score(&choice->rule, &sample, work->context.stream);
    label.single_token =
        choice->token.n ? (float)fathom__label_score(&choice->token, &sample, work->context.stream) : 0.5f;
    label.shuffled = score_shuffled(work, scratch, &sample, feature);
    label.n_active = (uint32_t)sample.n_active;
    label.n_inactive = (uint32_t)sample.n_inactive;
    if (label.n_active < FATHOM__LABEL_ACTIVE || label.score < FATHOM__LABEL_SCORE ||
        label.score < label.shuffled + FATHOM__LABEL_MARGIN)
        return;
    measure_all(&label, work, scratch, feature);
    if (label.f1 < FATHOM__LABEL_F1) return;
    fail(work, write_label(&label, work, &choice->rule));
    work->labels[feature] = label;
}

static void report(struct work *work, uint32_t n_features) {
    const struct fathom__label_options *options = work->context.options;
    const double now = fathom__seconds();
    if (!options->progress || (work->reported > 0 && now - work->reported < PROGRESS_SECONDS)) return;
    work->reported = now;
    const uint64_t done = atomic_load(&work->done);
    const double rate = (double)done / (now - work->started + 1e-9);
    const struct fathom_progress progress = {
        work->stage, done, n_features, "features", rate, rate > 0 ? (double)(n_features - done) / rate : -1, NULL};
    const int returned = options->progress(&progress, options->payload);
    if (returned) fail(work, fathom__callback_status(returned));
}

static void run_features(uint32_t worker, uint32_t n_workers, void *payload) {
    struct work *work = payload;
    const uint32_t n = work->context.stream->evidence->n_features;
    for (uint32_t feature = worker; feature < n && !atomic_load(&work->status); feature += n_workers) {
        work->feature(work, &work->scratch[worker], feature);
        atomic_fetch_add(&work->done, 1);
        if (worker == 0) report(work, n);
    }
}

static int run_stage(struct work *work, fathom__team *team, const char *stage,
                     void (*feature)(struct work *, struct fathom__label_scratch *, uint32_t)) {
    work->stage = stage;
    work->feature = feature;
    work->started = fathom__seconds();
    work->reported = 0;
    atomic_store(&work->done, 0);
    fathom__team_run(team, run_features, work);
    const int status = atomic_load(&work->status);
    return !status          ? FATHOM_OK
           : *work->message ? fathom__fail(status, "%s", work->message)
                            : fathom__fail(status, "labelling was stopped");
}

static int collect(struct fathom__feature_label **out, size_t *n, struct work *work, uint32_t n_features) {
    size_t count = 0;
    for (uint32_t f = 0; f < n_features; f++)
        count += work->labels[f].text != NULL;
    const int status = fathom__alloc(out, count, sizeof **out);
    if (status) return status;
    *n = 0;
    for (uint32_t f = 0; f < n_features; f++)
        if (work->labels[f].text) (*out)[(*n)++] = (struct fathom__feature_label){f, work->labels[f]};
    return FATHOM_OK;
}

static void free_label(const struct fathom_label *label) {
    fathom_free((char *)(uintptr_t)label->text);
    fathom_free((char *)(uintptr_t)label->rule);
}

int fathom__labels_make(struct fathom__feature_label **out, size_t *n, uint32_t *n_candidates,
                        const struct fathom__stream *stream, const struct fathom__label_options *options) {
    const uint32_t n_features = stream->evidence->n_features;
    struct work work = {0};
    fathom__team *team = NULL;
    uint32_t n_workers = 0;
    bool given = false;
    int status = fathom__label_context_open(&work.context, stream, options);
    if (status) return status;
    if ((status = fathom__team_open(&team, options->n_threads)) ||
        (status = fathom__alloc(&work.choices, n_features, sizeof *work.choices)) ||
        (status = fathom__alloc(&work.labels, n_features, sizeof *work.labels)) ||
        (status = fathom__alloc(&work.scratch, fathom__team_size(team), sizeof *work.scratch)))
        goto done;
    n_workers = fathom__team_size(team);
    for (uint32_t i = 0; i < n_workers; i++)
        if ((status = fathom__alloc(&work.scratch[i].fires, work.context.longest_sequence, 1)) ||
            (status = fathom__alloc(&work.scratch[i].marks, work.context.longest_sequence, 1)))
            goto done;
    if ((status = run_stage(&work, team, "choose labels", choose_feature)) ||
        (status = run_stage(&work, team, "test labels", test_feature)) || (status = collect(out, n, &work, n_features)))
        goto done;
    given = true;
    *n_candidates = 0;
    for (uint32_t f = 0; f < n_features; f++)
        *n_candidates += worth_trying(stream->evidence, f);
done:
    for (uint32_t f = 0; !given && work.labels && f < n_features; f++)
        free_label(&work.labels[f]);
    for (uint32_t i = 0; i < n_workers; i++) {
        fathom_free(work.scratch[i].seen);
        fathom_free(work.scratch[i].fires);
        fathom_free(work.scratch[i].marks);
    }
    fathom_free(work.scratch);
    fathom_free(work.choices);
    fathom_free(work.labels);
    fathom__team_close(team);
    fathom__label_context_close(&work.context);
    return status;
}

void fathom__labels_free(struct fathom__feature_label *labels, size_t n) {
    for (size_t i = 0; labels && i < n; i++)
        free_label(&labels[i].label);
    fathom_free(labels);
}
