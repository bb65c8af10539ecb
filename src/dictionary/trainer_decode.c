/* Reconstruction, its error, and the slopes of the active features; the same for the dead features' auxiliary reconstruction. */
#include <base/error.h>
#include <dictionary/trainer_internal.h>

struct decoding {
    fathom_trainer *trainer;
    const struct fathom__active *active;
    const uint32_t *number; /* slot to feature; NULL: they are the same */
    const float *target;    /* [batch, stride]: subtracted, times sign */
    float sign;
    float *error; /* [batch, stride] */
    bool slopes;
};

static const float *decoder_row(const struct decoding *decoding, uint32_t feature) {
    if (decoding->number) feature = decoding->number[feature];
    return decoding->trainer->decoder.value + (size_t)feature * decoding->trainer->stride;
}

static void decode_row(const struct decoding *decoding, size_t r) {
    const struct fathom__active *active = decoding->active;
    const size_t stride = decoding->trainer->stride;
    const uint32_t *feature = active->feature + active->start[r];
    const float *value = active->value + active->start[r];
    float *slope = active->slope + active->start[r], *error = decoding->error + r * stride;
    const float *target = decoding->target + r * stride;
    const uint32_t n = active->count[r];
    for (size_t j = 0; j < stride; j += FATHOM__LANES)
        *(fathom__lanes *)(error + j) = decoding->sign * *(const fathom__lanes *)(target + j);
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *const rows[4] = {decoder_row(decoding, feature[i]), decoder_row(decoding, feature[i + 1]),
                                      decoder_row(decoding, feature[i + 2]), decoder_row(decoding, feature[i + 3])};
        fathom__add_scaled4(error, value + i, rows, stride);
    }
    for (; i < n; i++)
        fathom__add_scaled(error, value[i], decoder_row(decoding, feature[i]), stride);
    if (!decoding->slopes) return;
    for (i = 0; i + 4 <= n; i += 4) {
        const float *const rows[4] = {decoder_row(decoding, feature[i]), decoder_row(decoding, feature[i + 1]),
                                      decoder_row(decoding, feature[i + 2]), decoder_row(decoding, feature[i + 3])};
        fathom__dot4(slope + i, error, rows, stride);
    }
    for (; i < n; i++)
        slope[i] = fathom__dot(error, decoder_row(decoding, feature[i]), stride);
}

static void decode(uint32_t worker, uint32_t n_workers, void *payload) {
    const struct decoding *decoding = payload;
    fathom_trainer *trainer = decoding->trainer;
    struct fathom__worker *own = &trainer->workers[worker];
    const size_t stride = trainer->stride;
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, worker, n_workers);
    own->sum_errors = 0;
    memset(own->column, 0, stride * sizeof *own->column);
    for (size_t r = first; r < last; r++) {
        decode_row(decoding, r);
        const float *error = decoding->error + r * stride;
        own->sum_errors += fathom__dot(error, error, stride);
        for (size_t j = 0; j < stride; j++)
            own->column[j] += error[j];
    }
}

void fathom__trainer_decode(fathom_trainer *trainer, struct fathom__active *active, bool slopes) {
    struct decoding decoding = {trainer, active, NULL, trainer->x, -1, trainer->error, slopes};
    fathom__team_run(trainer->team, decode, &decoding);
}

double fathom__trainer_sum(const fathom_trainer *trainer, double *column,
                           double (*part)(const struct fathom__worker *)) {
    double total = 0;
    memset(column, 0, trainer->stride * sizeof *column);
    for (uint32_t w = 0; w < trainer->n_workers; w++) {
        total += part(&trainer->workers[w]);
        for (size_t j = 0; j < trainer->stride; j++)
            column[j] += trainer->workers[w].column[j];
    }
    return total;
}

static void find_dead(fathom_trainer *trainer) {
    const uint64_t dead_after = trainer->options.dead_after;
    trainer->n_dead = 0;
    for (uint32_t f = 0; f < trainer->options.n_features; f++) {
        const bool dead = f < trainer->forced_dead || trainer->rows - trainer->last_active[f] >= dead_after;
        trainer->dead_slot[f] = dead ? trainer->n_dead : UINT32_MAX;
        if (dead) trainer->dead[trainer->n_dead++] = f;
    }
}

static void pack_dead(uint32_t worker, uint32_t n_workers, void *payload) {
    fathom_trainer *trainer = payload;
    size_t first, last;
    fathom__team_share(&first, &last, (trainer->n_dead + FATHOM__TILE_FEATURES - 1) / FATHOM__TILE_FEATURES, 1, worker,
                       n_workers);
    for (size_t tile = first; tile < last; tile++) {
        const float *rows[FATHOM__TILE_FEATURES];
        size_t n = 0;
        for (size_t slot = tile * FATHOM__TILE_FEATURES; n < FATHOM__TILE_FEATURES && slot < trainer->n_dead;
             slot++, n++) {
            rows[n] = trainer->encoder.value + (size_t)trainer->dead[slot] * trainer->stride;
            trainer->dead_bias[slot] = trainer->encoder_bias.value[trainer->dead[slot]];
        }
        int status = fathom__dense_pack(trainer->dead_product, worker, tile, rows, n);
        if (status) {
            fathom__worker_fail(&trainer->workers[worker], status);
            return;
        }
    }
}

static double sum_errors(const struct fathom__worker *worker) {
    return worker->sum_errors;
}

int fathom__trainer_auxiliary(double *loss, double *factor, fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    *loss = *factor = 0;
    find_dead(trainer);
    trainer->auxiliary.bucket[trainer->n_dead] = 0;
    if (trainer->n_dead == 0 || options->auxiliary_coefficient < 0) return 0;
    /* The residual's own spread, from the sums that the main decode left behind. */
    double *column = trainer->column;
    const double residual = fathom__trainer_sum(trainer, column, sum_errors);
    double means = 0;
    for (size_t j = 0; j < trainer->stride; j++)
        means += column[j] * column[j];
    const double spread = residual - means / (double)trainer->n;
    if (!(spread > 0)) return 0;

    struct fathom__active *active = &trainer->auxiliary;
    const uint32_t k = options->k_aux < trainer->n_dead ? options->k_aux : trainer->n_dead;
    int status = fathom__trainer_run(trainer, pack_dead, trainer);
    if (!status)
        status = fathom__trainer_topk(active, trainer, trainer->dead_product, trainer->dead_bias, trainer->n_dead, k);
    if (status) return status;
    struct decoding decoding = {trainer, active, trainer->dead, trainer->error, 1, trainer->auxiliary_error, true};
    fathom__team_run(trainer->team, decode, &decoding);
    double left = 0;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        left += trainer->workers[w].sum_errors;
    active->n_features = trainer->n_dead;
    fathom__active_sort(active, trainer);
    const double coefficient =
        options->auxiliary_coefficient *
        ((double)trainer->n_dead < options->k_aux ? (double)trainer->n_dead / options->k_aux : 1.0);
    *loss = coefficient * left / spread;
    *factor = coefficient * 2 / spread;
    return 0;
}
