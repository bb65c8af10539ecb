#include "base/error.h"
#include "base/memory.h"
#include <fathom/detect.h>
#include <fathom/prefer.h>
#include <math.h>

/* One sample on its way. */
struct drawing {
    struct fathom_sample *sample;
    const struct fathom_preference *preferences;
    size_t n_preferences;
    size_t n_prompt;
    size_t capacity;
    double *sums; /* [preferences] of levels in units */
    size_t *counts;
    int status;
};

void fathom_samples_free(struct fathom_samples *samples) {
    for (size_t i = 0; i < samples->n; i++) {
        fathom_free(samples->samples[i].text);
        fathom_free(samples->samples[i].tokens);
        fathom_free(samples->samples[i].peaks);
    }
    fathom_free(samples->samples);
    *samples = (struct fathom_samples)FATHOM_SAMPLES_INIT;
}

static int on_level(const struct fathom_live_level *level, void *payload) {
    struct drawing *drawing = payload;
    if ((size_t)level->position < drawing->n_prompt) {
        return 0;
    }
    double value = level->level / (double)drawing->preferences[level->watch].unit;
    drawing->sums[level->watch] += value;
    drawing->counts[level->watch]++;
    drawing->sample->peaks[level->watch] = fmaxf(drawing->sample->peaks[level->watch], (float)value);
    return 0;
}

static int on_token(const struct fathom_generated *token, void *payload) {
    struct drawing *drawing = payload;
    struct fathom_sample *sample = drawing->sample;
    if (token->end) {
        return 0;
    }
    drawing->status = fathom__grow(&sample->tokens, &drawing->capacity, sample->n + 1, sizeof *sample->tokens);
    if (drawing->status == FATHOM_OK) {
        sample->tokens[sample->n++] = token->token;
    }
    return drawing->status != FATHOM_OK;
}

static int check(const struct fathom_sampling *sampling, size_t n_samples, const struct fathom_preference *preferences,
                 size_t n_preferences) {
    if (n_samples == 0 || n_preferences == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "preferred samples need a sample and a preference");
    }
    if (n_samples > 1 && !(sampling->temperature > 0)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "greedy samples are all the same: a temperature is needed");
    }
    for (size_t p = 0; p < n_preferences; p++) {
        if (!(preferences[p].unit > 0)) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "feature %u: a unit of %g", preferences[p].feature,
                                (double)preferences[p].unit);
        }
    }
    return FATHOM_OK;
}

static int open_monitor(fathom_monitor **out, const fathom_model *model, const struct fathom_preference *preferences,
                        size_t n) {
    fathom_monitor *monitor = NULL;
    int status = fathom_monitor_open(&monitor, model);
    for (size_t p = 0; p < n && status == FATHOM_OK; p++) {
        struct fathom_watch watch = {.dictionary = preferences[p].dictionary, .feature = preferences[p].feature};
        status = fathom_monitor_add(monitor, &watch);
    }
    if (status != FATHOM_OK) {
        fathom_monitor_close(monitor);
        return status;
    }
    *out = monitor;
    return FATHOM_OK;
}

int fathom_samples_draw(struct fathom_samples *out, fathom_session *session, const int32_t *prompt, size_t n,
                        uint32_t max_new, const struct fathom_sampling *sampling, size_t n_samples,
                        const struct fathom_preference *preferences, size_t n_preferences) {
    struct fathom_samples samples = {.n_preferences = n_preferences};
    struct drawing drawing = {.preferences = preferences, .n_preferences = n_preferences, .n_prompt = n};
    fathom_monitor *monitor = NULL;
    int status = check(sampling, n_samples, preferences, n_preferences);
    if (status == FATHOM_OK) {
        status = open_monitor(&monitor, fathom_session_model(session), preferences, n_preferences);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&samples.samples, n_samples, sizeof *samples.samples);
    }
    if (status == FATHOM_OK) {
        status = fathom_monitor_attach(monitor, session, on_level, &drawing);
    }
    for (size_t i = 0; i < n_samples && status == FATHOM_OK; i++) {
        struct fathom_sample *sample = &samples.samples[samples.n++];
        struct fathom_sampling own = *sampling;
        own.seed += i;
        drawing.sample = sample;
        drawing.capacity = 0;
        status = fathom__alloc(&sample->peaks, n_preferences, sizeof *sample->peaks);
        if (status == FATHOM_OK) {
            status = fathom__alloc(&drawing.sums, n_preferences, sizeof *drawing.sums);
        }
        if (status == FATHOM_OK) {
            status = fathom__alloc(&drawing.counts, n_preferences, sizeof *drawing.counts);
        }
        if (status == FATHOM_OK) {
            status = fathom_generate(&sample->text, session, prompt, n, max_new, &own, on_token, &drawing);
        }
        status = status == FATHOM_OK ? drawing.status : status;
        for (size_t p = 0; p < n_preferences && status == FATHOM_OK; p++) {
            double mean = drawing.counts[p] > 0 ? drawing.sums[p] / (double)drawing.counts[p] : 0;
            sample->score += preferences[p].avoid ? -mean : mean;
        }
        samples.best = sample->score > samples.samples[samples.best].score ? i : samples.best;
        fathom_free(drawing.sums);
        fathom_free(drawing.counts);
        drawing.sums = NULL;
        drawing.counts = NULL;
    }
    if (monitor != NULL) {
        fathom_monitor_detach(monitor);
        fathom_monitor_close(monitor);
    }
    if (status != FATHOM_OK) {
        fathom_samples_free(&samples);
        return status;
    }
    *out = samples;
    return FATHOM_OK;
}
