/* All pairs whose value lies above a floor: what architectures with a threshold are active with.
 *
 * A worker finds the pairs of a block tile by tile, where its candidates have their memory, and puts them row by row into
 * its part of main's, which has room for twice as many pairs before they are sorted as after. A worker whose part is full
 * stops; main grows, by what was found so far, and the workers go on where they were. When it is known which of the
 * pairs count they move together.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

struct gathering {
    fathom_trainer *trainer;
    const float *bias;
    float floor;
};

/* What grew once will grow again. */
static size_t with_slack(size_t pairs) {
    return pairs + pairs / 8;
}

/* Room for n more pairs of the block, and what the selection writes behind them. */
static int reserve_block(struct fathom__worker *own, size_t n) {
    const size_t needed = own->n_block + n + FATHOM__OFFER_SLACK;
    size_t exact = 0;
    int status = 0;
    if (needed > own->values_room || needed > own->features_room)
        status = fathom__worker_room(own, with_slack(needed), with_slack(needed));
    if (!status && needed > own->row_room) {
        status = fathom__grow(&own->row, &exact, with_slack(needed), sizeof *own->row);
        if (!status) own->row_room = exact;
    }
    return status;
}

static int gather_tile(struct fathom__worker *own, const struct gathering *gathering, const struct fathom__tile *tile,
                       const float *products, size_t n) {
    int status = 0;
    for (size_t r = 0; r < n && !status; r++) {
        const size_t before = own->n_block;
        status = reserve_block(own, tile->width);
        if (status) break;
        fathom__offer_above(own->values, own->features, &own->n_block, gathering->floor,
                            products + r * FATHOM__TILE_FEATURES, gathering->bias + tile->first, (uint32_t)tile->first,
                            tile->width);
        memset(own->row + before, (int)r, own->n_block - before);
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
            status = gather_tile(own, gathering, &tile, own->tile + t * fathom__dense_room(first.product), n);
        }
        if (status) return status;
        own->seconds[FATHOM_TRAINER_ENCODE] += middle - begin;
        own->seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - middle;
    }
    return 0;
}

/* The block's pairs, a row's together, to the worker's others. */
static void place_block(struct fathom__worker *own, const fathom_trainer *trainer, size_t block, size_t n) {
    const struct fathom__gathered gathered = fathom__gathered(&trainer->main);
    uint32_t *count = trainer->main.count + block;
    size_t next[FATHOM__TILE_ROWS], total = own->part + own->n_gathered;
    memset(count, 0, n * sizeof *count);
    for (size_t i = 0; i < own->n_block; i++)
        count[own->row[i]]++;
    for (size_t r = 0; r < n; r++) {
        next[r] = total;
        total += count[r];
    }
    for (size_t i = 0; i < own->n_block; i++) {
        const size_t to = next[own->row[i]]++;
        gathered.feature[to] = own->features[i];
        gathered.value[to] = own->values[i];
        own->n_positive += own->values[i] > 0;
    }
    own->n_gathered += own->n_block;
    own->n_block = 0;
}

static void gather(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct gathering *gathering = payload;
    const fathom_trainer *trainer = gathering->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, worker, n_workers);
    while (own->next_row < last) {
        const size_t block = own->next_row, n = last - block < FATHOM__TILE_ROWS ? last - block : FATHOM__TILE_ROWS;
        int status = own->n_block ? 0 : gather_block(own, gathering, worker, block, n);
        if (status) {
            fathom__worker_fail(own, status);
            return;
        }
        if (own->n_gathered + own->n_block > own->part_room) return;
        const double begin = fathom__seconds();
        place_block(own, trainer, block, n);
        own->next_row += n;
        own->seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - begin;
    }
}

/* A worker's part of so much memory, by its share of the rows. */
static void give_part(fathom_trainer *trainer, uint32_t worker, size_t capacity) {
    struct fathom__worker *own = &trainer->workers[worker];
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, worker, trainer->n_workers);
    own->part = (size_t)((double)capacity * (double)first / (double)trainer->n);
    own->part_room = (size_t)((double)capacity * (double)last / (double)trainer->n) - own->part;
}

/* Main with room for so many pairs, and all that was gathered. */
static int widen(fathom_trainer *trainer, size_t capacity) {
    struct fathom__active wide = {.n_features = trainer->main.n_features};
    int status = fathom__active_reserve(&wide, capacity);
    if (status) return status;
    const struct fathom__gathered from = fathom__gathered(&trainer->main), to = fathom__gathered(&wide);
    for (uint32_t w = 0; w < trainer->n_workers; w++) {
        const struct fathom__worker *own = &trainer->workers[w];
        const size_t before = own->part;
        give_part(trainer, w, to.capacity);
        memcpy(to.feature + own->part, from.feature + before, own->n_gathered * sizeof *to.feature);
        memcpy(to.value + own->part, from.value + before, own->n_gathered * sizeof *to.value);
    }
    fathom__active_take(&trainer->main, &wide);
    return 0;
}

/* Pairs that main must have room for, where a worker had to stop; 0: none had to. */
static size_t find_lacking(const fathom_trainer *trainer) {
    double most = 0; /* pairs a row */
    bool stopped = false;
    for (uint32_t w = 0; w < trainer->n_workers; w++) {
        const struct fathom__worker *own = &trainer->workers[w];
        size_t first, last;
        fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, w, trainer->n_workers);
        stopped = stopped || own->next_row < last;
        const size_t seen = own->next_row + (own->n_block ? FATHOM__TILE_ROWS : 0),
                     rows = (seen < last ? seen : last) - first;
        if (rows) most = fmax(most, (double)(own->n_gathered + own->n_block) / (double)rows);
    }
    /* Each has room for two, and parts are rounded. */
    return stopped ? with_slack((size_t)(most * (double)trainer->n / 2)) + FATHOM__TILE_ROWS : 0;
}

int fathom__trainer_gather(fathom_trainer *trainer, const float *bias, float floor) {
    struct gathering gathering = {trainer, bias, floor};
    for (uint32_t w = 0; w < trainer->n_workers; w++) {
        struct fathom__worker *own = &trainer->workers[w];
        size_t last;
        fathom__team_share(&own->next_row, &last, trainer->n, FATHOM__LANES, w, trainer->n_workers);
        own->n_block = own->n_gathered = own->n_positive = 0;
        give_part(trainer, w, fathom__gathered(&trainer->main).capacity);
    }
    for (;;) {
        int status = fathom__trainer_run(trainer, gather, &gathering);
        if (status) return status;
        const size_t lacking = find_lacking(trainer);
        if (lacking == 0) return 0;
        status = widen(trainer, lacking);
        if (status) return status;
    }
}

/* Moves the kept pairs together, in place, and the others to near, if there is such. */
static void move_pairs(fathom_trainer *trainer, float least, size_t equal) {
    struct fathom__active *main = &trainer->main, *near = &trainer->near;
    const struct fathom__gathered gathered = fathom__gathered(main);
    size_t kept = 0, others = 0;
    for (uint32_t w = 0; w < trainer->n_workers; w++) {
        size_t first, last, at = trainer->workers[w].part;
        fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, w, trainer->n_workers);
        for (size_t r = first; r < last; r++) {
            const size_t end = at + main->count[r];
            main->start[r] = (uint32_t)kept;
            if (near->count) near->start[r] = (uint32_t)others;
            for (; at < end; at++) {
                const uint32_t feature = gathered.feature[at];
                const float value = gathered.value[at];
                if (value > least || (value == least && equal > 0)) {
                    equal -= value == least;
                    gathered.feature[kept] = feature;
                    gathered.value[kept++] = value;
                } else if (near->count) {
                    near->feature[others++] = feature;
                }
            }
            main->count[r] = (uint32_t)kept - main->start[r];
            if (near->count) near->count[r] = (uint32_t)others - near->start[r];
        }
    }
    memmove(main->value, gathered.value, kept * sizeof *main->value);
}

int fathom__trainer_keep(fathom_trainer *trainer, float least, size_t equal, size_t n_kept) {
    int status = n_kept <= trainer->main.capacity ? 0 : widen(trainer, with_slack(n_kept));
    if (!status && trainer->near.count)
        status = fathom__active_reserve(&trainer->near, fathom__n_gathered(trainer) - n_kept);
    if (!status) move_pairs(trainer, least, equal);
    return status;
}

size_t fathom__n_gathered(const fathom_trainer *trainer) {
    size_t total = 0;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        total += trainer->workers[w].n_gathered;
    return total;
}

int fathom__trainer_above(fathom_trainer *trainer, const float *bias, float floor) {
    int status = fathom__trainer_gather(trainer, bias, floor);
    if (status) return status;
    const double begin = fathom__seconds();
    size_t positive = 0;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        positive += trainer->workers[w].n_positive;
    status = fathom__trainer_keep(trainer, 0, 0, positive);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        trainer->workers[w].seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - begin;
    return status;
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
