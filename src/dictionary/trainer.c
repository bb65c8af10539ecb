/* Opening, closing and preparing a trainer. */
#include <base/error.h>
#include <base/machine.h>
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <stdio.h>

#define DEFAULT_BATCH 4096
#define DEFAULT_RATE 2e-4 /* at REFERENCE_FEATURES; falls with the square root of the width */
#define REFERENCE_FEATURES 16384.0
#define DEFAULT_WARMUP 1000
#define WARMUP_PART 20 /* of total_steps, at most */
#define DEFAULT_DEAD_AFTER 10000000
#define DEAD_PART 8 /* of all rows, at most */
#define DEFAULT_AUXILIARY (1.0 / 32)
#define LARGEST_WIDTH (1U << 20)
#define LARGEST_FEATURES (1U << 26)
#define LARGEST_BATCH (1U << 20)
#define LARGEST_THREADS 1024U

static int check(const struct fathom_trainer_options *options) {
    if (options->architecture != FATHOM_TRAIN_TOPK && options->architecture != FATHOM_TRAIN_BATCHTOPK)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: architecture %d; topk or batchtopk is expected",
                            (int)options->architecture);
    if (options->d_in < 1 || options->d_in > LARGEST_WIDTH)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: d_in %u; 1 to %u is expected", options->d_in,
                            LARGEST_WIDTH);
    if (options->n_features < 1 || options->n_features > LARGEST_FEATURES)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: n_features %u; 1 to %u is expected", options->n_features,
                            LARGEST_FEATURES);
    if (options->k < 1 || options->k > options->n_features)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: k %u; 1 to n_features (%u) is expected", options->k,
                            options->n_features);
    if (options->batch > LARGEST_BATCH)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: batch %u; at most %u is expected", options->batch,
                            LARGEST_BATCH);
    if (options->n_threads > LARGEST_THREADS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: n_threads %u; at most %u is expected", options->n_threads,
                            LARGEST_THREADS);
    if (!(options->learning_rate >= 0) || !isfinite(options->learning_rate))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: learning_rate %g; a number of 0 or more is expected",
                            options->learning_rate);
    if (!(options->gradient_clip >= 0))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: gradient_clip %g; a number of 0 or more is expected",
                            options->gradient_clip);
    if (isnan(options->auxiliary_coefficient))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: auxiliary_coefficient is not a number");
    return 0;
}

static void fill_defaults(struct fathom_trainer_options *options) {
    if (!options->batch) options->batch = DEFAULT_BATCH;
    if (!options->n_threads) options->n_threads = fathom__cores();
    if (options->learning_rate == 0)
        options->learning_rate = DEFAULT_RATE / sqrt(options->n_features / REFERENCE_FEATURES);
    if (!options->warmup_steps) {
        const uint64_t part = options->total_steps / WARMUP_PART;
        options->warmup_steps = options->total_steps && part < DEFAULT_WARMUP ? (uint32_t)part : DEFAULT_WARMUP;
    }
    if (!options->k_aux)
        for (options->k_aux = 1; options->k_aux * 2 <= options->d_in / 2; options->k_aux *= 2) {
        }
    if (options->k_aux > options->n_features) options->k_aux = options->n_features;
    if (options->auxiliary_coefficient == 0) options->auxiliary_coefficient = DEFAULT_AUXILIARY;
    if (!options->dead_after) {
        const uint64_t part = options->total_steps * options->batch / DEAD_PART;
        options->dead_after = part && part < DEFAULT_DEAD_AFTER ? part : DEFAULT_DEAD_AFTER;
    }
}

static int open_parameter(struct fathom__parameter *parameter, size_t n) {
    int status = fathom__alloc_aligned(&parameter->value, n, sizeof(float));
    if (!status) status = fathom__alloc_aligned(&parameter->first, n, sizeof(float));
    if (!status) status = fathom__alloc_aligned(&parameter->second, n, sizeof(float));
    if (status) return status;
    memset(parameter->value, 0, n * sizeof(float));
    memset(parameter->first, 0, n * sizeof(float));
    memset(parameter->second, 0, n * sizeof(float));
    return 0;
}

static void close_parameter(struct fathom__parameter *parameter) {
    fathom_free(parameter->value);
    fathom_free(parameter->first);
    fathom_free(parameter->second);
}

static int open_worker(struct fathom__worker *worker, const fathom_trainer *trainer) {
    int status = fathom__alloc_aligned(&worker->tile, FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES, sizeof *worker->tile);
    if (!status) status = fathom__alloc(&worker->values, FATHOM__TILE_ROWS * trainer->room, sizeof *worker->values);
    if (!status) status = fathom__alloc(&worker->features, FATHOM__TILE_ROWS * trainer->room, sizeof *worker->features);
    if (!status) status = fathom__alloc(&worker->candidates, FATHOM__TILE_ROWS, sizeof *worker->candidates);
    if (!status)
        status = fathom__alloc_aligned(&worker->gradients, fathom__trainer_update_scratch(trainer->stride),
                                       sizeof *worker->gradients);
    if (!status) status = fathom__alloc_aligned(&worker->bias_gradient, trainer->stride, sizeof *worker->bias_gradient);
    if (!status) status = fathom__alloc(&worker->column, trainer->stride, sizeof *worker->column);
    if (!status) status = fathom__alloc(&worker->histogram, FATHOM__RADIX, sizeof *worker->histogram);
    return status;
}

static void close_worker(struct fathom__worker *worker) {
    fathom_free(worker->tile);
    fathom_free(worker->values);
    fathom_free(worker->features);
    fathom_free(worker->candidates);
    fathom_free(worker->gradients);
    fathom_free(worker->bias_gradient);
    fathom_free(worker->column);
    fathom_free(worker->histogram);
    fathom_free(worker->harvest);
    fathom_free(worker->harvest_feature);
    fathom_free(worker->harvest_row);
}

static int open_batch(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const size_t rows = options->batch, padded = rows + FATHOM__TILE_ROWS, F = options->n_features;
    int status = fathom__alloc_aligned(&trainer->x, rows * trainer->stride, sizeof *trainer->x);
    if (!status) status = fathom__alloc_aligned(&trainer->error, rows * trainer->stride, sizeof *trainer->error);
    if (!status) status = fathom__alloc_aligned(&trainer->x_bf16, padded * trainer->stride, sizeof *trainer->x_bf16);
    if (!status) memset(trainer->x_bf16, 0, padded * trainer->stride * sizeof *trainer->x_bf16);
    if (!status) status = fathom__alloc(&trainer->column, trainer->stride, sizeof *trainer->column);
    if (!status) status = fathom__alloc(&trainer->error_column, trainer->stride, sizeof *trainer->error_column);
    if (!status) status = fathom__active_open(&trainer->main, rows, rows * options->k, F, trainer->n_workers);
    return status;
}

static int open_arrays(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const size_t F = options->n_features, padded = F + FATHOM__TILE_FEATURES;
    int status = open_parameter(&trainer->encoder, F * trainer->stride);
    if (!status) status = open_parameter(&trainer->encoder_bias, padded);
    if (!status) status = open_parameter(&trainer->decoder, F * trainer->stride);
    if (!status) status = open_parameter(&trainer->decoder_bias, trainer->stride);
    if (!status) status = fathom__alloc(&trainer->touched, F, sizeof *trainer->touched);
    if (!status) status = fathom__alloc(&trainer->last_active, F, sizeof *trainer->last_active);
    if (!status) status = fathom__alloc(&trainer->dead, F, sizeof *trainer->dead);
    if (!status) status = fathom__alloc(&trainer->dead_slot, F, sizeof *trainer->dead_slot);
    if (!status)
        status = fathom__dense_open(&trainer->product, FATHOM__PRODUCT_BEST, trainer->stride, F, trainer->n_workers);
    return status;
}

/* Decoder rows in random directions, the encoder its transpose. */
static void initialise(fathom_trainer *trainer) {
    struct fathom__random random;
    fathom__random_seed(&random, trainer->options.seed);
    for (size_t f = 0; f < trainer->options.n_features; f++) {
        float *row = trainer->decoder.value + f * trainer->stride;
        for (size_t j = 0; j < trainer->options.d_in; j++)
            row[j] = (float)fathom__random_normal(&random);
        const float length = sqrtf(fathom__dot(row, row, trainer->stride));
        for (size_t j = 0; j < trainer->options.d_in; j++)
            row[j] /= length;
        memcpy(trainer->encoder.value + f * trainer->stride, row, trainer->stride * sizeof *row);
    }
}

/* The arrays that grow with the features and with the batch: values, two moments and the product's copy of each matrix,
 * and rows in four forms. */
static int check_memory(const struct fathom_trainer_options *options, size_t stride) {
    const double matrix = (double)options->n_features * (double)stride, rows = (double)options->batch * (double)stride;
    const double bytes =
        2 * matrix * (3 * sizeof(float) + sizeof(uint16_t)) + rows * (3 * sizeof(float) + sizeof(uint16_t));
    char what[96];
    snprintf(what, sizeof what, "trainer: %u features of width %u in batches of %u", options->n_features, options->d_in,
             options->batch);
    return fathom__machine_check(bytes, what);
}

int fathom_trainer_open(fathom_trainer **out, const struct fathom_trainer_options *options) {
    fathom_trainer *trainer = NULL;
    int status = check(options);
    if (!status) status = fathom__alloc(&trainer, 1, sizeof *trainer);
    if (status) return status;
    trainer->options = *options;
    fill_defaults(&trainer->options);
    options = &trainer->options;
    trainer->stride = fathom__padded(options->d_in);
    status = check_memory(options, trainer->stride);
    if (status) {
        fathom_free(trainer);
        return status;
    }
    trainer->threshold = trainer->floor = -1;
    trainer->input_scale = 1;
    trainer->room =
        fathom__candidate_room(options->k > options->k_aux ? options->k : options->k_aux, FATHOM__TILE_FEATURES);
    status = fathom__team_open(&trainer->team, options->n_threads);
    if (!status) trainer->n_workers = fathom__team_size(trainer->team);
    if (!status) status = fathom__alloc(&trainer->workers, trainer->n_workers, sizeof *trainer->workers);
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++)
        status = open_worker(&trainer->workers[w], trainer);
    if (!status) status = open_arrays(trainer);
    if (!status) status = open_batch(trainer);
    if (status) {
        fathom_trainer_close(trainer);
        return status;
    }
    initialise(trainer);
    *out = trainer;
    return 0;
}

void fathom_trainer_close(fathom_trainer *trainer) {
    if (!trainer) return;
    fathom__auxiliary_close(trainer);
    for (uint32_t w = 0; trainer->workers && w < trainer->n_workers; w++)
        close_worker(&trainer->workers[w]);
    fathom_free(trainer->workers);
    fathom__team_close(trainer->team);
    fathom__dense_close(trainer->product);
    close_parameter(&trainer->encoder);
    close_parameter(&trainer->encoder_bias);
    close_parameter(&trainer->decoder);
    close_parameter(&trainer->decoder_bias);
    fathom__active_close(&trainer->main);
    fathom_free(trainer->touched);
    fathom_free(trainer->last_active);
    fathom_free(trainer->dead);
    fathom_free(trainer->dead_slot);
    fathom_free(trainer->x);
    fathom_free(trainer->error);
    fathom_free(trainer->x_bf16);
    fathom_free(trainer->column);
    fathom_free(trainer->error_column);
    fathom_free(trainer);
}

const struct fathom_trainer_options *fathom_trainer_describe(const fathom_trainer *trainer) {
    return &trainer->options;
}

/* The point with the least sum of distances to the rows (Weiszfeld's iteration), which a few far rows do not move. */
static void geometric_median(double *out, double *next, const float *rows, size_t n, size_t d, double row_scale) {
    enum { ITERATIONS = 20 };
    const double nearest = 1e-6;
    for (int iteration = 0; iteration <= ITERATIONS; iteration++) {
        double weights = 0;
        memset(next, 0, d * sizeof *next);
        for (size_t r = 0; r < n; r++) {
            const float *row = rows + r * d;
            double distance = 0;
            if (iteration > 0) /* the first round takes the mean */
                for (size_t j = 0; j < d; j++)
                    distance += (row[j] * row_scale - out[j]) * (row[j] * row_scale - out[j]);
            const double weight = iteration > 0 ? 1 / fmax(sqrt(distance), nearest) : 1;
            weights += weight;
            for (size_t j = 0; j < d; j++)
                next[j] += weight * row_scale * row[j];
        }
        for (size_t j = 0; j < d; j++)
            out[j] = next[j] / weights;
    }
}

int fathom_trainer_prepare(fathom_trainer *trainer, const float *rows, size_t n) {
    enum { MOST_ROWS = 8192 };
    const size_t d = trainer->options.d_in;
    if (n == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: no rows to prepare with");
    if (trainer->prepared) return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: was prepared before");
    double *median = NULL, *next = NULL, norms = 0;
    for (size_t r = 0; r < n; r++) {
        double squares = 0;
        for (size_t j = 0; j < d; j++)
            squares += (double)rows[r * d + j] * rows[r * d + j];
        if (!isfinite(squares))
            return fathom__fail(FATHOM_ERROR_NUMERIC, "trainer: row %zu of those to prepare with is not finite", r);
        norms += sqrt(squares);
    }
    int status = fathom__alloc(&median, d, sizeof *median);
    if (!status) status = fathom__alloc(&next, d, sizeof *next);
    if (!status) {
        if (!trainer->options.no_input_scale && norms > 0)
            trainer->input_scale = (float)(sqrt((double)d) * (double)n / norms);
        geometric_median(median, next, rows, n < MOST_ROWS ? n : MOST_ROWS, d, trainer->input_scale);
        for (size_t j = 0; j < d; j++)
            trainer->decoder_bias.value[j] = (float)median[j];
        trainer->prepared = true;
    }
    fathom_free(median);
    fathom_free(next);
    return status;
}

void fathom__trainer_force_dead(fathom_trainer *trainer, uint32_t n) {
    trainer->forced_dead = n < trainer->options.n_features ? n : trainer->options.n_features;
}
