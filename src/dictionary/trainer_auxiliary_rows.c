/* The auxiliary loss by sums of rows.
 *
 * One dense product finds the dead features' pre-activations; all else is done for the k_aux that a row is given, not for
 * all dead features. The batch is gone through in sections of as many blocks of 128 or 256 rows as there are workers:
 *
 *   each worker for its block     the strongest dead features of each row, the row's error with what they make of it, and
 *                                 the slopes; how many rows of the block each feature has
 *   each worker for its block     the section's pairs, sorted by feature
 *   each worker for its features  what the section adds to their gradients
 *
 * so that the pairs of a whole batch are not held. The gradients are, in memory that is lent (trainer_auxiliary_memory.c).
 * Values, slopes, errors and decoder rows are rounded to bf16, and summed in f32.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/row_sums.h>
#include <dictionary/trainer_internal.h>

enum { CHUNK = FATHOM__DEAD_CHUNK };

/* A value and its slope, in the place where the value was. */
struct pair {
    uint16_t value, slope;
};

static size_t section_rows(const fathom_trainer *trainer) {
    return trainer->block_rows * trainer->n_workers;
}

int fathom__auxiliary_gradients_open(fathom_trainer *trainer, size_t capacity) {
    const size_t n_chunks = capacity / CHUNK;
    int status = fathom__alloc(&trainer->dead_gradient, n_chunks, sizeof *trainer->dead_gradient);
    for (size_t chunk = 0; chunk < n_chunks && !status; chunk++)
        status = fathom__take(&trainer->dead_gradient[chunk], trainer, 2 * CHUNK * trainer->stride, sizeof(float));
    return status;
}

static int open_section(fathom_trainer *trainer) {
    const size_t rows = section_rows(trainer), pairs = rows * trainer->options.k_aux, count = rows * trainer->stride;
    struct fathom__section_pairs *section = &trainer->section;
    int status = 0;
    if (trainer->dead_last)
        status = fathom__take(&trainer->section_inputs, trainer, count, sizeof *trainer->section_inputs);
    else
        status = fathom__take(&trainer->auxiliary_error, trainer, count, sizeof *trainer->auxiliary_error);
    if (!status) status = fathom__take(&section->row, trainer, pairs, sizeof *section->row);
    if (!status) status = fathom__take(&section->value, trainer, pairs, sizeof *section->value);
    if (!status) status = fathom__take(&section->slope, trainer, pairs, sizeof *section->slope);
    return status;
}

static int open_counts(fathom_trainer *trainer, size_t capacity) {
    struct fathom__section_pairs *section = &trainer->section;
    int status = fathom__take(&section->bucket, trainer, capacity + 1, sizeof *section->bucket);
    if (!status) status = fathom__take(&section->next, trainer, trainer->n_workers * capacity, sizeof *section->next);
    return status;
}

/* In what is left to lend, else where the others' are; those must be found anew in every step. */
static int open_candidates(fathom_trainer *trainer) {
    const size_t room = trainer->block_rows * fathom__candidate_room(trainer->options.k_aux);
    int status = 0;
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++) {
        struct fathom__worker *worker = &trainer->workers[w];
        fathom__worker_clear(worker);
        if (trainer->dead_last) worker->dead_values = fathom__lend(trainer, room * sizeof *worker->dead_values);
        if (trainer->dead_last) worker->dead_features = fathom__lend(trainer, room * sizeof *worker->dead_features);
        status = fathom__worker_room(worker, worker->dead_values ? 0 : room, worker->dead_features ? 0 : room);
    }
    return status;
}

int fathom__auxiliary_sums_open(fathom_trainer *trainer, size_t capacity) {
    int status = fathom__take(&trainer->dead_slopes, trainer, capacity, sizeof *trainer->dead_slopes);
    if (!status) status = fathom__take(&trainer->dead_pairs, trainer, capacity, sizeof *trainer->dead_pairs);
    if (!status) status = fathom__take(&trainer->dead_values, trainer, capacity, sizeof *trainer->dead_values);
    if (!status && trainer->prefix_error)
        status = fathom__take(&trainer->dead_sum, trainer, capacity, sizeof *trainer->dead_sum);
    return status;
}

int fathom__auxiliary_rows_open(fathom_trainer *trainer, size_t capacity) {
    const size_t k = trainer->options.k_aux;
    fathom__loans_add_pairs(trainer);
    int status = fathom__take(&trainer->dead_rows, trainer, capacity * trainer->stride, sizeof *trainer->dead_rows);
    if (!status) status = open_section(trainer);
    if (!status) status = open_candidates(trainer);
    if (!status) status = open_counts(trainer, capacity);
    if (!status)
        status =
            fathom__take(&trainer->dead_bias, trainer, capacity + FATHOM__TILE_FEATURES, sizeof *trainer->dead_bias);
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++) {
        struct fathom__worker *worker = &trainer->workers[w];
        status = fathom__take(&worker->rounded, trainer, k, sizeof *worker->rounded);
        if (!status) status = fathom__take(&worker->slopes, trainer, k, sizeof *worker->slopes);
    }
    return status;
}

void fathom__auxiliary_rows_close(fathom_trainer *trainer) {
    for (uint32_t w = 0; trainer->workers && w < trainer->n_workers; w++) {
        trainer->workers[w].rounded = NULL;
        trainer->workers[w].slopes = NULL;
        trainer->workers[w].dead_values = NULL;
        trainer->workers[w].dead_features = NULL;
    }
    fathom_free(trainer->dead_gradient);
    trainer->section = (struct fathom__section_pairs){0};
    trainer->dead_gradient = NULL;
    trainer->dead_slopes = NULL;
    trainer->dead_pairs = NULL;
    trainer->dead_values = NULL;
    trainer->dead_sum = NULL;
    trainer->dead_rows = NULL;
    trainer->section_inputs = NULL;
}

void fathom__auxiliary_rows_begin(fathom_trainer *trainer, size_t first, size_t last) {
    const size_t stride = trainer->stride;
    for (size_t slot = first; slot < last; slot++)
        fathom__row_to_bf16(trainer->dead_rows + slot * stride,
                            trainer->decoder.value + (size_t)trainer->dead[slot] * stride, stride);
}

/* The gradients of a feature's main pairs, times `part`, when the loaded inputs are lost. */
static void add_main_pairs(fathom_trainer *trainer, struct fathom__worker *own, size_t slot, float part) {
    const struct fathom__active *active = &trainer->main;
    const uint32_t f = trainer->dead[slot];
    const size_t stride = trainer->stride;
    const uint16_t *errors = fathom__trainer_errors(trainer, f),
                   *sum = trainer->prefix_error ? fathom__nested_dead_sum(trainer, slot) : NULL;
    float *decoder = fathom__dead_gradient(trainer, slot), *encoder = decoder + CHUNK * stride;
    uint16_t *input = (uint16_t *)(void *)own->gradients;
    if (sum) fathom__add_scaled_bf16(decoder, part, sum, stride);
    for (uint32_t i = active->bucket[f]; i < active->bucket[f + 1]; i++) {
        const size_t row = active->sorted_row[i];
        const float slope = part * active->sorted_slope[i];
        if (i + 1 < active->bucket[f + 1])
            fathom__prefetch_row(trainer->given + active->sorted_row[i + 1] * trainer->row_width,
                                 trainer->options.d_in * sizeof *trainer->given);
        fathom__trainer_make_input(input, trainer, own, row);
        if (!sum) fathom__add_scaled_bf16(decoder, part * active->sorted_value[i], errors + row * stride, stride);
        fathom__add_scaled_bf16(encoder, slope, input, stride);
        trainer->dead_slopes[slot] += slope;
    }
}

struct clearing {
    fathom_trainer *trainer;
    float part; /* the main gradients' factor over the auxiliary ones' */
    bool lost;  /* those gradients that take the loaded inputs' place, which is the last that is made of these */
};

static bool lies_in_inputs(const fathom_trainer *trainer, const float *gradient) {
    const uintptr_t inputs = (uintptr_t)trainer->x_bf16, at = (uintptr_t)gradient;
    return at >= inputs && at < inputs + trainer->x_rows * trainer->stride * sizeof *trainer->x_bf16;
}

static void clear_gradients(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct clearing *clearing = payload;
    fathom_trainer *trainer = clearing->trainer;
    const size_t stride = trainer->stride;
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n_dead, 1, worker, n_workers);
    for (size_t slot = first; slot < last; slot++) {
        struct fathom__gradient gradient = {.decoder = fathom__dead_gradient(trainer, slot),
                                            .feature = trainer->dead[slot]};
        if (lies_in_inputs(trainer, gradient.decoder) != clearing->lost) continue;
        gradient.encoder = gradient.decoder + CHUNK * stride;
        memset(gradient.decoder, 0, stride * sizeof *gradient.decoder);
        memset(gradient.encoder, 0, stride * sizeof *gradient.encoder);
        trainer->dead_slopes[slot] = 0;
        trainer->dead_pairs[slot] = 0;
        if (!trainer->dead_last) continue;
        trainer->dead_values[slot] = fathom__trainer_sum_values(trainer, &gradient);
        if (clearing->lost || trainer->prefix_error) {
            add_main_pairs(trainer, &trainer->workers[worker], slot, clearing->part);
        } else {
            fathom__trainer_add_main(&gradient, trainer, &trainer->workers[worker], clearing->part);
            trainer->dead_slopes[slot] = gradient.input;
        }
    }
}

void fathom__auxiliary_rows_clear(fathom_trainer *trainer, const struct fathom__update *update) {
    struct clearing clearing = {trainer, (float)(update->factor / update->auxiliary_factor), false};
    fathom__team_run(trainer->team, clear_gradients, &clearing);
    clearing.lost = true;
    fathom__team_run(trainer->team, clear_gradients, &clearing);
}

/* What workers go through together. */
struct section {
    fathom_trainer *trainer;
    size_t first, last; /* rows of the batch */
    uint32_t k;
};

/* A worker's rows of the section; none: *first is *last. */
static void own_rows(size_t *first, size_t *last, const struct section *section, uint32_t worker) {
    const size_t rows = section->trainer->block_rows;
    *first = section->first + worker * rows;
    if (*first > section->last) *first = section->last;
    *last = section->last - *first < rows ? section->last : *first + rows;
}

static uint32_t *own_counts(const fathom_trainer *trainer, uint32_t worker) {
    return trainer->section.next + worker * trainer->dead_capacity;
}

/* Of the section's rows: their inputs; their auxiliary errors. */
static uint16_t *section_inputs(const struct section *section) {
    const fathom_trainer *trainer = section->trainer;
    return trainer->dead_last ? trainer->section_inputs : trainer->x_bf16 + section->first * trainer->stride;
}
static uint16_t *section_errors(const struct section *section) {
    const fathom_trainer *trainer = section->trainer;
    return trainer->dead_last ? trainer->error + section->first * trainer->stride : trainer->auxiliary_error;
}

/* The rows that the product reads. */
static void make_inputs(const struct section *section, struct fathom__worker *own, size_t first, size_t last) {
    const fathom_trainer *trainer = section->trainer;
    const size_t stride = trainer->stride;
    uint16_t *inputs = section_inputs(section) + (first - section->first) * stride;
    if (!trainer->dead_last) return;
    for (size_t r = first; r < last; r++)
        fathom__trainer_make_input(inputs + (r - first) * stride, trainer, own, r);
    memset(inputs + (last - first) * stride, 0, (trainer->block_rows - (last - first)) * stride * sizeof *inputs);
}

/* A row's error: what the main features left and the dead ones' reconstruction added; and its slopes. */
static void explain_row(const struct section *section, struct fathom__worker *own,
                        struct fathom__candidates *candidates, size_t row) {
    const fathom_trainer *trainer = section->trainer;
    const size_t stride = trainer->stride;
    const struct fathom__some_rows rows = {trainer->dead_rows, stride, candidates->features, candidates->n};
    uint16_t *rounded = section_errors(section) + (row - section->first) * stride;
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
    size_t first, last;
    own_rows(&first, &last, section, worker);
    const struct fathom__choice choice = {NULL,
                                          &trainer->dead_encoder,
                                          1,
                                          trainer->dead_bias,
                                          trainer->n_dead,
                                          section->k,
                                          section_inputs(section) + (first - section->first) * trainer->stride};
    memset(count, 0, trainer->n_dead * sizeof *count);
    if (first == last) return;
    make_inputs(section, own, first, last);
    int status = fathom__trainer_choose_block(&choice, trainer, worker, first, last - first);
    if (status) {
        fathom__worker_fail(own, status);
        return;
    }
    for (size_t r = first; r < last; r++) {
        struct fathom__candidates *candidates = &own->candidates[r - first];
        explain_row(section, own, candidates, r);
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
    const struct fathom__some_rows errors = {section_errors(section), trainer->stride, pairs->row + first, n};
    fathom__add_rows(fathom__dead_gradient(trainer, slot), pairs->value + first, &errors);
    trainer->dead_pairs[slot] += n;
}

static void add_encoder_gradient(const struct section *section, size_t slot) {
    const fathom_trainer *trainer = section->trainer;
    const struct fathom__section_pairs *pairs = &trainer->section;
    const uint32_t first = pairs->bucket[slot], n = pairs->bucket[slot + 1] - first;
    const struct fathom__some_rows inputs = {section_inputs(section), trainer->stride, pairs->row + first, n};
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
