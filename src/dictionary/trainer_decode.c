/* Reconstruction, its error, and the slopes of the active features. */
#include <base/error.h>
#include <dictionary/trainer_internal.h>

struct decoding {
    fathom_trainer *trainer;
    struct fathom__decoding what;
};

/* Some of a row's pairs, from i to end, whose features are of one layer: those of a layer follow one another. */
struct run {
    uint32_t i, end;
    const uint32_t *number; /* slot to feature; NULL: they are the same */
    const float *decoder;   /* the row of the layer's feature `first` */
    size_t first, begin, n; /* a decoder row's n numbers are of the errors' numbers from `begin` on */
};

/* The run after another one; false: there is none. */
static bool next_run(struct run *run, const struct decoding *decoding, const uint32_t *feature, uint32_t count) {
    const fathom_trainer *trainer = decoding->trainer;
    if (run->end == count) return false;
    run->i = run->end;
    run->number = decoding->what.number;
    run->first = fathom__layer(trainer, feature[run->i]) * trainer->layer_features;
    const struct fathom__span span = fathom__decoder_span(trainer, run->first);
    run->decoder = trainer->decoder.value + span.at;
    run->begin = span.begin;
    run->n = span.n;
    if (trainer->n_layers == 1)
        run->end = count;
    else
        while (run->end < count && feature[run->end] < run->first + trainer->layer_features)
            run->end++;
    return true;
}

static const float *decoder_row(const struct run *run, uint32_t feature) {
    if (run->number) feature = run->number[feature];
    return run->decoder + (feature - run->first) * run->n;
}

/* e · d of a row's pairs. */
static void find_slopes(const struct decoding *decoding, const struct fathom__active *active, const float *error,
                        size_t r) {
    const uint32_t *feature = active->feature + active->start[r];
    float *slope = active->slope + active->start[r];
    struct run run = {.end = 0};
    while (next_run(&run, decoding, feature, active->count[r])) {
        uint32_t i = run.i;
        for (; i + 4 <= run.end; i += 4) {
            const float *const rows[4] = {decoder_row(&run, feature[i]), decoder_row(&run, feature[i + 1]),
                                          decoder_row(&run, feature[i + 2]), decoder_row(&run, feature[i + 3])};
            fathom__dot4(slope + i, error + run.begin, rows, run.n);
        }
        for (; i < run.end; i++)
            slope[i] = fathom__dot(error + run.begin, decoder_row(&run, feature[i]), run.n);
    }
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
    const uint32_t *feature = active->feature + active->start[r];
    const float *value = active->value + active->start[r];
    float *error = own->error_row;
    struct run run = {.end = 0};
    begin_row(decoding, own, r);
    while (next_run(&run, decoding, feature, active->count[r])) {
        uint32_t i = run.i;
        for (; i + 4 <= run.end; i += 4) {
            const float *const rows[4] = {decoder_row(&run, feature[i]), decoder_row(&run, feature[i + 1]),
                                          decoder_row(&run, feature[i + 2]), decoder_row(&run, feature[i + 3])};
            fathom__add_scaled4(error + run.begin, value + i, rows, run.n);
        }
        for (; i < run.end; i++)
            fathom__add_scaled(error + run.begin, value[i], decoder_row(&run, feature[i]), run.n);
    }
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
