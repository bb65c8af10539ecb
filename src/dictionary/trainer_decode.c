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

static void decode_row(const struct decoding *decoding, size_t r) {
    const struct fathom__active *active = decoding->what.active;
    const size_t stride = decoding->trainer->stride;
    const uint32_t *feature = active->feature + active->start[r];
    const float *value = active->value + active->start[r];
    float *slope = active->slope + active->start[r], *error = decoding->what.error + r * stride;
    const float *target = decoding->what.target + r * stride;
    const uint32_t n = active->count[r];
    for (size_t j = 0; j < stride; j += FATHOM__LANES)
        *(fathom__lanes *)(error + j) = decoding->what.sign * *(const fathom__lanes *)(target + j);
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *const rows[4] = {decoder_row(decoding, feature[i]), decoder_row(decoding, feature[i + 1]),
                                      decoder_row(decoding, feature[i + 2]), decoder_row(decoding, feature[i + 3])};
        fathom__add_scaled4(error, value + i, rows, stride);
    }
    for (; i < n; i++)
        fathom__add_scaled(error, value[i], decoder_row(decoding, feature[i]), stride);
    if (!decoding->what.slopes) return;
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
        const float *error = decoding->what.error + r * stride;
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
    const struct fathom__decoding what = {&trainer->main, NULL, trainer->target, -1, trainer->error, slopes};
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
