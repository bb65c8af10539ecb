/* The auxiliary loss by sums of rows.
 *
 * One dense product finds the dead features' pre-activations; all else is done for the k_aux that a row is given, not for
 * all dead features. The batch is gone through in sections of as many blocks of 256 rows as there are workers:
 *
 *   each worker for its block     the strongest dead features of each row, the row's error with what they make of it, and
 *                                 the slopes; how many rows of the block each feature has
 *   each worker for its block     the section's pairs, sorted by feature
 *   each worker for its features  what the section adds to their gradients
 *
 * so that neither pairs nor errors of a whole batch are held. The gradients are: where the packed encoder was there is room
 * for most of them. Values, slopes, errors and decoder rows are rounded to bf16, and summed in f32.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/row_sums.h>
#include <dictionary/trainer_internal.h>

enum { ROWS = FATHOM__TILE_ROWS, CHUNK = FATHOM__DEAD_CHUNK };

/* A value and its slope, in the place where the value was. */
struct pair {
    uint16_t value, slope;
};

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

int fathom__auxiliary_rows_open(fathom_trainer *trainer, size_t capacity) {
    const size_t rows = section_rows(trainer), pairs = rows * trainer->options.k_aux;
    struct fathom__section_pairs *section = &trainer->section;
    int status = fathom__alloc_aligned(&trainer->dead_rows, capacity * trainer->stride, sizeof *trainer->dead_rows);
    if (!status)
        status =
            fathom__alloc_aligned(&trainer->auxiliary_error, rows * trainer->stride, sizeof *trainer->auxiliary_error);
    if (!status) status = fathom__alloc(&trainer->dead_slopes, capacity, sizeof *trainer->dead_slopes);
    if (!status) status = fathom__alloc(&trainer->dead_pairs, capacity, sizeof *trainer->dead_pairs);
    if (!status) status = fathom__alloc(&section->row, pairs, sizeof *section->row);
    if (!status) status = fathom__alloc(&section->value, pairs, sizeof *section->value);
    if (!status) status = fathom__alloc(&section->slope, pairs, sizeof *section->slope);
    if (!status) status = fathom__alloc(&section->bucket, capacity + 1, sizeof *section->bucket);
    if (!status) status = fathom__alloc(&section->next, trainer->n_workers * capacity, sizeof *section->next);
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++) {
        struct fathom__worker *worker = &trainer->workers[w];
        status = fathom__alloc(&worker->rounded, trainer->options.k_aux, sizeof *worker->rounded);
        if (!status) status = fathom__alloc(&worker->slopes, trainer->options.k_aux, sizeof *worker->slopes);
    }
    if (!status) status = open_gradients(trainer, capacity / CHUNK);
    return status;
}

void fathom__auxiliary_rows_close(fathom_trainer *trainer) {
    struct fathom__section_pairs *section = &trainer->section;
    for (uint32_t w = 0; trainer->workers && w < trainer->n_workers; w++) {
        fathom_free(trainer->workers[w].rounded);
        fathom_free(trainer->workers[w].slopes);
        trainer->workers[w].rounded = NULL;
        trainer->workers[w].slopes = NULL;
    }
    for (size_t chunk = trainer->n_lent; trainer->dead_gradient && chunk < trainer->dead_capacity / CHUNK; chunk++)
        fathom_free(trainer->dead_gradient[chunk]);
    fathom_free(trainer->dead_gradient);
    fathom_free(trainer->dead_slopes);
    fathom_free(trainer->dead_pairs);
    fathom_free(trainer->dead_rows);
    fathom_free(section->row);
    fathom_free(section->value);
    fathom_free(section->slope);
    fathom_free(section->bucket);
    fathom_free(section->next);
    *section = (struct fathom__section_pairs){0};
    trainer->dead_gradient = NULL;
    trainer->dead_slopes = NULL;
    trainer->dead_pairs = NULL;
    trainer->dead_rows = NULL;
}

void fathom__auxiliary_rows_begin(fathom_trainer *trainer, size_t first, size_t last) {
    const size_t stride = trainer->stride;
    for (size_t slot = first; slot < last; slot++) {
        float *gradient = fathom__dead_gradient(trainer, slot);
        fathom__row_to_bf16(trainer->dead_rows + slot * stride,
                            trainer->decoder.value + (size_t)trainer->dead[slot] * stride, stride);
        memset(gradient, 0, stride * sizeof *gradient);
        memset(gradient + CHUNK * stride, 0, stride * sizeof *gradient);
        trainer->dead_slopes[slot] = 0;
        trainer->dead_pairs[slot] = 0;
    }
}

/* What workers go through together. */
struct section {
    fathom_trainer *trainer;
    size_t first, last; /* rows of the batch */
    uint32_t k;
};

/* A worker's rows of the section; none: *first is *last. */
static void own_rows(size_t *first, size_t *last, const struct section *section, uint32_t worker) {
    *first = section->first + (size_t)worker * ROWS;
    if (*first > section->last) *first = section->last;
    *last = section->last - *first < ROWS ? section->last : *first + ROWS;
}

static uint32_t *own_counts(const fathom_trainer *trainer, uint32_t worker) {
    return trainer->section.next + worker * trainer->dead_capacity;
}

/* A row's error: what the main features left and the dead ones' reconstruction added; and its slopes. */
static void explain_row(fathom_trainer *trainer, struct fathom__worker *own, struct fathom__candidates *candidates,
                        size_t row, size_t place) {
    const size_t stride = trainer->stride;
    const struct fathom__some_rows rows = {trainer->dead_rows, stride, candidates->features, candidates->n};
    uint16_t *rounded = trainer->auxiliary_error + place * stride;
    float *error = own->error_row, *slopes = own->slopes;
    for (size_t i = 0; i < candidates->n; i++)
        own->rounded[i] = fathom__bf16(candidates->values[i]);
    fathom__row_from_bf16(error, trainer->error + row * stride, stride);
    fathom__add_rows(error, own->rounded, &rows);
    own->sum_errors += fathom__dot(error, error, stride);
    fathom__row_to_bf16(rounded, error, stride);
    fathom__dot_rows(slopes, rounded, &rows);
    for (size_t i = 0; i < candidates->n; i++) {
        const struct pair pair = {own->rounded[i], fathom__bf16(slopes[i])};
        memcpy(candidates->values + i, &pair, sizeof pair);
    }
}

static void explain_block(uint32_t worker, uint32_t n_workers, void *payload) {
    (void)n_workers;
    const struct section *section = payload;
    fathom_trainer *trainer = section->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    uint32_t *count = own_counts(trainer, worker);
    const struct fathom__choice choice = {NULL,      &trainer->dead_encoder, 1, trainer->dead_bias, trainer->n_dead,
                                          section->k};
    size_t first, last;
    own_rows(&first, &last, section, worker);
    memset(count, 0, trainer->n_dead * sizeof *count);
    if (first == last) return;
    int status = fathom__trainer_choose_block(&choice, trainer, worker, first, last - first);
    if (status) {
        fathom__worker_fail(own, status);
        return;
    }
    for (size_t r = first; r < last; r++) {
        struct fathom__candidates *candidates = &own->candidates[r - first];
        explain_row(trainer, own, candidates, r, r - section->first);
        for (size_t i = 0; i < candidates->n; i++)
            count[candidates->features[i]]++;
    }
}

/* Each worker's count of a feature becomes the place of its first pair: rows are then ascending within a feature. */
static void find_places(fathom_trainer *trainer) {
    uint32_t total = 0;
    for (size_t slot = 0; slot < trainer->n_dead; slot++) {
        trainer->section.bucket[slot] = total;
        for (uint32_t w = 0; w < trainer->n_workers; w++) {
            uint32_t *next = own_counts(trainer, w) + slot;
            const uint32_t count = *next;
            *next = total;
            total += count;
        }
    }
    trainer->section.bucket[trainer->n_dead] = total;
}

static void place_pairs(uint32_t worker, uint32_t n_workers, void *payload) {
    (void)n_workers;
    const struct section *section = payload;
    fathom_trainer *trainer = section->trainer;
    const struct fathom__section_pairs *pairs = &trainer->section;
    uint32_t *next = own_counts(trainer, worker);
    size_t first, last;
    own_rows(&first, &last, section, worker);
    for (size_t r = first; r < last; r++) {
        const struct fathom__candidates *candidates = &trainer->workers[worker].candidates[r - first];
        for (size_t i = 0; i < candidates->n; i++) {
            const uint32_t to = next[candidates->features[i]]++;
            struct pair pair;
            memcpy(&pair, candidates->values + i, sizeof pair);
            pairs->row[to] = (uint32_t)(r - section->first);
            pairs->value[to] = pair.value;
            pairs->slope[to] = pair.slope;
        }
    }
}

static void add_decoder_gradient(const struct section *section, size_t slot) {
    const fathom_trainer *trainer = section->trainer;
    const struct fathom__section_pairs *pairs = &trainer->section;
    const uint32_t first = pairs->bucket[slot], n = pairs->bucket[slot + 1] - first;
    const struct fathom__some_rows errors = {trainer->auxiliary_error, trainer->stride, pairs->row + first, n};
    fathom__add_rows(fathom__dead_gradient(trainer, slot), pairs->value + first, &errors);
    trainer->dead_pairs[slot] += n;
}

static void add_encoder_gradient(const struct section *section, size_t slot) {
    const fathom_trainer *trainer = section->trainer;
    const struct fathom__section_pairs *pairs = &trainer->section;
    const uint32_t first = pairs->bucket[slot], n = pairs->bucket[slot + 1] - first;
    const struct fathom__some_rows inputs = {fathom__layer_inputs(trainer, 0, section->first), trainer->stride,
                                             pairs->row + first, n};
    float slopes = 0;
    fathom__add_rows(fathom__dead_gradient(trainer, slot) + CHUNK * trainer->stride, pairs->slope + first, &inputs);
    for (uint32_t i = first; i < first + n; i++)
        slopes += fathom__from_bf16(pairs->slope[i]);
    trainer->dead_slopes[slot] += slopes;
}

/* Each worker adds for as many pairs as the others: first from the errors, then from the inputs, since both together are
 * more than the core's own cache. */
static void add_gradients(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct section *section = payload;
    const uint32_t *bucket = section->trainer->section.bucket;
    const size_t n_dead = section->trainer->n_dead;
    size_t first = 0, last;
    while (first < n_dead && bucket[first] * (uint64_t)n_workers < bucket[n_dead] * (uint64_t)worker)
        first++;
    for (last = first; last < n_dead && bucket[last] * (uint64_t)n_workers < bucket[n_dead] * (uint64_t)(worker + 1);)
        last++;
    for (size_t slot = first; slot < last; slot++)
        add_decoder_gradient(section, slot);
    for (size_t slot = first; slot < last; slot++)
        add_encoder_gradient(section, slot);
}

int fathom__auxiliary_rows(fathom_trainer *trainer, uint32_t k) {
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        trainer->workers[w].sum_errors = 0;
    for (size_t first = 0; first < trainer->n; first += section_rows(trainer)) {
        const size_t left = trainer->n - first, rows = section_rows(trainer);
        struct section section = {trainer, first, first + (left < rows ? left : rows), k};
        int status = fathom__trainer_run(trainer, explain_block, &section);
        if (status) return status;
        find_places(trainer);
        fathom__team_run(trainer->team, place_pairs, &section);
        fathom__team_run(trainer->team, add_gradients, &section);
    }
    return 0;
}
