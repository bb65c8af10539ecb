/* Reconstruction, its error, and the slopes of the active features. */
#include <base/error.h>
#include <dictionary/trainer_internal.h>

struct decoding {
    fathom_trainer *trainer;
    struct fathom__decoding what;
};

static const float *decoder_row(const struct decoding *decoding, uint32_t feature) {
    if (decoding->what.number) feature = decoding->what.number[feature];
    return decoding->trainer->decoder.value + (size_t)feature * decoding->trainer->stride;
}

/* e · d of a row's pairs. */
static void find_slopes(const struct decoding *decoding, const struct fathom__active *active, const float *error,
                        size_t r) {
    const size_t stride = decoding->trainer->stride;
    const uint32_t *feature = active->feature + active->start[r], n = active->count[r];
    float *slope = active->slope + active->start[r];
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *const rows[4] = {decoder_row(decoding, feature[i]), decoder_row(decoding, feature[i + 1]),
                                      decoder_row(decoding, feature[i + 2]), decoder_row(decoding, feature[i + 3])};
        fathom__dot4(slope + i, error, rows, stride);
    }
    for (; i < n; i++)
        slope[i] = fathom__dot(error, decoder_row(decoding, feature[i]), stride);
}

/* What the pairs' sum is added to. */
static void begin_row(const struct decoding *decoding, struct fathom__worker *own, size_t r) {
    const fathom_trainer *trainer = decoding->trainer;
    const size_t stride = trainer->stride;
    float *error = own->error_row;
    switch (decoding->what.from) {
    case FATHOM__FROM_TARGET:
        fathom__trainer_target(error, own->input_row, trainer, r);
        for (size_t j = 0; j < stride; j++)
            error[j] = -error[j];
        break;
    case FATHOM__FROM_ERROR: fathom__row_from_bf16(error, trainer->error + r * stride, stride); break;
    case FATHOM__FROM_ZERO: memset(error, 0, stride * sizeof *error); break;
    }
}

static void decode_row(const struct decoding *decoding, struct fathom__worker *own, size_t r) {
    const struct fathom__active *active = decoding->what.active;
    const size_t stride = decoding->trainer->stride;
    const uint32_t *feature = active->feature + active->start[r], n = active->count[r];
    const float *value = active->value + active->start[r];
    float *error = own->error_row;
    begin_row(decoding, own, r);
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *const rows[4] = {decoder_row(decoding, feature[i]), decoder_row(decoding, feature[i + 1]),
                                      decoder_row(decoding, feature[i + 2]), decoder_row(decoding, feature[i + 3])};
        fathom__add_scaled4(error, value + i, rows, stride);
    }
    for (; i < n; i++)
        fathom__add_scaled(error, value[i], decoder_row(decoding, feature[i]), stride);
    if (decoding->what.slopes) find_slopes(decoding, active, error, r);
    if (decoding->what.slopes && decoding->what.near) find_slopes(decoding, decoding->what.near, error, r);
    if (decoding->what.error) fathom__row_to_bf16(decoding->what.error + r * stride, error, stride);
    if (decoding->what.exact) memcpy(decoding->what.exact + r * stride, error, stride * sizeof *error);
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
    const float *error = own->error_row;
    for (size_t r = first; r < last; r++) {
        decode_row(decoding, own, r);
        own->sum_errors += fathom__dot(error, error, stride);
        for (size_t j = 0; j < stride; j++)
            own->column[j] += error[j];
    }
}

void fathom__trainer_decode_pairs(fathom_trainer *trainer, const struct fathom__decoding *what) {
    struct decoding decoding = {trainer, *what};
    fathom__team_run(trainer->team, decode, &decoding);
}

void fathom__trainer_decode(fathom_trainer *trainer, bool slopes) {
    const struct fathom__decoding what = {.active = &trainer->main,
                                          .near = trainer->near.count ? &trainer->near : NULL,
                                          .from = FATHOM__FROM_TARGET,
                                          .error = slopes ? trainer->error : NULL,
                                          .slopes = slopes};
    if (slopes) trainer->packed = trainer->packed && !trainer->errors_lent;
    fathom__trainer_decode_pairs(trainer, &what);
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
