#include "server/map.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "catalogue/extremes.h"
#include "server/components.h"
#include "server/embedding.h"
#include <math.h>
#include <string.h>

enum { NEAREST = FATHOM__EXTREMES_MOST, SAMPLE = 1000, SEED = 1 };

struct work {
    struct fathom__map *map;
    size_t d;
    float *directions;               /* [n, d], each of length 1; one that has none stays 0 */
    struct fathom__extreme *extreme; /* [n, n_nearest] */
    uint32_t *nearest;
    float *distances;
    bool (*stop)(void *payload);
    void *payload;
};

static int read_directions(struct work *work, const fathom_dictionary *dictionary) {
    for (size_t i = 0; i < work->map->n; i++) {
        float *row = work->directions + i * work->d;
        double sum = 0;
        const int status = fathom_dictionary_trained_direction(row, dictionary, (uint32_t)i);
        if (status) return status;
        for (size_t j = 0; j < work->d; j++)
            sum += (double)row[j] * (double)row[j];
        const float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
        for (size_t j = 0; j < work->d; j++)
            row[j] *= scale;
    }
    return FATHOM_OK;
}

static int look(const struct fathom_progress *progress, void *payload) {
    const struct work *work = payload;
    (void)progress;
    return work->stop && work->stop(work->payload);
}

static int find_nearest(struct work *work, uint32_t n_threads) {
    const size_t n = work->map->n, k = work->map->n_nearest;
    const struct fathom__extremes_task task = {.x = work->directions,
                                               .y = work->directions,
                                               .n_x = n,
                                               .n_y = n,
                                               .d = work->d,
                                               .k = k,
                                               .not_itself = true,
                                               .n_threads = n_threads,
                                               .stage = "nearest features",
                                               .progress = look,
                                               .payload = work};
    const int status = fathom__extremes(work->extreme, NULL, &task);
    for (size_t i = 0; i < n * k && !status; i++) {
        work->nearest[i] = work->extreme[i].index;
        work->distances[i] = 1.0f - work->extreme[i].value;
    }
    return status;
}

/* The share of a feature's nearest ones that are among as many nearest to it at (x, y). */
static double kept(const struct work *work, size_t feature, const float *x, const float *y) {
    const size_t n = work->map->n, k = work->map->n_nearest;
    float best[NEAREST];
    uint32_t nearest[NEAREST];
    size_t n_best = 0, common = 0;
    for (size_t i = 0; i < n; i++) {
        const float dx = x[i] - x[feature], dy = y[i] - y[feature], square = dx * dx + dy * dy;
        if (i == feature || (n_best == k && square >= best[k - 1])) continue;
        size_t at = n_best < k ? n_best++ : k - 1;
        for (; at > 0 && best[at - 1] > square; at--) {
            best[at] = best[at - 1];
            nearest[at] = nearest[at - 1];
        }
        best[at] = square;
        nearest[at] = (uint32_t)i;
    }
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < n_best; j++)
            common += work->nearest[feature * k + i] == nearest[j];
    return (double)common / (double)k;
}

/* Over a sample of features, or all where there are no more. */
static double measure(const struct work *work, const float *x, const float *y) {
    const size_t n = work->map->n, n_measured = n < SAMPLE ? n : SAMPLE;
    struct fathom__random random;
    double sum = 0;
    fathom__random_seed(&random, SEED);
    for (size_t i = 0; i < n_measured; i++)
        sum += kept(work, n_measured == n ? i : (size_t)fathom__random_below(&random, n), x, y);
    return sum / (double)n_measured;
}

static int place(struct work *work, uint32_t n_threads) {
    struct fathom__map *map = work->map;
    int status = fathom__components(map->x, map->y, work->directions, map->n, work->d);
    if (status || map->n_nearest == 0) return status; /* a feature by itself has no neighbours to keep */
    status = find_nearest(work, n_threads);
    if (status) return status;
    const struct fathom__neighbours neighbours = {map->n, map->n_nearest, work->nearest, work->distances};
    map->kept_by_components = measure(work, map->x, map->y);
    map->kept_by_chance = (double)map->n_nearest / (double)(map->n - 1);
    status = fathom__embed(map->x, map->y, &neighbours, SEED, work->stop, work->payload);
    if (!status) map->kept = measure(work, map->x, map->y);
    return status;
}

int fathom__map_make(struct fathom__map *out, const fathom_dictionary *dictionary, uint32_t n_threads,
                     bool (*stop)(void *payload), void *payload) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    const size_t n = info->n_features;
    struct work work = {.map = out, .d = info->d_out, .stop = stop, .payload = payload};
    *out = (struct fathom__map){.n = n, .n_nearest = n > NEAREST ? NEAREST : n - 1};
    int status = fathom__alloc(&out->x, n, sizeof *out->x);
    if (!status) status = fathom__alloc(&out->y, n, sizeof *out->y);
    if (!status) status = fathom__alloc(&work.directions, n * work.d, sizeof *work.directions);
    if (!status) status = fathom__alloc(&work.extreme, n * out->n_nearest, sizeof *work.extreme);
    if (!status) status = fathom__alloc(&work.nearest, n * out->n_nearest, sizeof *work.nearest);
    if (!status) status = fathom__alloc(&work.distances, n * out->n_nearest, sizeof *work.distances);
    if (!status) status = read_directions(&work, dictionary);
    if (!status) status = place(&work, n_threads);
    fathom_free(work.directions);
    fathom_free(work.extreme);
    fathom_free(work.nearest);
    fathom_free(work.distances);
    if (status) fathom__map_free(out);
    return status;
}

void fathom__map_free(struct fathom__map *map) {
    fathom_free(map->x);
    fathom_free(map->y);
    *map = (struct fathom__map){0};
}
