/* Opening, closing and preparing a trainer. */
#include <base/error.h>
#include <base/machine.h>
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <stdio.h>

#define FREE_NORM 0.1F /* of decoder rows to start with, where their norms are free */

int fathom__parameter_open(struct fathom__parameter *parameter, size_t n) {
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
    const uint32_t groups = trainer->options.n_groups;
    int status = fathom__alloc(&worker->candidates, FATHOM__TILE_ROWS, sizeof *worker->candidates);
    if (!status)
        status = fathom__alloc_aligned(&worker->gradients, fathom__trainer_update_scratch(trainer->stride),
                                       sizeof *worker->gradients);
    if (!status) status = fathom__alloc_aligned(&worker->bias_gradient, trainer->stride, sizeof *worker->bias_gradient);
    if (!status) status = fathom__alloc(&worker->column, trainer->stride, sizeof *worker->column);
    if (!status) status = fathom__alloc(&worker->input_column, trainer->stride, sizeof *worker->input_column);
    if (!status) status = fathom__alloc(&worker->prefix_column, trainer->stride, sizeof *worker->prefix_column);
    if (!status) status = fathom__alloc_aligned(&worker->input_row, trainer->stride, sizeof *worker->input_row);
    if (!status)
        status = fathom__alloc_aligned(&worker->error_row, trainer->stride * (groups ? groups : 1),
                                       sizeof *worker->error_row);
    if (!status && !trainer->architecture->exact)
        status = fathom__alloc(&worker->sums, fathom__sums_count(trainer), sizeof *worker->sums);
    return status;
}

static void close_worker(struct fathom__worker *worker) {
    fathom__worker_clear(worker);
    fathom_free(worker->candidates);
    fathom_free(worker->gradients);
    fathom_free(worker->bias_gradient);
    fathom_free(worker->column);
    fathom_free(worker->input_column);
    fathom_free(worker->prefix_column);
    fathom_free(worker->input_row);
    fathom_free(worker->error_row);
    fathom_free(worker->sums);
    fathom_free(worker->row);
}

/* Errors are there from the decoding to the step's end, when the packed encoder is not needed any more. */
static int open_errors(fathom_trainer *trainer) {
    const size_t n = trainer->options.batch * trainer->stride;
    size_t bytes;
    void *storage = fathom__dense_storage(&bytes, trainer->products[0]);
    /* Where there are layers, the auxiliary loss needs the packed encoder once more. */
    trainer->errors_lent = trainer->n_layers == 1 && bytes >= n * sizeof *trainer->error;
    if (!trainer->errors_lent) return fathom__alloc_aligned(&trainer->error, n, sizeof *trainer->error);
    trainer->error = storage;
    return 0;
}

static int open_batch(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const size_t rows = options->batch, F = options->n_features;
    int status = 0;
    trainer->x_rows = rows + FATHOM__TILE_ROWS;
    if (options->d_out) status = fathom__alloc(&trainer->centre, trainer->stride, sizeof *trainer->centre);
    if (!status && options->skip) status = fathom__skip_open(trainer);
    if (!status && (options->n_sources || options->n_layers)) status = fathom__sources_open(trainer);
    if (!status) status = open_errors(trainer);
    if (!status)
        status = fathom__alloc_aligned(&trainer->x_bf16, trainer->x_rows * trainer->stride, sizeof *trainer->x_bf16);
    if (!status) memset(trainer->x_bf16, 0, trainer->x_rows * trainer->stride * sizeof *trainer->x_bf16);
    if (!status) status = fathom__alloc(&trainer->column, trainer->stride, sizeof *trainer->column);
    if (!status) status = fathom__alloc(&trainer->error_column, trainer->stride, sizeof *trainer->error_column);
    if (!status) status = fathom__alloc(&trainer->inputs_column, trainer->stride, sizeof *trainer->inputs_column);
    if (!status && options->bandwidth > 0) status = fathom__active_open(&trainer->near, rows, 1, 0, trainer->n_workers);
    if (!status && trainer->architecture->nested && options->n_groups > 1) status = fathom__nested_open(trainer);
    if (!status) status = fathom__active_open(&trainer->main, rows, rows * options->k, F, trainer->n_workers);
    return status;
}

static int open_transforms(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const bool diagonal = options->inputs == FATHOM_INPUTS_STANDARDISED;
    const size_t d_out = options->d_out ? options->d_out : options->d_in;
    if (options->inputs == FATHOM_INPUTS_SCALED) return 0;
    int status = fathom__map_open(&trainer->input_transform, NULL, options->d_in, diagonal);
    if (!status) status = fathom__map_open(&trainer->output_transform, NULL, d_out, diagonal);
    if (!status && options->d_out) status = fathom__map_open(&trainer->target_transform, NULL, d_out, diagonal);
    return status;
}

static int open_products(fathom_trainer *trainer) {
    int status = fathom__alloc(&trainer->products, trainer->n_layers, sizeof *trainer->products);
    for (size_t l = 0; l < trainer->n_layers && !status; l++)
        status = fathom__dense_open(&trainer->products[l], FATHOM__PRODUCT_BEST, trainer->read, trainer->layer_features,
                                    trainer->n_workers);
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++)
        trainer->workers[w].tile = fathom__dense_tile(trainer->products[0], w);
    return status;
}

static int open_arrays(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const size_t F = options->n_features, padded = F + FATHOM__TILE_FEATURES;
    int status = fathom__parameter_open(&trainer->encoder, F * trainer->read);
    if (!status) status = fathom__parameter_open(&trainer->encoder_bias, padded);
    if (!status) status = fathom__parameter_open(&trainer->decoder, fathom__decoder_count(trainer));
    if (!status) status = fathom__parameter_open(&trainer->decoder_bias, trainer->stride);
    for (uint32_t i = 0; i < trainer->architecture->n_scalars && !status; i++)
        status = fathom__parameter_open(&trainer->scalar[i], padded);
    if (!status && options->bandwidth > 0)
        status = fathom__alloc(&trainer->shifted_bias, padded, sizeof *trainer->shifted_bias);
    if (!status && options->bandwidth > 0) status = fathom__alloc(&trainer->level, padded, sizeof *trainer->level);
    if (!status && (options->free_norms || (options->n_sources && !trainer->architecture->exact)))
        status = fathom__alloc(&trainer->norm, F, sizeof *trainer->norm);
    if (!status) status = fathom__alloc(&trainer->touched, F, sizeof *trainer->touched);
    if (!status) status = fathom__alloc(&trainer->last_active, F, sizeof *trainer->last_active);
    if (!status) status = fathom__alloc(&trainer->dead, F, sizeof *trainer->dead);
    if (!status) status = fathom__alloc(&trainer->dead_slot, F, sizeof *trainer->dead_slot);
    return status ? status : open_products(trainer);
}

/* A random direction of d numbers, of this length; `stride` with its padding. */
static void random_row(float *row, size_t d, size_t stride, float length, struct fathom__random *random) {
    for (size_t j = 0; j < d; j++)
        row[j] = (float)fathom__random_normal(random);
    const float drawn = sqrtf(fathom__dot(row, row, stride));
    for (size_t j = 0; j < d; j++)
        row[j] = row[j] / drawn * length;
}

/* Decoder rows in random directions; an SAE's encoder is its transpose, a transcoder's has directions of its own. */
static void initialise_feature(fathom_trainer *trainer, size_t f, struct fathom__random *random) {
    const struct fathom_trainer_options *options = &trainer->options;
    const struct fathom__span span = fathom__decoder_span(trainer, f);
    const size_t d_out = options->d_out ? options->d_out : options->d_in;
    const float norm = options->free_norms ? FREE_NORM : 1;
    float *encoder = trainer->encoder.value + f * trainer->read, *decoder = trainer->decoder.value + span.at;
    random_row(decoder, d_out - span.begin, span.n, norm, random);
    if (options->n_sources) fathom__sources_align(decoder, trainer);
    if (trainer->norm) trainer->norm[f] = options->n_sources ? fathom__sources_length(trainer, decoder) : norm;
    if (options->d_out)
        random_row(encoder, options->d_in / trainer->n_layers, trainer->read, norm, random);
    else
        memcpy(encoder, decoder, trainer->stride * sizeof *encoder);
    for (uint32_t i = 0; i < trainer->architecture->n_scalars; i++)
        trainer->scalar[i].value[f] = trainer->architecture->scalar_start[i];
}

static void initialise(fathom_trainer *trainer) {
    struct fathom__random random;
    fathom__random_seed(&random, trainer->options.seed);
    for (size_t f = 0; f < trainer->options.n_features; f++)
        initialise_feature(trainer, f, &random);
}

double fathom__trainer_bytes(const struct fathom_trainer_options *options) {
    const size_t stride = fathom__padded(options->d_in > options->d_out ? options->d_in : options->d_out);
    const double layers = options->n_layers ? options->n_layers : 1,
                 encoder = (double)options->n_features * (double)stride / layers,
                 decoder = encoder * (layers + 1) / 2, /* of a layer's features and those of later layers */
        rows = (double)options->batch * (double)stride, errors = fathom__nested_errors(options);
    return (encoder + decoder) * (options->ema > 0 ? 4 : 3) * sizeof(float) + encoder * sizeof(uint16_t) +
           rows * (1 + errors) * sizeof(uint16_t);
}

static int check_memory(const struct fathom_trainer_options *options) {
    char what[96];
    snprintf(what, sizeof what, "trainer: %u features of width %u in batches of %u", options->n_features, options->d_in,
             options->batch);
    return fathom__machine_check(fathom__trainer_bytes(options), what);
}

int fathom_trainer_open(fathom_trainer **out, const struct fathom_trainer_options *options) {
    fathom_trainer *trainer = NULL;
    int status = fathom__trainer_check_options(options);
    if (!status) status = fathom__alloc(&trainer, 1, sizeof *trainer);
    if (status) return status;
    trainer->options = *options;
    fathom__trainer_fill_options(&trainer->options);
    options = &trainer->options;
    trainer->architecture = fathom__architecture(options->architecture);
    trainer->sparsity = options->sparsity > 0 ? options->sparsity : trainer->architecture->sparsity;
    if (options->quadratic_l0) trainer->sparsity = options->d_in * (options->sparsity > 0 ? options->sparsity : 1);
    trainer->stride = fathom__padded(options->d_in > options->d_out ? options->d_in : options->d_out);
    trainer->row_width = (size_t)options->d_in + options->d_out;
    trainer->n_layers = options->n_layers ? options->n_layers : 1;
    trainer->layer_features = options->n_features / trainer->n_layers;
    trainer->read = trainer->stride / trainer->n_layers;
    status = check_memory(options);
    if (status) {
        fathom_free(trainer);
        return status;
    }
    trainer->threshold = trainer->floor = -1;
    trainer->input_scale = trainer->output_scale = 1;
    status = fathom__team_open(&trainer->team, options->n_threads);
    if (!status) trainer->n_workers = fathom__team_size(trainer->team);
    if (!status) status = fathom__alloc(&trainer->workers, trainer->n_workers, sizeof *trainer->workers);
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++)
        status = open_worker(&trainer->workers[w], trainer);
    if (!status) status = open_arrays(trainer);
    if (!status) status = open_batch(trainer);
    if (!status) status = open_transforms(trainer);
    if (status) {
        fathom_trainer_close(trainer);
        return status;
    }
    initialise(trainer);
    status = fathom__average_open(trainer);
    if (status) {
        fathom_trainer_close(trainer);
        return status;
    }
    *out = trainer;
    return 0;
}

void fathom_trainer_close(fathom_trainer *trainer) {
    if (!trainer) return;
    fathom__auxiliary_close(trainer);
    fathom__average_close(trainer);
    for (uint32_t w = 0; trainer->workers && w < trainer->n_workers; w++)
        close_worker(&trainer->workers[w]);
    fathom_free(trainer->workers);
    fathom__team_close(trainer->team);
    for (size_t l = 0; trainer->products && l < trainer->n_layers; l++)
        fathom__dense_close(trainer->products[l]);
    fathom_free(trainer->products);
    close_parameter(&trainer->encoder);
    close_parameter(&trainer->encoder_bias);
    close_parameter(&trainer->decoder);
    close_parameter(&trainer->decoder_bias);
    for (int i = 0; i < FATHOM__SCALARS; i++)
        close_parameter(&trainer->scalar[i]);
    fathom__active_close(&trainer->near);
    fathom__nested_close(trainer);
    fathom_free(trainer->shifted_bias);
    fathom_free(trainer->level);
    fathom_free(trainer->norm);
    fathom_free(trainer->inputs_column);
    fathom__active_close(&trainer->main);
    fathom_free(trainer->touched);
    fathom_free(trainer->last_active);
    fathom_free(trainer->dead);
    fathom_free(trainer->dead_slot);
    fathom_free(trainer->centre);
    fathom__sources_close(trainer);
    close_parameter(&trainer->skip);
    fathom_free(trainer->skip_gradient);
    if (!trainer->errors_lent) fathom_free(trainer->error);
    fathom_free(trainer->x_bf16);
    fathom__map_close(&trainer->input_transform);
    fathom__map_close(&trainer->output_transform);
    fathom__map_close(&trainer->target_transform);
    fathom_free(trainer->column);
    fathom_free(trainer->error_column);
    fathom_free(trainer);
}

const struct fathom_trainer_options *fathom_trainer_describe(const fathom_trainer *trainer) {
    return &trainer->options;
}

void fathom__trainer_update_all(fathom_trainer *trainer) {
    trainer->updates_all = true;
}

void fathom__trainer_force_dead(fathom_trainer *trainer, uint32_t n) {
    trainer->forced_dead = n < trainer->options.n_features ? n : trainer->options.n_features;
}
