/* Rows in, active features out: loading, packing, the fused product and selection. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>
#include <math.h>

struct loading {
    fathom_trainer *trainer;
    const float *rows;
};

/* P row, with zeros behind it. */
static void place_row(float *out, const float *row, size_t d, size_t stride, const struct fathom__map *transform) {
    memcpy(out, row, d * sizeof *out);
    memset(out + d, 0, (stride - d) * sizeof *out);
    fathom__map_apply(out, transform);
}

/* A transcoder's other half of a row. */
static void load_target(struct fathom__worker *own, const fathom_trainer *trainer, size_t r, const float *row) {
    const size_t d = trainer->options.d_out, stride = trainer->stride;
    const float scale = (float)trainer->output_scale, *x = trainer->x + r * stride;
    float *target = trainer->target + r * stride;
    place_row(target, row, d, stride, &trainer->target_transform);
    for (size_t j = 0; j < d; j++)
        target[j] = target[j] * scale - trainer->decoder_bias.value[j];
    const double squares = fathom__dot(target, target, stride);
    if (!isfinite(squares) && own->bad_row == SIZE_MAX) own->bad_row = r;
    own->sum_squares += squares;
    for (size_t j = 0; j < stride; j++) {
        own->column[j] += target[j];
        own->input_column[j] += x[j];
    }
    if (trainer->skip.value) fathom__skip_subtract(trainer, target, x);
}

static void load(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct loading *loading = payload;
    fathom_trainer *trainer = loading->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    const size_t d = trainer->options.d_in, stride = trainer->stride;
    const bool transcoder = trainer->options.d_out > 0;
    const float scale = (float)trainer->input_scale, *bias = transcoder ? trainer->centre : trainer->decoder_bias.value;
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, worker, n_workers);
    own->sum_squares = 0;
    own->bad_row = SIZE_MAX;
    memset(own->column, 0, stride * sizeof *own->column);
    memset(own->input_column, 0, stride * sizeof *own->input_column);
    for (size_t r = first; r < last; r++) {
        float *x = trainer->x + r * stride;
        const float *row = loading->rows + r * trainer->row_width;
        place_row(x, row, d, stride, &trainer->input_transform);
        for (size_t j = 0; j < d; j++)
            x[j] = x[j] * scale - bias[j];
        const double squares = fathom__dot(x, x, stride);
        if (!isfinite(squares) && own->bad_row == SIZE_MAX) own->bad_row = r;
        if (transcoder) {
            load_target(own, trainer, r, row + d);
        } else {
            own->sum_squares += squares;
            for (size_t j = 0; j < d; j++)
                own->column[j] += x[j];
        }
        fathom__row_to_bf16(trainer->x_bf16 + r * stride, x, stride);
    }
}

int fathom__trainer_load(fathom_trainer *trainer, const float *rows, size_t n) {
    if (trainer->source_scale) {
        fathom__sources_scale(trainer->scaled, trainer, rows, n);
        rows = trainer->scaled;
    }
    struct loading loading = {trainer, rows};
    trainer->n = n;
    fathom__team_run(trainer->team, load, &loading);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        if (trainer->workers[w].bad_row != SIZE_MAX)
            return fathom__fail(FATHOM_ERROR_NUMERIC, "trainer: row %zu of the batch is not finite",
                                trainer->workers[w].bad_row);
    return 0;
}

static void pack(uint32_t worker, uint32_t n_workers, void *payload) {
    fathom_trainer *trainer = payload;
    struct fathom__worker *own = &trainer->workers[worker];
    const size_t n_features = trainer->options.n_features;
    size_t first, last;
    fathom__team_share(&first, &last, fathom__dense_tiles(trainer->product), 1, worker, n_workers);
    for (size_t tile = first; tile < last; tile++) {
        const float *rows[FATHOM__TILE_FEATURES];
        size_t n = 0;
        for (size_t f = tile * FATHOM__TILE_FEATURES; n < FATHOM__TILE_FEATURES && f < n_features; f++)
            rows[n++] = trainer->encoder.value + f * trainer->stride;
        int status = fathom__dense_pack(trainer->product, worker, tile, rows, n);
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

struct encoding {
    fathom_trainer *trainer;
    fathom__dense *product;
    const float *bias;
    size_t n_features;
    struct fathom__active *active;
    uint32_t k;
};

static void reset_candidates(struct fathom__worker *own, size_t room, size_t n) {
    for (size_t r = 0; r < n; r++)
        own->candidates[r] = (struct fathom__candidates){own->values + r * room, own->features + r * room, 0, 0.0F};
}

static void keep(struct fathom__active *active, size_t r, uint32_t start, const struct fathom__candidates *candidates) {
    active->start[r] = start;
    active->count[r] = (uint32_t)candidates->n;
    memcpy(active->feature + start, candidates->features, candidates->n * sizeof *active->feature);
    memcpy(active->value + start, candidates->values, candidates->n * sizeof *active->value);
}

static void choose_topk(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct encoding *encoding = payload;
    fathom_trainer *trainer = encoding->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, worker, n_workers);
    for (size_t block = first; block < last; block += FATHOM__TILE_ROWS) {
        const size_t n = last - block < FATHOM__TILE_ROWS ? last - block : FATHOM__TILE_ROWS;
        reset_candidates(own, trainer->room, n);
        for (size_t tile = 0; tile * FATHOM__TILE_FEATURES < encoding->n_features; tile++) {
            const double begin = fathom__seconds();
            int status = fathom__dense_run(own->tile, encoding->product, worker, tile,
                                           trainer->x_bf16 + block * trainer->stride, n);
            if (status) {
                fathom__worker_fail(own, status);
                return;
            }
            const double middle = fathom__seconds();
            for (size_t r = 0; r < n; r++)
                fathom__offer(&own->candidates[r], encoding->k, own->tile + r * FATHOM__TILE_FEATURES,
                              encoding->bias + tile * FATHOM__TILE_FEATURES, (uint32_t)(tile * FATHOM__TILE_FEATURES),
                              fathom__tile_width(encoding->n_features, tile));
            own->seconds[FATHOM_TRAINER_ENCODE] += middle - begin;
            own->seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - middle;
        }
        const double begin = fathom__seconds();
        for (size_t r = 0; r < n; r++) {
            fathom__settle(&own->candidates[r], encoding->k);
            keep(encoding->active, block + r, (uint32_t)((block + r) * encoding->k), &own->candidates[r]);
        }
        own->seconds[FATHOM_TRAINER_SELECT] += fathom__seconds() - begin;
    }
}

int fathom__trainer_topk(struct fathom__active *active, fathom_trainer *trainer, fathom__dense *product,
                         const float *bias, size_t n_features, uint32_t k) {
    struct encoding encoding = {trainer, product, bias, n_features, active, k};
    return fathom__trainer_run(trainer, choose_topk, &encoding);
}
