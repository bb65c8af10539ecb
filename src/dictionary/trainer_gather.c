/* All pairs whose value lies above a floor: what architectures with a threshold are active with. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

struct gathering {
    fathom_trainer *trainer;
    const float *bias;
    float floor;
};

static void tag_rows(struct fathom__worker *own, uint32_t row, size_t before) {
    for (size_t i = before; i < own->n_harvest; i++)
        own->harvest_row[i] = row;
}

static int gather_tile(struct fathom__worker *own, const struct gathering *gathering, const struct fathom__tile *tile,
                       const float *products, size_t block, size_t n) {
    const size_t room = own->n_harvest + n * FATHOM__TILE_FEATURES + FATHOM__OFFER_SLACK;
    int status = fathom__grow(&own->harvest, &own->harvest_capacity, room, sizeof *own->harvest);
    if (!status)
        status =
            fathom__grow(&own->harvest_feature, &own->harvest_feature_capacity, room, sizeof *own->harvest_feature);
    if (!status) status = fathom__grow(&own->harvest_row, &own->harvest_row_capacity, room, sizeof *own->harvest_row);
    for (size_t r = 0; r < n && !status; r++) {
        const size_t before = own->n_harvest;
        fathom__offer_above(own->harvest, own->harvest_feature, &own->n_harvest, gathering->floor,
                            products + r * FATHOM__TILE_FEATURES, gathering->bias + tile->first, (uint32_t)tile->first,
                            tile->width);
        tag_rows(own, (uint32_t)(block + r), before);
    }
    return status;
}

static int gather_block(struct fathom__worker *own, const struct gathering *gathering, uint32_t worker, size_t block,
                        size_t n) {
    fathom_trainer *trainer = gathering->trainer;
    size_t n_tiles;
    for (size_t number = 0; number < fathom__tiles(trainer); number += n_tiles) {
        const struct fathom__tile first = fathom__tile(trainer, number);
        const size_t left = fathom__dense_tiles(first.product) - first.number, span = fathom__dense_span(first.product);
        n_tiles = left < span ? left : span;
        const double begin = fathom__seconds();
        int status = fathom__dense_run(own->tile, first.product, worker, first.number, n_tiles,
                                       fathom__layer_inputs(trainer, first.layer, block), n);
        const double middle = fathom__seconds();
        for (size_t t = 0; t < n_tiles && !status; t++) {
            const struct fathom__tile tile = fathom__tile(trainer, number + t);
            status = gather_tile(own, gathering, &tile, own->tile + t * fathom__dense_room(first.product), block, n);
        }
        if (status) return status;
        own->seconds[FATHOM_TRAINER_ENCODE] += middle - begin;
        own->seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - middle;
    }
    return 0;
}

static void gather(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct gathering *gathering = payload;
    struct fathom__worker *own = &gathering->trainer->workers[worker];
    size_t first, last;
    fathom__team_share(&first, &last, gathering->trainer->n, FATHOM__LANES, worker, n_workers);
    own->n_harvest = 0;
    int status = 0;
    for (size_t block = first; block < last && !status; block += FATHOM__TILE_ROWS)
        status = gather_block(own, gathering, worker, block,
                              last - block < FATHOM__TILE_ROWS ? last - block : FATHOM__TILE_ROWS);
    if (status) fathom__worker_fail(own, status);
}

int fathom__trainer_gather(fathom_trainer *trainer, const float *bias, float floor) {
    struct gathering gathering = {trainer, bias, floor};
    return fathom__trainer_run(trainer, gather, &gathering);
}

static void count_row_pairs(uint32_t worker, uint32_t n_workers, void *payload) {
    fathom_trainer *trainer = payload;
    const struct fathom__worker *own = &trainer->workers[worker];
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, worker, n_workers);
    for (size_t r = first; r < last; r++)
        trainer->main.count[r] = 0;
    for (size_t r = first; r < last && trainer->near.count; r++)
        trainer->near.count[r] = 0;
    for (size_t i = 0; i < own->n_harvest; i++)
        (own->harvest[i] > 0 ? &trainer->main : &trainer->near)->count[own->harvest_row[i]]++;
}

static void place_pairs(uint32_t worker, uint32_t n_workers, void *payload) {
    (void)n_workers;
    fathom_trainer *trainer = payload;
    const struct fathom__worker *own = &trainer->workers[worker];
    for (size_t i = 0; i < own->n_harvest; i++) {
        struct fathom__active *active = own->harvest[i] > 0 ? &trainer->main : &trainer->near;
        const uint32_t row = own->harvest_row[i], to = active->start[row] + active->count[row]++;
        active->feature[to] = own->harvest_feature[i];
        active->value[to] = own->harvest[i];
    }
}

/* Counts become starts. */
static int reserve(struct fathom__active *active, size_t n) {
    size_t total = 0;
    for (size_t r = 0; r < n; r++) {
        active->start[r] = (uint32_t)total;
        total += active->count[r];
        active->count[r] = 0;
    }
    return fathom__active_reserve(active, total);
}

int fathom__trainer_above(fathom_trainer *trainer, const float *bias, float floor) {
    int status = fathom__trainer_gather(trainer, bias, floor);
    if (status) return status;
    const double begin = fathom__seconds();
    fathom__team_run(trainer->team, count_row_pairs, trainer);
    status = reserve(&trainer->main, trainer->n);
    if (!status && floor < 0) status = reserve(&trainer->near, trainer->n);
    if (status) return status;
    fathom__team_run(trainer->team, place_pairs, trainer);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        trainer->workers[w].seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - begin;
    return 0;
}

struct visiting {
    fathom_trainer *trainer;
    fathom__row_fn fn;
};

static void visit_rows(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct visiting *visiting = payload;
    size_t first, last;
    fathom__team_share(&first, &last, visiting->trainer->n, FATHOM__LANES, worker, n_workers);
    for (size_t r = first; r < last; r++)
        visiting->fn(visiting->trainer, &visiting->trainer->workers[worker], r);
}

void fathom__trainer_rows(fathom_trainer *trainer, fathom__row_fn fn) {
    struct visiting visiting = {trainer, fn};
    fathom__team_run(trainer->team, visit_rows, &visiting);
}
