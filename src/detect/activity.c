#include "detect/activity.h"
#include "base/memory.h"
#include "detect/read.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    const fathom_dictionary *dictionary;
    struct fathom__active *entries;
    size_t n, capacity;
    struct fathom_sparse sparse;
    /* The present text. */
    double *sums;     /* [features] */
    float *maxima;    /* [features] */
    uint32_t *active; /* features with a sum */
    size_t n_active;
    uint64_t covered;
};

static int finish_text(struct reading *reading, size_t text) {
    int status =
        fathom__grow(&reading->entries, &reading->capacity, reading->n + reading->n_active, sizeof *reading->entries);
    for (size_t i = 0; i < reading->n_active && status == FATHOM_OK; i++) {
        uint32_t f = reading->active[i];
        reading->entries[reading->n++] = (struct fathom__active){
            f, (uint32_t)text, (float)(reading->sums[f] / (double)reading->covered), reading->maxima[f]};
        reading->sums[f] = 0;
        reading->maxima[f] = 0;
    }
    reading->n_active = 0;
    reading->covered = 0;
    return status;
}

static int read_piece(const struct fathom__piece *piece, void *payload) {
    struct reading *reading = payload;
    struct fathom_sparse *sparse = &reading->sparse;
    int status = FATHOM_OK;
    if (piece->n_tokens > 0) {
        status = fathom_dictionary_encode(sparse, reading->dictionary, piece->rows[0], piece->positions,
                                          piece->n_tokens, FATHOM_ENCODE_RUN);
    }
    for (size_t r = 0; r < piece->n_tokens && status == FATHOM_OK; r++) {
        reading->covered +=
            fathom_dictionary_covers(reading->dictionary, piece->rows[0] + r * piece->widths[0], piece->positions[r]);
        for (size_t i = sparse->offsets[r]; i < sparse->offsets[r + 1]; i++) {
            uint32_t f = sparse->features[i];
            if (reading->sums[f] == 0) {
                reading->active[reading->n_active++] = f;
            }
            reading->sums[f] += sparse->values[i];
            reading->maxima[f] = fmaxf(reading->maxima[f], sparse->values[i]);
        }
    }
    return status == FATHOM_OK && piece->last ? finish_text(reading, piece->text) : status;
}

static int by_feature(const void *a, const void *b) {
    const struct fathom__active *x = a;
    const struct fathom__active *y = b;
    if (x->feature != y->feature) {
        return x->feature < y->feature ? -1 : 1;
    }
    return x->text < y->text ? -1 : x->text > y->text;
}

int fathom__activity_read(struct fathom__active **out, size_t *n, const fathom_model *model,
                          const fathom_dictionary *dictionary, const struct fathom_texts *texts) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct reading reading = {.dictionary = dictionary};
    struct fathom_hook hook;
    int status = fathom_dictionary_match(&hook, dictionary, model);
    if (status == FATHOM_OK) {
        status = fathom__grow(&reading.entries, &reading.capacity, 1, sizeof *reading.entries);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reading.sums, info->n_features, sizeof *reading.sums);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reading.maxima, info->n_features, sizeof *reading.maxima);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&reading.active, info->n_features, sizeof *reading.active);
    }
    if (status == FATHOM_OK) {
        status = fathom__read_texts(model, texts, &hook, 1, read_piece, &reading);
    }
    fathom_sparse_free(&reading.sparse);
    fathom_free(reading.sums);
    fathom_free(reading.maxima);
    fathom_free(reading.active);
    if (status != FATHOM_OK) {
        fathom_free(reading.entries);
        return status;
    }
    qsort(reading.entries, reading.n, sizeof *reading.entries, by_feature);
    *out = reading.entries;
    *n = reading.n;
    return FATHOM_OK;
}

void fathom__activity_spread(double *scores, size_t n_texts, const struct fathom__active *entries, size_t n) {
    memset(scores, 0, n_texts * sizeof *scores);
    for (size_t i = 0; i < n; i++) {
        scores[entries[i].text] = (double)entries[i].maximum;
    }
}

size_t fathom__activity_run(const struct fathom__active *entries, size_t n, size_t first) {
    size_t next = first;
    while (next < n && entries[next].feature == entries[first].feature) {
        next++;
    }
    return next - first;
}

int fathom__activity_judge_all(void **out, size_t *n, size_t size, const struct fathom__active *entries,
                               size_t n_entries, const struct fathom_texts *texts, fathom__activity_judge judge) {
    unsigned char *judged = NULL;
    double *scores = NULL;
    size_t n_features = 0;
    size_t done = 0;
    for (size_t first = 0; first < n_entries; first += fathom__activity_run(entries, n_entries, first)) {
        n_features++;
    }
    int status = fathom__alloc(&scores, texts->n, sizeof *scores);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&judged, n_features ? n_features : 1, size);
    }
    for (size_t first = 0; first < n_entries && status == FATHOM_OK;) {
        size_t run = fathom__activity_run(entries, n_entries, first);
        status = judge(judged + size * done++, entries + first, run, texts, scores);
        first += run;
    }
    fathom_free(scores);
    if (status != FATHOM_OK) {
        fathom_free(judged);
        return status;
    }
    *out = judged;
    *n = n_features;
    return FATHOM_OK;
}
