/* The auxiliary loss by dense products.
 *
 * k_aux of the dead features are active in each row, a share so large that dense products in bf16 are several times
 * faster than sparse rows. The batch is gone through in sections, of as many blocks of 256 rows as there are workers:
 *
 *   each worker for its block   the strongest dead features, the errors with what they make of them, the slopes
 *   each worker for its chunks  the section's part of 256 dead features' gradients, for which the pairs are written out
 *                               as a small dense matrix, 256 features by 256 rows
 *
 * so that neither pairs nor errors of a whole batch are held, nor any matrix of rows by dead features. The gradients are
 * held; where the packed encoder was there is room for most of them.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

enum { ROWS = FATHOM__TILE_ROWS, CHUNK = FATHOM__TILE_FEATURES };

static size_t section_rows(const fathom_trainer *trainer) {
    return (size_t)ROWS * trainer->n_workers;
}

static int open_gradients(fathom_trainer *trainer, size_t n_chunks) {
    const size_t count = 2 * CHUNK * trainer->stride;
    size_t bytes, used = trainer->options.batch * trainer->stride * sizeof *trainer->error; /* by the errors */
    unsigned char *storage = fathom__dense_storage(&bytes, trainer->products[0]);
    used = (used + FATHOM__CACHE_LINE - 1) / FATHOM__CACHE_LINE * FATHOM__CACHE_LINE;
    trainer->n_lent = trainer->errors_lent && bytes > used ? (bytes - used) / (count * sizeof(float)) : 0;
    if (trainer->n_lent > n_chunks) trainer->n_lent = n_chunks;
    int status = fathom__alloc(&trainer->dead_gradient, n_chunks, sizeof *trainer->dead_gradient);
    for (size_t chunk = 0; chunk < n_chunks && !status; chunk++)
        if (chunk < trainer->n_lent)
            trainer->dead_gradient[chunk] = (float *)(void *)(storage + used) + chunk * count;
        else
            status = fathom__alloc_aligned(&trainer->dead_gradient[chunk], count, sizeof(float));
    return status;
}

int fathom__dense_auxiliary_open(fathom_trainer *trainer, size_t capacity) {
    const size_t stride = trainer->stride, rows = section_rows(trainer);
    int status = fathom__dense_open(&trainer->dead_decoder, FATHOM__PRODUCT_BEST, stride, capacity, trainer->n_workers);
    if (!status) status = fathom__alloc_aligned(&trainer->dead_rows, capacity * stride, sizeof *trainer->dead_rows);
    if (!status) status = fathom__alloc(&trainer->auxiliary_error, rows * stride, sizeof *trainer->auxiliary_error);
    if (!status)
        status = fathom__active_open(&trainer->auxiliary, rows, rows * trainer->options.k_aux, 0, trainer->n_workers);
    if (!status) status = fathom__alloc(&trainer->dead_slopes, capacity, sizeof *trainer->dead_slopes);
    if (!status) status = fathom__alloc(&trainer->dead_pairs, capacity, sizeof *trainer->dead_pairs);
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++) {
        struct fathom__worker *worker = &trainer->workers[w];
        status = fathom__alloc_aligned(&worker->block, ROWS * stride, sizeof *worker->block);
        if (!status) status = fathom__alloc_aligned(&worker->mix, 2 * (size_t)ROWS * CHUNK, sizeof *worker->mix);
        if (!status) status = fathom__alloc(&worker->cursor, ROWS, sizeof *worker->cursor);
    }
    if (!status) status = open_gradients(trainer, capacity / CHUNK);
    return status;
}

static void close_worker(struct fathom__worker *worker) {
    fathom_free(worker->block);
    fathom_free(worker->mix);
    fathom_free(worker->cursor);
    worker->block = NULL;
    worker->mix = NULL;
    worker->cursor = NULL;
}

void fathom__dense_auxiliary_close(fathom_trainer *trainer) {
    for (uint32_t w = 0; trainer->workers && w < trainer->n_workers; w++)
        close_worker(&trainer->workers[w]);
    for (size_t chunk = trainer->n_lent; trainer->dead_gradient && chunk < trainer->dead_capacity / CHUNK; chunk++)
        fathom_free(trainer->dead_gradient[chunk]);
    fathom_free(trainer->dead_gradient);
    fathom_free(trainer->dead_slopes);
    fathom_free(trainer->dead_pairs);
    fathom_free(trainer->dead_rows);
    fathom__dense_close(trainer->dead_decoder);
    trainer->dead_gradient = NULL;
    trainer->dead_slopes = NULL;
    trainer->dead_pairs = NULL;
    trainer->dead_rows = NULL;
    trainer->dead_decoder = NULL;
}

int fathom__dense_auxiliary_pack(fathom_trainer *trainer, uint32_t worker, size_t chunk) {
    const size_t stride = trainer->stride, first = chunk * CHUNK, n = fathom__tile_width(trainer->n_dead, chunk);
    const float *rows[CHUNK];
    uint16_t *decoder = trainer->dead_rows + first * stride;
    for (size_t i = 0; i < n; i++) {
        rows[i] = trainer->decoder.value + (size_t)trainer->dead[first + i] * stride;
        fathom__row_to_bf16(decoder + i * stride, rows[i], stride);
    }
    memset(decoder + n * stride, 0, (CHUNK - n) * stride * sizeof *decoder);
    memset(trainer->dead_gradient[chunk], 0, 2 * CHUNK * stride * sizeof(float));
    memset(trainer->dead_slopes + first, 0, CHUNK * sizeof *trainer->dead_slopes);
    memset(trainer->dead_pairs + first, 0, CHUNK * sizeof *trainer->dead_pairs);
    return fathom__dense_pack(trainer->dead_decoder, worker, chunk, rows, n);
}

static size_t n_chunks(const fathom_trainer *trainer) {
    return (trainer->n_dead + CHUNK - 1) / CHUNK;
}

/* What workers go through together. */
struct section {
    fathom_trainer *trainer;
    size_t first, last; /* rows of the batch */
    uint32_t k;
};

/* Writes one block's pairs of a chunk out as a dense matrix, rows by features; the cursors move past them. `row` is the
 * section's. Pairs of a row are by ascending slot. */
static void fill_mix(struct fathom__worker *own, const struct fathom__active *active, size_t row, size_t n,
                     size_t chunk) {
    memset(own->mix, 0, (size_t)ROWS * CHUNK * sizeof *own->mix);
    const uint32_t first = (uint32_t)(chunk * CHUNK), last = first + CHUNK;
    for (size_t r = 0; r < n; r++) {
        const uint32_t start = active->start[row + r], count = active->count[row + r];
        uint32_t i = own->cursor[r];
        for (; i < count && active->feature[start + i] < last; i++)
            own->mix[r * CHUNK + active->feature[start + i] - first] = fathom__bf16(active->value[start + i]);
        own->cursor[r] = i;
    }
}

/* The errors of a block: what the main features left, and the dead features' reconstruction added. */
static int decode_block(const struct section *section, uint32_t worker, size_t block, size_t n) {
    fathom_trainer *trainer = section->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    const size_t stride = trainer->stride, row = block - section->first;
    int status = 0;
    fathom__row_from_bf16(own->block, trainer->error + block * stride, n * stride);
    memset(own->block + n * stride, 0, (ROWS - n) * stride * sizeof *own->block);
    memset(own->cursor, 0, ROWS * sizeof *own->cursor);
    for (size_t chunk = 0; chunk < n_chunks(trainer) && !status; chunk++) {
        fill_mix(own, &trainer->auxiliary, row, n, chunk);
        status = fathom__dense_add(own->block, trainer->dead_encoder, worker, own->mix,
                                   trainer->dead_rows + chunk * CHUNK * stride);
    }
    for (size_t r = 0; r < n; r++)
        own->sum_errors += fathom__dot(own->block + r * stride, own->block + r * stride, stride);
    fathom__row_to_bf16(trainer->auxiliary_error + row * stride, own->block, ROWS * stride);
    return status;
}

static int find_slopes(const struct section *section, uint32_t worker, size_t block, size_t n) {
    fathom_trainer *trainer = section->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    const struct fathom__active *active = &trainer->auxiliary;
    const size_t row = block - section->first;
    memset(own->cursor, 0, ROWS * sizeof *own->cursor);
    for (size_t chunk = 0; chunk < n_chunks(trainer); chunk++) {
        const uint32_t first = (uint32_t)(chunk * CHUNK), last = first + CHUNK;
        int status = fathom__dense_run(own->tile, trainer->dead_decoder, worker, chunk,
                                       trainer->auxiliary_error + row * trainer->stride, n);
        if (status) return status;
        for (size_t r = 0; r < n; r++) {
            const uint32_t start = active->start[row + r], count = active->count[row + r];
            uint32_t i = own->cursor[r];
            for (; i < count && active->feature[start + i] < last; i++)
                active->slope[start + i] = own->tile[r * CHUNK + active->feature[start + i] - first];
            own->cursor[r] = i;
        }
    }
    return 0;
}

static void explain_block(uint32_t worker, uint32_t n_workers, void *payload) {
    (void)n_workers;
    const struct section *section = payload;
    fathom_trainer *trainer = section->trainer;
    const struct fathom__choice choice = {&trainer->auxiliary, &trainer->dead_encoder, 1,
                                          trainer->dead_bias,  trainer->n_dead,        section->k,
                                          section->first};
    const size_t block = section->first + (size_t)worker * ROWS;
    if (block >= section->last) return;
    const size_t n = section->last - block < ROWS ? section->last - block : ROWS;
    int status = fathom__trainer_choose_rows(&choice, trainer, worker, block, block + n);
    if (!status) status = decode_block(section, worker, block, n);
    if (!status) status = find_slopes(section, worker, block, n);
    if (status) fathom__worker_fail(&trainer->workers[worker], status);
}

/* The first of a row's pairs, `count` of them by ascending slot, that is not below. */
static uint32_t lower_bound(const uint32_t *slots, uint32_t count, uint32_t slot) {
    uint32_t low = 0;
    while (low < count) {
        const uint32_t middle = low + (count - low) / 2;
        if (slots[middle] < slot)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

/* A block's values and slopes of a chunk as two dense matrices, features by rows. */
static void fill_transposed(struct fathom__worker *own, const fathom_trainer *trainer, size_t row, size_t n,
                            size_t chunk) {
    const struct fathom__active *active = &trainer->auxiliary;
    const uint32_t first = (uint32_t)(chunk * CHUNK), last = first + CHUNK;
    uint16_t *values = own->mix, *slopes = own->mix + (size_t)ROWS * CHUNK;
    memset(own->mix, 0, 2 * (size_t)ROWS * CHUNK * sizeof *own->mix);
    for (size_t r = 0; r < n; r++) {
        const uint32_t start = active->start[row + r], end = start + active->count[row + r];
        for (uint32_t i = start + lower_bound(active->feature + start, end - start, first);
             i < end && active->feature[i] < last; i++) {
            const uint32_t slot = active->feature[i];
            values[(slot - first) * ROWS + r] = fathom__bf16(active->value[i]);
            slopes[(slot - first) * ROWS + r] = fathom__bf16(active->slope[i]);
            trainer->dead_slopes[slot] += active->slope[i];
            trainer->dead_pairs[slot]++;
        }
    }
}

static void add_gradients(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct section *section = payload;
    fathom_trainer *trainer = section->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    const size_t stride = trainer->stride;
    int status = 0;
    for (size_t chunk = worker; chunk < n_chunks(trainer) && !status; chunk += n_workers)
        for (size_t block = section->first; block < section->last && !status; block += ROWS) {
            const size_t row = block - section->first, left = section->last - block;
            float *gradient = trainer->dead_gradient[chunk];
            fill_transposed(own, trainer, row, left < ROWS ? left : ROWS, chunk);
            status = fathom__dense_add(gradient, trainer->dead_encoder, worker, own->mix,
                                       trainer->auxiliary_error + row * stride);
            if (!status)
                status = fathom__dense_add(gradient + CHUNK * stride, trainer->dead_encoder, worker,
                                           own->mix + (size_t)ROWS * CHUNK, trainer->x_bf16 + block * stride);
        }
    if (status) fathom__worker_fail(own, status);
}

int fathom__dense_auxiliary(fathom_trainer *trainer, uint32_t k) {
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        trainer->workers[w].sum_errors = 0;
    for (size_t first = 0; first < trainer->n; first += section_rows(trainer)) {
        const size_t left = trainer->n - first, rows = section_rows(trainer);
        struct section section = {trainer, first, first + (left < rows ? left : rows), k};
        int status = fathom__trainer_run(trainer, explain_block, &section);
        if (!status) status = fathom__trainer_run(trainer, add_gradients, &section);
        if (status) return status;
    }
    return 0;
}
