#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

int fathom__active_open(struct fathom__active *active, size_t batch, size_t capacity, size_t n_features,
                        uint32_t n_workers) {
    *active = (struct fathom__active){.n_features = n_features};
    int status = fathom__alloc(&active->start, batch, sizeof *active->start);
    if (!status) status = fathom__alloc(&active->count, batch, sizeof *active->count);
    if (!status) status = fathom__active_reserve(active, capacity);
    if (status || n_features == 0) return status;
    status = fathom__alloc(&active->bucket, n_features + 1, sizeof *active->bucket);
    if (!status) status = fathom__alloc(&active->histogram, n_workers * n_features, sizeof *active->histogram);
    return status;
}

static void free_pairs(struct fathom__active *active) {
    fathom_free(active->feature);
    active->feature = active->sorted_row = NULL;
    active->value = active->slope = active->sorted_value = active->sorted_slope = NULL;
    active->capacity = 0;
}

int fathom__active_reserve(struct fathom__active *active, size_t capacity) {
    if (capacity > UINT32_MAX)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: %zu active features in a batch; at most 2^32 - 1 are held",
                            capacity);
    if (capacity <= active->capacity) return 0;
    capacity += active->capacity ? capacity / 4 : 0; /* what grew once will grow again */
    free_pairs(active);
    unsigned char *block = NULL;
    int status = fathom__alloc_aligned(&block, capacity, fathom__pair_bytes(active));
    if (status) return status;
    active->feature = (uint32_t *)(void *)block;
    active->slope = (float *)(void *)(active->feature + capacity);
    if (active->n_features) {
        active->value = active->slope;
        active->slope = active->value + capacity;
        active->sorted_value = active->slope + capacity;
        active->sorted_slope = active->value;
        active->sorted_row = (uint32_t *)(void *)active->slope;
    }
    active->capacity = capacity;
    return 0;
}

void fathom__active_take(struct fathom__active *active, struct fathom__active *from) {
    free_pairs(active);
    from->start = active->start;
    from->count = active->count;
    from->bucket = active->bucket;
    from->histogram = active->histogram;
    *active = *from;
    *from = (struct fathom__active){0};
}

void fathom__active_close(struct fathom__active *active) {
    free_pairs(active);
    fathom_free(active->start);
    fathom_free(active->count);
    fathom_free(active->bucket);
    fathom_free(active->histogram);
}

struct sorting {
    struct fathom__active *active;
    size_t n_rows;
};

static void count_features(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct sorting *sorting = payload;
    const struct fathom__active *active = sorting->active;
    uint32_t *histogram = active->histogram + worker * active->n_features;
    size_t first, last;
    fathom__team_share(&first, &last, sorting->n_rows, 1, worker, n_workers);
    memset(histogram, 0, active->n_features * sizeof *histogram);
    for (size_t r = first; r < last; r++)
        for (uint32_t i = 0; i < active->count[r]; i++)
            histogram[active->feature[active->start[r] + i]]++;
}

static void place_values(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct sorting *sorting = payload;
    const struct fathom__active *active = sorting->active;
    uint32_t *next = active->histogram + worker * active->n_features;
    size_t first, last;
    fathom__team_share(&first, &last, sorting->n_rows, 1, worker, n_workers);
    for (size_t r = first; r < last; r++)
        for (uint32_t i = 0; i < active->count[r]; i++) {
            const uint32_t from = active->start[r] + i;
            active->sorted_value[next[active->feature[from]]++] = active->value[from];
        }
}

/* The same backwards, by which every pair finds its place again: now in the values' stead, which have all been read. */
static void place_slopes(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct sorting *sorting = payload;
    const struct fathom__active *active = sorting->active;
    uint32_t *next = active->histogram + worker * active->n_features;
    size_t first, last;
    fathom__team_share(&first, &last, sorting->n_rows, 1, worker, n_workers);
    for (size_t r = last; r-- > first;)
        for (uint32_t i = active->count[r]; i-- > 0;) {
            const uint32_t from = active->start[r] + i;
            active->sorted_slope[--next[active->feature[from]]] = active->slope[from];
        }
}

/* And forwards once more, into the slopes' stead. */
static void place_rows(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct sorting *sorting = payload;
    const struct fathom__active *active = sorting->active;
    uint32_t *next = active->histogram + worker * active->n_features;
    size_t first, last;
    fathom__team_share(&first, &last, sorting->n_rows, 1, worker, n_workers);
    for (size_t r = first; r < last; r++)
        for (uint32_t i = 0; i < active->count[r]; i++)
            active->sorted_row[next[active->feature[active->start[r] + i]]++] = (uint32_t)r;
}

void fathom__active_sort(struct fathom__active *active, fathom_trainer *trainer) {
    struct sorting sorting = {active, trainer->n};
    fathom__team_run(trainer->team, count_features, &sorting);
    /* Each worker's count of a feature becomes the place of its first pair: rows are then ascending within a
     * feature. */
    uint32_t total = 0;
    for (size_t f = 0; f < active->n_features; f++) {
        active->bucket[f] = total;
        for (uint32_t w = 0; w < trainer->n_workers; w++) {
            uint32_t *cell = &active->histogram[w * active->n_features + f];
            const uint32_t count = *cell;
            *cell = total;
            total += count;
        }
    }
    active->bucket[active->n_features] = total;
    fathom__team_run(trainer->team, place_values, &sorting);
    fathom__team_run(trainer->team, place_slopes, &sorting);
    fathom__team_run(trainer->team, place_rows, &sorting);
}
