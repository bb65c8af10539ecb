/* The auxiliary loss: what the strongest dead features make of the error that the others left.
 *
 * k_aux of the dead features are active in each row, a share so large that dense products in bf16 are several times
 * faster than sparse rows. They work on blocks of 256 rows by 256 dead features, whose values are written out as a
 * small dense matrix; no matrix of rows by dead features exists. Where the product cannot add to what is there
 * (fathom__dense_can_add), the sparse way of the main features is taken.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

enum { ROWS = FATHOM__TILE_ROWS, CHUNK = FATHOM__TILE_FEATURES };

static void find_dead(fathom_trainer *trainer) {
    const uint64_t dead_after = trainer->options.dead_after;
    trainer->n_dead = 0;
    for (uint32_t f = 0; f < trainer->options.n_features; f++) {
        const bool dead = f < trainer->forced_dead || trainer->rows - trainer->last_active[f] >= dead_after;
        trainer->dead_slot[f] = dead ? trainer->n_dead : UINT32_MAX;
        if (dead) trainer->dead[trainer->n_dead++] = f;
    }
}

static void close_worker(struct fathom__worker *worker) {
    fathom_free(worker->block);
    fathom_free(worker->block_bf16);
    fathom_free(worker->mix);
    fathom_free(worker->cursor);
    worker->block = NULL;
    worker->block_bf16 = worker->mix = NULL;
    worker->cursor = NULL;
}

void fathom__auxiliary_close(fathom_trainer *trainer) {
    fathom__dense_close(trainer->dead_encoder);
    fathom__dense_close(trainer->dead_decoder);
    fathom_free(trainer->dead_bias);
    fathom_free(trainer->dead_rows);
    fathom_free(trainer->auxiliary_bf16);
    fathom_free(trainer->auxiliary_error);
    for (uint32_t w = 0; trainer->workers && w < trainer->n_workers; w++)
        close_worker(&trainer->workers[w]);
    fathom__active_close(&trainer->auxiliary);
    trainer->dead_encoder = trainer->dead_decoder = NULL;
    trainer->dead_bias = trainer->auxiliary_error = NULL;
    trainer->dead_rows = trainer->auxiliary_bf16 = NULL;
    trainer->auxiliary = (struct fathom__active){0};
    trainer->dead_capacity = 0;
}

static int open_dense(fathom_trainer *trainer, size_t capacity) {
    const size_t stride = trainer->stride, rows = trainer->options.batch + ROWS;
    int status = fathom__dense_open(&trainer->dead_decoder, FATHOM__PRODUCT_BEST, stride, capacity, trainer->n_workers);
    if (!status) status = fathom__alloc_aligned(&trainer->dead_rows, capacity * stride, sizeof *trainer->dead_rows);
    if (!status)
        status = fathom__alloc_aligned(&trainer->auxiliary_bf16, rows * stride, sizeof *trainer->auxiliary_bf16);
    if (!status) memset(trainer->auxiliary_bf16, 0, rows * stride * sizeof *trainer->auxiliary_bf16);
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++) {
        struct fathom__worker *worker = &trainer->workers[w];
        status = fathom__alloc_aligned(&worker->block, 2 * ROWS * stride, sizeof *worker->block);
        if (!status) status = fathom__alloc_aligned(&worker->block_bf16, ROWS * stride, sizeof *worker->block_bf16);
        if (!status) status = fathom__alloc_aligned(&worker->mix, ROWS * CHUNK, sizeof *worker->mix);
        if (!status) status = fathom__alloc(&worker->cursor, ROWS, sizeof *worker->cursor);
    }
    return status;
}

/* Room for the dead features, with a quarter to spare so that it is made seldom. */
static int reserve(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    size_t capacity = trainer->n_dead + trainer->n_dead / 4;
    if (trainer->n_dead <= trainer->dead_capacity) return 0;
    if (capacity > options->n_features) capacity = options->n_features;
    capacity = (capacity + CHUNK - 1) / CHUNK * CHUNK;
    fathom__auxiliary_close(trainer);
    int status =
        fathom__dense_open(&trainer->dead_encoder, FATHOM__PRODUCT_BEST, trainer->stride, capacity, trainer->n_workers);
    if (!status) status = fathom__alloc(&trainer->dead_bias, capacity, sizeof *trainer->dead_bias);
    if (!status)
        status = fathom__active_open(&trainer->auxiliary, options->batch, (size_t)options->batch * options->k_aux,
                                     capacity, trainer->n_workers);
    if (status) return status;
    trainer->auxiliary_dense = !trainer->forced_sparse && fathom__dense_can_add(trainer->dead_encoder);
    if (trainer->auxiliary_dense)
        status = open_dense(trainer, capacity);
    else
        status = fathom__alloc_aligned(&trainer->auxiliary_error, options->batch * trainer->stride,
                                       sizeof *trainer->auxiliary_error);
    if (!status) trainer->dead_capacity = capacity;
    return status;
}

static size_t n_chunks(const fathom_trainer *trainer) {
    return (trainer->n_dead + CHUNK - 1) / CHUNK;
}

static float dead_bias(const fathom_trainer *trainer, uint32_t feature) {
    return trainer->architecture->dead_bias ? trainer->architecture->dead_bias(trainer, feature)
                                            : trainer->encoder_bias.value[feature];
}

static int pack_chunk(fathom_trainer *trainer, uint32_t worker, size_t chunk) {
    const size_t stride = trainer->stride, first = chunk * CHUNK, n = fathom__tile_width(trainer->n_dead, chunk);
    const float *rows[CHUNK];
    for (size_t i = 0; i < n; i++) {
        rows[i] = trainer->encoder.value + (size_t)trainer->dead[first + i] * stride;
        trainer->dead_bias[first + i] = dead_bias(trainer, trainer->dead[first + i]);
    }
    int status = fathom__dense_pack(trainer->dead_encoder, worker, chunk, rows, n);
    if (status || !trainer->auxiliary_dense) return status;
    uint16_t *decoder = trainer->dead_rows + first * stride;
    for (size_t i = 0; i < n; i++) {
        rows[i] = trainer->decoder.value + (size_t)trainer->dead[first + i] * stride;
        fathom__row_to_bf16(decoder + i * stride, rows[i], stride);
    }
    memset(decoder + n * stride, 0, (CHUNK - n) * stride * sizeof *decoder);
    return fathom__dense_pack(trainer->dead_decoder, worker, chunk, rows, n);
}

static void pack_dead(uint32_t worker, uint32_t n_workers, void *payload) {
    fathom_trainer *trainer = payload;
    size_t first, last;
    fathom__team_share(&first, &last, n_chunks(trainer), 1, worker, n_workers);
    for (size_t chunk = first; chunk < last; chunk++) {
        int status = pack_chunk(trainer, worker, chunk);
        if (status) {
            fathom__worker_fail(&trainer->workers[worker], status);
            return;
        }
    }
}

/* Writes one block's pairs of a chunk out as a dense matrix; the cursors move past them. Pairs of a row are by
 * ascending slot. */
static void fill_mix(struct fathom__worker *own, const struct fathom__active *active, size_t block, size_t n,
                     size_t chunk) {
    memset(own->mix, 0, (size_t)ROWS * CHUNK * sizeof *own->mix);
    const uint32_t first = (uint32_t)(chunk * CHUNK), last = first + CHUNK;
    for (size_t r = 0; r < n; r++) {
        const uint32_t start = active->start[block + r], count = active->count[block + r];
        uint32_t i = own->cursor[r];
        for (; i < count && active->feature[start + i] < last; i++)
            own->mix[r * CHUNK + active->feature[start + i] - first] = fathom__bf16(active->value[start + i]);
        own->cursor[r] = i;
    }
}

/* The errors of a block: what the main features left, and the dead features' reconstruction added. */
static int decode_block(fathom_trainer *trainer, struct fathom__worker *own, uint32_t worker, size_t block, size_t n) {
    const size_t stride = trainer->stride;
    int status = 0;
    memcpy(own->block, trainer->error + block * stride, n * stride * sizeof *own->block);
    memset(own->block + n * stride, 0, (ROWS - n) * stride * sizeof *own->block);
    memset(own->cursor, 0, ROWS * sizeof *own->cursor);
    for (size_t chunk = 0; chunk < n_chunks(trainer) && !status; chunk++) {
        fill_mix(own, &trainer->auxiliary, block, n, chunk);
        status = fathom__dense_add(own->block, trainer->dead_encoder, worker, own->mix,
                                   trainer->dead_rows + chunk * CHUNK * stride);
    }
    for (size_t r = 0; r < n; r++)
        own->sum_errors += fathom__dot(own->block + r * stride, own->block + r * stride, stride);
    fathom__row_to_bf16(own->block_bf16, own->block, ROWS * stride);
    memcpy(trainer->auxiliary_bf16 + block * stride, own->block_bf16, n * stride * sizeof *own->block_bf16);
    return status;
}

static int find_slopes(fathom_trainer *trainer, struct fathom__worker *own, uint32_t worker, size_t block, size_t n) {
    const struct fathom__active *active = &trainer->auxiliary;
    memset(own->cursor, 0, ROWS * sizeof *own->cursor);
    for (size_t chunk = 0; chunk < n_chunks(trainer); chunk++) {
        const uint32_t first = (uint32_t)(chunk * CHUNK), last = first + CHUNK;
        int status = fathom__dense_run(own->tile, trainer->dead_decoder, worker, chunk, own->block_bf16, n);
        if (status) return status;
        for (size_t r = 0; r < n; r++) {
            const uint32_t start = active->start[block + r], count = active->count[block + r];
            uint32_t i = own->cursor[r];
            for (; i < count && active->feature[start + i] < last; i++)
                active->slope[start + i] = own->tile[r * CHUNK + active->feature[start + i] - first];
            own->cursor[r] = i;
        }
    }
    return 0;
}

static void decode_dense(uint32_t worker, uint32_t n_workers, void *payload) {
    fathom_trainer *trainer = payload;
    struct fathom__worker *own = &trainer->workers[worker];
    size_t first, last;
    int status = 0;
    fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, worker, n_workers);
    own->sum_errors = 0;
    for (size_t block = first; block < last && !status; block += ROWS) {
        const size_t n = last - block < ROWS ? last - block : ROWS;
        status = decode_block(trainer, own, worker, block, n);
        if (!status) status = find_slopes(trainer, own, worker, block, n);
    }
    if (status) fathom__worker_fail(own, status);
}

/* The transposed block of a chunk: one row a dead feature, one column a row of the batch. `numbers` are the sorted
 * values or slopes. */
static void fill_transposed(struct fathom__worker *own, const struct fathom__active *active, const float *numbers,
                            size_t chunk, size_t width, size_t block, bool advance) {
    memset(own->mix, 0, (size_t)ROWS * CHUNK * sizeof *own->mix);
    for (size_t i = 0; i < width; i++) {
        const uint32_t end = active->bucket[chunk * CHUNK + i + 1];
        uint32_t at = own->cursor[i];
        for (; at < end && active->sorted_row[at] < block + ROWS; at++)
            own->mix[i * ROWS + active->sorted_row[at] - block] = fathom__bf16(numbers[at]);
        if (advance) own->cursor[i] = at;
    }
}

int fathom__trainer_dead_gradients(fathom_trainer *trainer, uint32_t worker, size_t chunk) {
    struct fathom__worker *own = &trainer->workers[worker];
    const struct fathom__active *active = &trainer->auxiliary;
    const size_t stride = trainer->stride, width = fathom__tile_width(trainer->n_dead, chunk);
    int status = 0;
    memset(own->block, 0, 2 * ROWS * stride * sizeof *own->block);
    memcpy(own->cursor, active->bucket + chunk * CHUNK, width * sizeof *own->cursor);
    for (size_t block = 0; block < trainer->n && !status; block += ROWS) {
        fill_transposed(own, active, active->sorted_value, chunk, width, block, false);
        status = fathom__dense_add(own->block, trainer->dead_encoder, worker, own->mix,
                                   trainer->auxiliary_bf16 + block * stride);
        if (status) break;
        fill_transposed(own, active, active->sorted_slope, chunk, width, block, true);
        status = fathom__dense_add(own->block + ROWS * stride, trainer->dead_encoder, worker, own->mix,
                                   trainer->x_bf16 + block * stride);
    }
    return status;
}

static double sum_errors(const struct fathom__worker *worker) {
    return worker->sum_errors;
}

/* Σ|e|² - |Σe|²/n: the residual's own spread, from the sums that the main decode left behind. */
static double residual_spread(fathom_trainer *trainer) {
    const double residual = fathom__trainer_sum(trainer, trainer->column, sum_errors);
    double means = 0;
    for (size_t j = 0; j < trainer->stride; j++)
        means += trainer->column[j] * trainer->column[j];
    return residual - means / (double)trainer->n;
}

int fathom__trainer_auxiliary(double *loss, double *factor, fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    struct fathom__active *active = &trainer->auxiliary;
    *loss = *factor = 0;
    find_dead(trainer);
    if (trainer->n_dead == 0 || options->auxiliary_coefficient < 0) return 0;
    const double spread = residual_spread(trainer);
    if (!(spread > 0)) return 0;
    const uint32_t k = options->k_aux < trainer->n_dead ? options->k_aux : trainer->n_dead;
    int status = reserve(trainer);
    if (!status) status = fathom__trainer_run(trainer, pack_dead, trainer);
    if (!status)
        status = fathom__trainer_topk(active, trainer, trainer->dead_encoder, trainer->dead_bias, trainer->n_dead, k);
    if (status) return status;
    if (trainer->auxiliary_dense) {
        status = fathom__trainer_run(trainer, decode_dense, trainer);
        if (status) return status;
    } else {
        const struct fathom__decoding what = {active, trainer->dead, trainer->error, 1, trainer->auxiliary_error, true};
        fathom__trainer_decode_pairs(trainer, &what);
    }
    double left = 0;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        left += trainer->workers[w].sum_errors;
    active->n_features = trainer->n_dead;
    fathom__active_sort(active, trainer);
    const double coefficient = options->auxiliary_coefficient *
                               (trainer->n_dead < options->k_aux ? (double)trainer->n_dead / options->k_aux : 1.0);
    *loss = coefficient * left / spread;
    *factor = coefficient * 2 / spread;
    return 0;
}
