/* Biases or thresholds to start with: every feature is active as often as every other, and few are in a row.
 *
 * With biases of 0 half of all features are active in each row, and a sparse step then costs as much as a dense one,
 * for hundreds of steps. Nor are features equal: those that happen to lie along the rows' main directions would take
 * everything.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

#define MOST_ROWS 2048

struct starting {
    fathom_trainer *trainer;
    size_t wanted;  /* rows in which a feature is active */
    float **levels; /* [n_workers]: [FATHOM__TILE_FEATURES, trainer->n] */
};

/* The rank-th largest, rank from 0, by Hoare's selection; reorders the values. */
static float select_rank(float *values, size_t n, size_t rank) {
    size_t low = 0, high = n - 1;
    while (low < high) {
        const float pivot = values[low + (high - low) / 2];
        size_t i = low - 1, j = high + 1; /* wraps, and comes back with the first increment */
        for (;;) {
            do
                i++;
            while (values[i] > pivot);
            do
                j--;
            while (values[j] < pivot);
            if (i >= j) break;
            const float kept = values[i];
            values[i] = values[j];
            values[j] = kept;
        }
        if (rank <= j)
            high = j;
        else
            low = j + 1;
    }
    return values[rank];
}

static int start_tile(const struct starting *starting, uint32_t worker, size_t number) {
    fathom_trainer *trainer = starting->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    float *levels = starting->levels[worker];
    const struct fathom__tile tile = fathom__tile(trainer, number);
    const size_t n = trainer->n;
    for (size_t block = 0; block < n; block += FATHOM__TILE_ROWS) {
        const size_t here = n - block < FATHOM__TILE_ROWS ? n - block : FATHOM__TILE_ROWS;
        int status = fathom__dense_run(own->tile, tile.product, worker, tile.number, 1,
                                       fathom__layer_inputs(trainer, tile.layer, block), here);
        if (status) return status;
        for (size_t r = 0; r < here; r++)
            for (size_t i = 0; i < tile.width; i++)
                levels[i * n + block + r] = own->tile[r * FATHOM__TILE_FEATURES + i];
    }
    for (size_t i = 0; i < tile.width; i++)
        trainer->architecture->start_at(trainer, (uint32_t)(tile.first + i),
                                        select_rank(levels + i * n, n, starting->wanted));
    return 0;
}

static void start_tiles(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct starting *starting = payload;
    size_t first, last;
    fathom__team_share(&first, &last, fathom__tiles(starting->trainer), 1, worker, n_workers);
    for (size_t tile = first; tile < last; tile++) {
        int status = start_tile(starting, worker, tile);
        if (status) {
            fathom__worker_fail(&starting->trainer->workers[worker], status);
            return;
        }
    }
}

/* Rows at even distances, since neighbours are of one text. */
static int load_some(fathom_trainer *trainer, const float *rows, size_t n) {
    const size_t width = trainer->row_width;
    size_t taken = n < MOST_ROWS ? n : MOST_ROWS;
    float *some = NULL;
    if (taken > trainer->options.batch) taken = trainer->options.batch;
    int status = fathom__alloc(&some, taken * width, sizeof *some);
    if (status) return status;
    for (size_t r = 0; r < taken; r++)
        memcpy(some + r * width, rows + r * n / taken * width, width * sizeof *some);
    status = fathom__trainer_load(trainer, some, taken);
    fathom_free(some);
    return status;
}

int fathom__trainer_start(fathom_trainer *trainer, const float *rows, size_t n) {
    const struct fathom_trainer_options *options = &trainer->options;
    const double part = options->start_l0 / options->n_features;
    struct starting starting = {.trainer = trainer};
    if (!trainer->architecture->start_at || part >= 0.5) return 0;
    int status = load_some(trainer, rows, n);
    if (!status) status = fathom__trainer_pack(trainer);
    if (!status) status = fathom__alloc(&starting.levels, trainer->n_workers, sizeof *starting.levels);
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++)
        status = fathom__alloc(&starting.levels[w], FATHOM__TILE_FEATURES * trainer->n, sizeof **starting.levels);
    starting.wanted = (size_t)(part * (double)trainer->n);
    if (!status) status = fathom__trainer_run(trainer, start_tiles, &starting);
    for (uint32_t w = 0; starting.levels && w < trainer->n_workers; w++)
        fathom_free(starting.levels[w]);
    fathom_free(starting.levels);
    return status;
}
