/* Rows in, active features out: loading, packing, the fused product and selection. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>
#include <math.h>

/* P row · scale - bias, with zeros behind it. */
static void place_row(float *out, const fathom_trainer *trainer, const float *row, size_t d,
                      const struct fathom__map *transform, double row_scale, const float *bias) {
    const float scale = (float)row_scale;
    memcpy(out, row, d * sizeof *out);
    memset(out + d, 0, (trainer->stride - d) * sizeof *out);
    fathom__map_apply(out, transform);
    for (size_t j = 0; j < d; j++)
        out[j] = out[j] * scale - bias[j];
}

void fathom__trainer_input(float *x, const fathom_trainer *trainer, size_t row) {
    place_row(x, trainer, trainer->given + row * trainer->row_width, trainer->options.d_in, &trainer->input_transform,
              trainer->input_scale, trainer->options.d_out ? trainer->centre : trainer->decoder_bias.value);
}

void fathom__trainer_make_input(uint16_t *out, const fathom_trainer *trainer, struct fathom__worker *own, size_t row) {
    fathom__trainer_input(own->input_row, trainer, row);
    fathom__row_to_bf16(out, own->input_row, trainer->stride);
}

/* A transcoder's other half of a row. */
static void place_target(float *target, const fathom_trainer *trainer, size_t row) {
    place_row(target, trainer, trainer->given + row * trainer->row_width + trainer->options.d_in,
              trainer->options.d_out, &trainer->target_transform, trainer->output_scale, trainer->decoder_bias.value);
}

void fathom__trainer_target(float *target, float *x, const fathom_trainer *trainer, size_t row) {
    if (!trainer->options.d_out) {
        fathom__trainer_input(target, trainer, row);
        return;
    }
    place_target(target, trainer, row);
    if (!trainer->skip.value) return;
    fathom__trainer_input(x, trainer, row);
    fathom__skip_subtract(trainer, target, x);
}

static void load_target(struct fathom__worker *own, const fathom_trainer *trainer, size_t r) {
    const size_t stride = trainer->stride;
    const float *x = own->input_row;
    float *target = own->error_row;
    place_target(target, trainer, r);
    const double squares = fathom__dot(target, target, stride);
    if (!isfinite(squares) && own->bad_row == SIZE_MAX) own->bad_row = r;
    own->sum_squares += squares;
    for (size_t j = 0; j < stride; j++) {
        own->column[j] += target[j];
        own->input_column[j] += x[j];
    }
}

static void load(uint32_t worker, uint32_t n_workers, void *payload) {
    fathom_trainer *trainer = payload;
    struct fathom__worker *own = &trainer->workers[worker];
    const size_t d = trainer->options.d_in, stride = trainer->stride;
    float *x = own->input_row;
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, worker, n_workers);
    own->sum_squares = 0;
    own->bad_row = SIZE_MAX;
    memset(own->column, 0, stride * sizeof *own->column);
    memset(own->input_column, 0, stride * sizeof *own->input_column);
    for (size_t r = first; r < last; r++) {
        fathom__trainer_input(x, trainer, r);
        const double squares = fathom__dot(x, x, stride);
        if (!isfinite(squares) && own->bad_row == SIZE_MAX) own->bad_row = r;
        if (trainer->options.d_out) {
            load_target(own, trainer, r);
        } else {
            own->sum_squares += squares;
            for (size_t j = 0; j < d; j++)
                own->column[j] += x[j];
        }
        for (size_t l = 0; l < trainer->n_layers; l++)
            fathom__row_to_bf16(trainer->x_bf16 + (l * trainer->x_rows + r) * trainer->read, x + l * trainer->read,
                                trainer->read);
    }
}

int fathom__trainer_load(fathom_trainer *trainer, const float *rows, size_t n) {
    if (trainer->source_scale) {
        fathom__sources_scale(trainer->scaled, trainer, rows, n);
        rows = trainer->scaled;
    }
    trainer->given = rows;
    trainer->n = n;
    fathom__team_run(trainer->team, load, trainer);
    /* Products read past the last row, and what was lent may have left anything there. */
    if (trainer->lent_pairs || trainer->inputs_lost)
        memset(trainer->x_bf16 + n * trainer->stride, 0, FATHOM__TILE_ROWS * trainer->stride * sizeof *trainer->x_bf16);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        if (trainer->workers[w].bad_row != SIZE_MAX)
            return fathom__fail(FATHOM_ERROR_NUMERIC, "trainer: row %zu of the batch is not finite",
                                trainer->workers[w].bad_row);
    return 0;
}

static void pack(uint32_t worker, uint32_t n_workers, void *payload) {
    fathom_trainer *trainer = payload;
    struct fathom__worker *own = &trainer->workers[worker];
    size_t first, last;
    fathom__team_share(&first, &last, fathom__tiles(trainer), 1, worker, n_workers);
    for (size_t number = first; number < last; number++) {
        const struct fathom__tile tile = fathom__tile(trainer, number);
        const float *rows[FATHOM__TILE_FEATURES];
        for (size_t i = 0; i < tile.width; i++)
            rows[i] = trainer->encoder.value + (tile.first + i) * trainer->read;
        int status = fathom__dense_pack(tile.product, worker, tile.number, rows, tile.width);
        if (status) {
            fathom__worker_fail(own, status);
            return;
        }
    }
}

int fathom__trainer_pack(fathom_trainer *trainer) {
    if (trainer->packed) return 0;
    int status = fathom__trainer_run(trainer, pack, trainer);
    trainer->packed = !status;
    return status;
}

int fathom__worker_room(struct fathom__worker *worker, size_t values, size_t features) {
    size_t exact = 0;
    int status = 0;
    if (values > worker->values_room) {
        status = fathom__grow(&worker->values, &exact, values, sizeof *worker->values);
        if (!status) worker->values_room = exact;
    }
    exact = 0;
    if (!status && features > worker->features_room) {
        status = fathom__grow(&worker->features, &exact, features, sizeof *worker->features);
        if (!status) worker->features_room = exact;
    }
    return status;
}

void fathom__worker_clear(struct fathom__worker *worker) {
    fathom_free(worker->values);
    fathom_free(worker->features);
    worker->values = NULL;
    worker->features = NULL;
    worker->values_room = worker->features_room = 0;
}

int fathom__trainer_room(fathom_trainer *trainer, uint32_t k, size_t rows) {
    const size_t room = rows * fathom__candidate_room(k);
    int status = 0;
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++)
        status = fathom__worker_room(&trainer->workers[w], room, room);
    return status;
}

static void reset_candidates(struct fathom__worker *own, const struct fathom__choice *choice, size_t n) {
    const size_t room = fathom__candidate_room(choice->k);
    float *values = choice->inputs && own->dead_values ? own->dead_values : own->values;
    uint32_t *features = choice->inputs && own->dead_features ? own->dead_features : own->features;
    for (size_t r = 0; r < n; r++)
        own->candidates[r] = (struct fathom__candidates){values + r * room, features + r * room, 0, 0.0F};
}

static void keep(struct fathom__active *active, size_t r, uint32_t k, const struct fathom__candidates *candidates) {
    const uint32_t start = (uint32_t)(r * k);
    active->start[r] = start;
    active->count[r] = (uint32_t)candidates->n;
    memcpy(active->feature + start, candidates->features, candidates->n * sizeof *active->feature);
    memcpy(active->value + start, candidates->values, candidates->n * sizeof *active->value);
}

static void offer_tile(const struct fathom__choice *choice, struct fathom__worker *own, size_t layer, size_t tile,
                       const float *products, size_t n) {
    const size_t first = layer * choice->n_features + tile * FATHOM__TILE_FEATURES;
    for (size_t r = 0; r < n; r++)
        fathom__offer(&own->candidates[r], choice->k, products + r * FATHOM__TILE_FEATURES, choice->bias + first,
                      (uint32_t)first, fathom__tile_width(choice->n_features, tile));
}

/* A layer's features of n rows, to their candidates. */
static int offer_layer(const struct fathom__choice *choice, fathom_trainer *trainer, uint32_t worker, size_t layer,
                       size_t block, size_t n) {
    struct fathom__worker *own = &trainer->workers[worker];
    const uint16_t *inputs = choice->inputs ? choice->inputs : fathom__layer_inputs(trainer, layer, block);
    const size_t tiles = (choice->n_features + FATHOM__TILE_FEATURES - 1) / FATHOM__TILE_FEATURES,
                 span = fathom__dense_span(choice->products[layer]), room = fathom__dense_room(choice->products[layer]);
    for (size_t tile = 0; tile < tiles; tile += span) {
        const size_t n_tiles = tiles - tile < span ? tiles - tile : span;
        const double begin = fathom__seconds();
        int status = fathom__dense_run(own->tile, choice->products[layer], worker, tile, n_tiles, inputs, n);
        if (status) return status;
        const double middle = fathom__seconds();
        for (size_t t = 0; t < n_tiles; t++)
            offer_tile(choice, own, layer, tile + t, own->tile + t * room, n);
        own->seconds[FATHOM_TRAINER_ENCODE] += middle - begin;
        own->seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - middle;
    }
    return 0;
}

int fathom__trainer_choose_block(const struct fathom__choice *choice, fathom_trainer *trainer, uint32_t worker,
                                 size_t block, size_t n) {
    struct fathom__worker *own = &trainer->workers[worker];
    reset_candidates(own, choice, n);
    for (size_t layer = 0; layer < choice->n_products; layer++) {
        int status = offer_layer(choice, trainer, worker, layer, block, n);
        if (status) return status;
    }
    const double begin = fathom__seconds();
    for (size_t r = 0; r < n; r++)
        fathom__settle(&own->candidates[r], choice->k);
    own->seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - begin;
    return 0;
}

static int choose_rows(const struct fathom__choice *choice, fathom_trainer *trainer, uint32_t worker, size_t first,
                       size_t last) {
    const struct fathom__worker *own = &trainer->workers[worker];
    for (size_t block = first; block < last; block += FATHOM__TILE_ROWS) {
        const size_t n = last - block < FATHOM__TILE_ROWS ? last - block : FATHOM__TILE_ROWS;
        int status = fathom__trainer_choose_block(choice, trainer, worker, block, n);
        if (status) return status;
        for (size_t r = 0; r < n; r++)
            keep(choice->active, block + r, choice->k, &own->candidates[r]);
    }
    return 0;
}

struct choosing {
    fathom_trainer *trainer;
    const struct fathom__choice *choice;
};

static void choose_share(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct choosing *choosing = payload;
    size_t first, last;
    fathom__team_share(&first, &last, choosing->trainer->n, FATHOM__LANES, worker, n_workers);
    int status = choose_rows(choosing->choice, choosing->trainer, worker, first, last);
    if (status) fathom__worker_fail(&choosing->trainer->workers[worker], status);
}

int fathom__trainer_choose(const struct fathom__choice *choice, fathom_trainer *trainer) {
    struct choosing choosing = {trainer, choice};
    return fathom__trainer_run(trainer, choose_share, &choosing);
}

int fathom__trainer_topk(struct fathom__active *active, fathom_trainer *trainer) {
    const struct fathom__choice choice = {active,
                                          trainer->products,
                                          trainer->n_layers,
                                          trainer->encoder_bias.value,
                                          trainer->layer_features,
                                          trainer->options.k,
                                          NULL};
    int status = fathom__trainer_room(trainer, choice.k, FATHOM__TILE_ROWS);
    return status ? status : fathom__trainer_choose(&choice, trainer);
}
