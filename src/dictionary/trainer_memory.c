/* What a trainer's memory is made of, reckoned from the sizes of its arrays. */
#include <dictionary/trainer_internal.h>

const char *fathom_trainer_memory_name(enum fathom_trainer_memory part) {
    static const char *const names[FATHOM_TRAINER_MEMORIES] = {"parameters", "means",    "product", "rows",
                                                               "pairs",      "features", "workers", "auxiliary"};
    return part < FATHOM_TRAINER_MEMORIES ? names[part] : "";
}

static double parameter(const struct fathom__parameter *parameter, size_t n) {
    return parameter->value ? 3.0 * (double)n * sizeof *parameter->value : 0;
}

static double mean(const struct fathom__parameter *parameter, size_t n) {
    return parameter->average ? (double)n * sizeof *parameter->average : 0;
}

/* Adds what `size_of` says of every parameter. */
static double all_parameters(const fathom_trainer *trainer,
                             double (*size_of)(const struct fathom__parameter *parameter, size_t n)) {
    const size_t F = trainer->options.n_features, padded = F + FATHOM__TILE_FEATURES, stride = trainer->stride;
    double bytes = size_of(&trainer->encoder, F * trainer->read) +
                   size_of(&trainer->decoder, fathom__decoder_count(trainer)) +
                   size_of(&trainer->encoder_bias, padded) + size_of(&trainer->decoder_bias, stride) +
                   size_of(&trainer->skip, trainer->options.d_out * stride);
    for (int i = 0; i < FATHOM__SCALARS; i++)
        bytes += size_of(&trainer->scalar[i], padded);
    return bytes;
}

static double active(const struct fathom__active *active, size_t batch, uint32_t n_workers) {
    if (!active->count) return 0;
    const double row = sizeof *active->start + sizeof *active->count;
    const double by_feature = active->bucket ? (double)(active->n_features + 1) * sizeof *active->bucket +
                                                   (double)active->n_features * n_workers * sizeof *active->histogram
                                             : 0;
    return (double)batch * row + (double)active->capacity * (double)fathom__pair_bytes(active) + by_feature;
}

static double map(const struct fathom__map *map) {
    return map->weights ? (double)map->stride * (map->diagonal ? 1 : (double)map->d) * sizeof *map->weights : 0;
}

static double rows(const fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const double stride = (double)trainer->stride, batch = options->batch * stride;
    double bytes = (batch + FATHOM__TILE_ROWS * stride) * sizeof *trainer->x_bf16;
    if (!trainer->errors_lent) bytes += batch * sizeof *trainer->error;
    bytes += map(&trainer->input_transform) + map(&trainer->output_transform) + map(&trainer->target_transform);
    if (trainer->scaled) bytes += (double)options->batch * (double)trainer->row_width * sizeof *trainer->scaled;
    if (trainer->group_error) bytes += (options->n_groups - 1) * batch * sizeof *trainer->group_error;
    if (trainer->prefix_owned) bytes += batch * sizeof *trainer->prefix_error;
    return bytes;
}

static double features(const fathom_trainer *trainer) {
    const double F = trainer->options.n_features;
    double bytes = F * (sizeof *trainer->touched + sizeof *trainer->last_active + sizeof *trainer->dead +
                        sizeof *trainer->dead_slot);
    if (trainer->level) bytes += (F + FATHOM__TILE_FEATURES) * (sizeof *trainer->shifted_bias + sizeof *trainer->level);
    if (trainer->norm) bytes += F * sizeof *trainer->norm;
    if (trainer->averaged) bytes += F * sizeof *trainer->averaged;
    if (trainer->skip_gradient)
        bytes += (double)trainer->options.d_out * (double)trainer->stride * sizeof *trainer->skip_gradient;
    return bytes;
}

static double worker(const fathom_trainer *trainer, const struct fathom__worker *worker) {
    const double stride = (double)trainer->stride, groups = trainer->options.n_groups ? trainer->options.n_groups : 1;
    double bytes = (double)worker->values_room * sizeof *worker->values;
    bytes += (double)worker->features_room * sizeof *worker->features;
    bytes += FATHOM__TILE_ROWS * sizeof *worker->candidates;
    bytes += (double)fathom__trainer_update_scratch(trainer->stride) * sizeof *worker->gradients;
    bytes += stride * ((2 + groups) * sizeof(float) + 3 * sizeof(double));
    if (worker->sums) bytes += (double)fathom__sums_count(trainer) * sizeof *worker->sums;
    return bytes + (double)worker->row_room * sizeof *worker->row;
}

static double auxiliary(const fathom_trainer *trainer) {
    if (trainer->dead_capacity == 0) return 0;
    if (trainer->n_layers > 1)
        return trainer->loans.own_bytes + active(&trainer->auxiliary, trainer->options.batch, trainer->n_workers);
    return trainer->loans.own_bytes +
           (double)trainer->dead_sums_room * (double)trainer->stride * sizeof *trainer->dead_sums +
           (double)fathom__dense_bytes(trainer->dead_encoder) +
           (double)(trainer->dead_capacity / FATHOM__DEAD_CHUNK) * sizeof *trainer->dead_gradient;
}

void fathom_trainer_memory(double bytes[FATHOM_TRAINER_MEMORIES], const fathom_trainer *trainer) {
    const size_t batch = trainer->options.batch;
    bytes[FATHOM_TRAINER_MEMORY_PARAMETERS] = all_parameters(trainer, parameter);
    bytes[FATHOM_TRAINER_MEMORY_MEANS] = all_parameters(trainer, mean);
    bytes[FATHOM_TRAINER_MEMORY_PRODUCT] = 0;
    for (size_t l = 0; l < trainer->n_layers; l++)
        bytes[FATHOM_TRAINER_MEMORY_PRODUCT] += (double)fathom__dense_bytes(trainer->products[l]);
    bytes[FATHOM_TRAINER_MEMORY_ROWS] = rows(trainer);
    bytes[FATHOM_TRAINER_MEMORY_PAIRS] =
        active(&trainer->main, batch, trainer->n_workers) + active(&trainer->near, batch, trainer->n_workers);
    bytes[FATHOM_TRAINER_MEMORY_FEATURES] = features(trainer);
    bytes[FATHOM_TRAINER_MEMORY_WORKERS] = 0;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        bytes[FATHOM_TRAINER_MEMORY_WORKERS] += worker(trainer, &trainer->workers[w]);
    bytes[FATHOM_TRAINER_MEMORY_AUXILIARY] = auxiliary(trainer);
}
