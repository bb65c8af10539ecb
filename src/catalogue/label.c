#include "catalogue/label.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/thread.h"
#include "catalogue/label_internal.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHUFFLED = 8, LEAST_PROPOSED = 8, MOST_LABEL_BYTES = 400, MESSAGE_SIZE = 256 };
static const double PROGRESS_SECONDS = 0.3;
/* A rule for the whole range that is worse than this where rules are chosen may fail: one for the upper half of the
 * range is chosen beside it. */
static const double SURE_SCORE = 0.8;
static const float STRONG_SHARE = 0.5f; /* of the maximum */

enum fate { DEAD, RARE, DENSE, NO_RULE, LOW_SCORE, LOW_F1, LABELLED };

/* What was chosen for one range of a feature. */
struct choice {
    struct fathom__rule rule, token; /* n 0: none */
};

enum range { WHOLE, STRONG, RANGES };

struct outcome {
    enum fate fate;
    enum range range; /* that the label is about */
    struct choice choices[RANGES];
};

struct work {
    struct fathom__label_context context;
    struct fathom__label_scratch *scratch; /* one a thread */
    struct outcome *outcomes;              /* [n_features] */
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

static enum fate fate_before(const struct fathom__evidence *evidence, uint32_t feature) {
    const struct fathom__statistics *statistics = &evidence->features[feature];
    if (!statistics->count) return DEAD;
    if ((double)statistics->count > FATHOM__LABEL_DENSITY * (double)evidence->n_covered) return DENSE;
    return statistics->n_drawn[FATHOM__PROPOSE] < LEAST_PROPOSED ||
                   statistics->n_drawn[FATHOM__TEST] < FATHOM__LABEL_ACTIVE
               ? RARE
               : NO_RULE;
}

static float least_of(const struct fathom__evidence *evidence, uint32_t feature, enum range range) {
    return range == STRONG ? STRONG_SHARE * evidence->features[feature].maximum : 0;
}

/* Whether a rule tells most of the strongest rows drawn: a label that is right about the weak ones alone misleads. */
static bool tells_strong(const struct work *work, uint32_t feature, const struct fathom__rule *rule) {
    const struct fathom__stream *stream = work->context.stream;
    const float least = least_of(stream->evidence, feature, STRONG);
    size_t n = 0, hits = 0;
    for (enum fathom__role role = 0; role < FATHOM__ROLES; role++) {
        const struct fathom__drawn *drawn = fathom__evidence_drawn(stream->evidence, feature, role);
        for (uint32_t i = 0; i < stream->evidence->features[feature].n_drawn[role]; i++) {
            if (drawn[i].value <= least) continue;
            n++;
            hits += fathom__rule_at(rule, stream, drawn[i].row);
        }
    }
    return hits * 2 >= n;
}

/* Chooses the rule for a range of the feature; *score is what it reached. */
static int choose(double *score, struct work *work, struct fathom__label_scratch *scratch, uint32_t feature,
                  enum range range) {
    const struct fathom__evidence *evidence = work->context.stream->evidence;
    const struct fathom__drawn *drawn = fathom__evidence_drawn(evidence, feature, FATHOM__PROPOSE);
    const float least = least_of(evidence, feature, range);
    struct choice *choice = &work->outcomes[feature].choices[range];
    struct fathom__sample sample = {.outputs = &scratch->outputs};
    const int status = fathom__label_propose(scratch, &work->context, feature, least);
    if (status) return status;
    seed_for(&scratch->random, work, feature, FATHOM__CHOOSE);
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

static void choose_feature(struct work *work, struct fathom__label_scratch *scratch, uint32_t feature) {
    struct outcome *outcome = &work->outcomes[feature];
    double score;
    outcome->fate = fate_before(work->context.stream->evidence, feature);
    if (outcome->fate != NO_RULE) return;
    int status = choose(&score, work, scratch, feature, WHOLE);
    if (!status && (score < SURE_SCORE || !tells_strong(work, feature, &outcome->choices[WHOLE].rule)))
        status = choose(&score, work, scratch, feature, STRONG);
    for (int range = 0; !status && range < RANGES; range++)
        fathom__label_name(&outcome->choices[range].rule, &work->context);
    fail(work, status);
}

/* Precision, recall and F1 over all rows of the test documents. */
static void measure_all(struct fathom_label *label, const struct work *work, struct fathom__label_scratch *scratch,
                        uint32_t feature, const struct fathom__rule *rule) {
    const struct fathom__stream *stream = work->context.stream;
    const struct fathom__evidence *evidence = stream->evidence;
    size_t both = 0, fires = 0, active = 0, rows = 0;
    size_t next = evidence->active_starts[feature];
    const size_t end = evidence->active_starts[feature + 1];
    for (size_t s = 0; s < work->context.n_test_sequences; s++) {
        const uint32_t first = work->context.test_sequences[s].first_row,
                       last = work->context.test_sequences[s].document;
        fathom__rule_mark(scratch->fires, scratch->marks, rule, stream, first, last);
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
        const struct fathom__rule *rule = &work->outcomes[other].choices[WHOLE].rule;
        if (other == feature || !rule->n) continue;
        sum += fathom__label_score(rule, sample, work->context.stream);
        taken++;
    }
    return taken ? (float)(sum / taken) : 0.5f;
}

static int write_label(struct fathom_label *label, const struct work *work, const struct fathom__rule *rule,
                       enum range range) {
    struct fathom__buffer text = FATHOM__BUFFER_INIT(MOST_LABEL_BYTES);
    json_t *json = NULL;
    char *written = NULL, *rule_text = NULL;
    int status = fathom__rule_text(&text, rule, work->context.stream);
    if (!status && range == STRONG) status = fathom__buffer_text(&text, FATHOM__WHERE_STRONG);
    if (status == FATHOM_ERROR_LIMIT) { /* tokens of many bytes: no label for people */
        fathom__buffer_free(&text);
        return FATHOM_OK;
    }
    if (!status && !(status = fathom__rule_json(&json, rule, work->context.stream))) {
        if (range == STRONG) json_object_set_new(json, "above", json_real((double)STRONG_SHARE));
        status = fathom__json_text(&rule_text, json, false);
    }
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

/* Tests what was chosen for a range; a label that holds is written. */
static enum fate test_range(struct work *work, struct fathom__label_scratch *scratch, uint32_t feature,
                            enum range range) {
    const struct choice *choice = &work->outcomes[feature].choices[range];
    const struct fathom__stream *stream = work->context.stream;
    struct fathom_label label = {0};
    struct fathom__sample sample = {.n_active = 0};
    if (!choice->rule.n) return NO_RULE;
    seed_for(&scratch->random, work, feature, FATHOM__TEST);
    fathom__label_sample(&sample, &work->context, feature, FATHOM__TEST, least_of(stream->evidence, feature, range),
                         &scratch->random);
    label.score = (float)fathom__label_score(&choice->rule, &sample, stream);
    label.single_token = choice->token.n ? (float)fathom__label_score(&choice->token, &sample, stream) : 0.5f;
    label.shuffled = score_shuffled(work, scratch, &sample, feature);
    label.n_active = (uint32_t)sample.n_active;
    label.n_inactive = (uint32_t)sample.n_inactive;
    if (label.n_active < FATHOM__LABEL_ACTIVE || label.score < FATHOM__LABEL_SCORE ||
        label.score < label.shuffled + FATHOM__LABEL_MARGIN || !tells_strong(work, feature, &choice->rule))
        return LOW_SCORE;
    measure_all(&label, work, scratch, feature, &choice->rule);
    if (label.f1 < FATHOM__LABEL_F1) return LOW_F1;
    fail(work, write_label(&label, work, &choice->rule, range));
    if (!label.text) return LOW_SCORE;
    work->labels[feature] = label;
    return LABELLED;
}

static void test_feature(struct work *work, struct fathom__label_scratch *scratch, uint32_t feature) {
    struct outcome *outcome = &work->outcomes[feature];
    if (outcome->fate != NO_RULE) return;
    outcome->fate = test_range(work, scratch, feature, WHOLE);
    if (outcome->fate == LABELLED || test_range(work, scratch, feature, STRONG) != LABELLED) return;
    outcome->fate = LABELLED;
    outcome->range = STRONG;
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

static enum fathom_label_kind kind_of(const struct outcome *outcome) {
    return fathom__rule_kind(&outcome->choices[outcome->range].rule);
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

static void add_yield(struct fathom_label_yield *yield, const struct fathom_label *label) {
    yield->n++;
    yield->score += ((double)label->score - yield->score) / yield->n;
    yield->f1 += ((double)label->f1 - yield->f1) / yield->n;
    yield->single_token += ((double)label->single_token - yield->single_token) / yield->n;
    yield->shuffled += ((double)label->shuffled - yield->shuffled) / yield->n;
}

static int by_text(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int count_fates(struct fathom_label_counts *counts, const struct work *work, uint32_t n_features) {
    const char **texts; /* of all labels */
    const int status = fathom__alloc(&texts, n_features, sizeof *texts);
    if (status) return status;
    *counts = (struct fathom_label_counts){0};
    for (uint32_t f = 0; f < n_features; f++) {
        const enum fate fate = work->outcomes[f].fate;
        counts->n_rare += fate == RARE;
        counts->n_dense += fate == DENSE;
        counts->n_candidates += fate >= NO_RULE;
        counts->n_no_rule += fate == NO_RULE;
        counts->n_low_score += fate == LOW_SCORE;
        counts->n_low_f1 += fate == LOW_F1;
        if (fate != LABELLED) continue;
        counts->n_strong += work->outcomes[f].range == STRONG;
        texts[counts->all.n] = work->labels[f].text;
        add_yield(&counts->all, &work->labels[f]);
        add_yield(&counts->kinds[kind_of(&work->outcomes[f])], &work->labels[f]);
    }
    if (counts->all.n) qsort(texts, counts->all.n, sizeof *texts, by_text);
    for (uint32_t i = 0; i < counts->all.n; i++)
        counts->n_distinct += !i || strcmp(texts[i], texts[i - 1]) != 0;
    fathom_free(texts);
    return FATHOM_OK;
}

static void free_label(const struct fathom_label *label) {
    fathom_free((char *)(uintptr_t)label->text);
    fathom_free((char *)(uintptr_t)label->rule);
}

int fathom__labels_make(struct fathom__feature_label **out, size_t *n, struct fathom_label_counts *counts,
                        const struct fathom__stream *stream, const struct fathom__label_options *options) {
    const uint32_t n_features = stream->evidence->n_features;
    struct work work = {0};
    fathom__team *team = NULL;
    uint32_t n_workers = 0;
    bool given = false;
    int status = fathom__label_context_open(&work.context, stream, options);
    if (status) return status;
    if ((status = fathom__team_open(&team, options->n_threads)) ||
        (status = fathom__alloc(&work.outcomes, n_features, sizeof *work.outcomes)) ||
        (status = fathom__alloc(&work.labels, n_features, sizeof *work.labels)) ||
        (status = fathom__alloc(&work.scratch, fathom__team_size(team), sizeof *work.scratch)))
        goto done;
    n_workers = fathom__team_size(team);
    for (uint32_t i = 0; i < n_workers; i++)
        if ((status = fathom__alloc(&work.scratch[i].classes, work.context.n_classes, sizeof *work.scratch->classes)) ||
            (status = fathom__alloc(&work.scratch[i].touched, work.context.n_classes, sizeof *work.scratch->touched)) ||
            (status = fathom__alloc(&work.scratch[i].fires, work.context.longest_sequence, 1)) ||
            (status = fathom__alloc(&work.scratch[i].marks, work.context.longest_sequence, 1)))
            goto done;
    if ((status = run_stage(&work, team, "choose labels", choose_feature)) ||
        (status = run_stage(&work, team, "test labels", test_feature)) ||
        (!options->no_quotes && (status = fathom__labels_tell_apart(work.labels, n_features, stream))) ||
        (status = count_fates(counts, &work, n_features)) || (status = collect(out, n, &work, n_features)))
        goto done;
    given = true;
done:
    for (uint32_t f = 0; !given && work.labels && f < n_features; f++)
        free_label(&work.labels[f]);
    for (uint32_t i = 0; i < n_workers; i++) {
        fathom_free(work.scratch[i].seen);
        fathom_free(work.scratch[i].classes);
        fathom_free(work.scratch[i].touched);
        fathom_free(work.scratch[i].fires);
        fathom_free(work.scratch[i].marks);
    }
    fathom_free(work.scratch);
    fathom_free(work.outcomes);
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
