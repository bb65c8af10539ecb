/* What is measured with a step's parts but changes nothing: evaluation, calibration, the dictionary so far. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

static double sum_squares(const struct fathom__worker *worker) {
    return worker->sum_squares;
}
static double sum_errors(const struct fathom__worker *worker) {
    return worker->sum_errors;
}

static int prepared(const fathom_trainer *trainer, size_t n) {
    if (!trainer->prepared)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "trainer: must be prepared, or have made a step, before rows are evaluated");
    if (n == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: no rows to evaluate");
    return 0;
}

static int choose(float *least, fathom_trainer *trainer, bool over_batch) {
    if (over_batch) return fathom__trainer_batchtopk(&trainer->main, least, trainer);
    return fathom__trainer_topk(&trainer->main, trainer, trainer->product, trainer->encoder_bias.value,
                                trainer->options.n_features, trainer->options.k);
}

static void fill_evaluation(struct fathom_trainer_evaluation *out, const fathom_trainer *trainer, size_t n,
                            double squares, double errors, const double *column, uint64_t active) {
    double means = 0;
    uint32_t dead = 0;
    for (size_t j = 0; j < trainer->stride; j++)
        means += column[j] * column[j];
    for (uint32_t f = 0; f < trainer->options.n_features; f++)
        dead += trainer->rows - trainer->last_active[f] >= trainer->options.dead_after;
    const double spread = squares - means / (double)n;
    *out = (struct fathom_trainer_evaluation){
        .fve = spread > 0 ? 1 - errors / spread : 0,
        .l0 = (double)active / (double)n,
        .dead_fraction = (double)dead / trainer->options.n_features,
    };
}

int fathom_trainer_evaluate(struct fathom_trainer_evaluation *out, fathom_trainer *trainer, const float *rows,
                            size_t n) {
    double squares = 0, errors = 0, *column = NULL;
    uint64_t active = 0;
    float least;
    int status = prepared(trainer, n);
    if (!status) status = fathom__alloc(&column, trainer->stride, sizeof *column);
    if (!status) status = fathom__trainer_pack(trainer);
    for (size_t at = 0; at < n && !status; at += trainer->options.batch) {
        const size_t here = n - at < trainer->options.batch ? n - at : trainer->options.batch;
        status = fathom__trainer_load(trainer, rows + at * trainer->options.d_in, here);
        if (status) break;
        squares += fathom__trainer_sum(trainer, trainer->column, sum_squares);
        for (size_t j = 0; j < trainer->stride; j++)
            column[j] += trainer->column[j];
        status = choose(&least, trainer, trainer->options.architecture == FATHOM_TRAIN_BATCHTOPK);
        if (status) break;
        fathom__trainer_decode(trainer, false);
        errors += fathom__trainer_sum(trainer, trainer->column, sum_errors);
        for (size_t r = 0; r < here; r++)
            active += trainer->main.count[r];
    }
    if (!status) fill_evaluation(out, trainer, n, squares, errors, column, active);
    fathom_free(column);
    return status;
}

int fathom_trainer_calibrate(float *threshold, fathom_trainer *trainer, const float *rows, size_t n) {
    /* The least value that a batch keeps when it may keep k a row, averaged over batches by their size. */
    double sum = 0;
    int status = prepared(trainer, n);
    if (!status) status = fathom__trainer_pack(trainer);
    for (size_t at = 0; at < n && !status; at += trainer->options.batch) {
        const size_t here = n - at < trainer->options.batch ? n - at : trainer->options.batch;
        float least = 0;
        status = fathom__trainer_load(trainer, rows + at * trainer->options.d_in, here);
        if (!status) status = choose(&least, trainer, true);
        sum += (double)here * least;
    }
    if (status) return status;
    trainer->threshold = *threshold = (float)(sum / (double)n);
    return 0;
}

int fathom_trainer_parts(struct fathom_dictionary_parts *out, void **storage, const fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const size_t d = options->d_in, F = options->n_features, stride = trainer->stride;
    float *floats = NULL;
    int status = fathom__alloc(&floats, 2 * F * d + 2 * F + d, sizeof *floats);
    if (status) return status;
    float *encoder = floats, *decoder = encoder + F * d, *bias = decoder + F * d, *threshold = bias + F,
          *decoder_bias = threshold + F;
    for (size_t f = 0; f < F; f++) {
        memcpy(encoder + f * d, trainer->encoder.value + f * stride, d * sizeof *encoder);
        memcpy(decoder + f * d, trainer->decoder.value + f * stride, d * sizeof *decoder);
        bias[f] = trainer->encoder_bias.value[f];
        threshold[f] = trainer->threshold;
    }
    memcpy(decoder_bias, trainer->decoder_bias.value, d * sizeof *decoder_bias);
    *out = (struct fathom_dictionary_parts){
        .info =
            {
                .architecture = options->architecture == FATHOM_TRAIN_TOPK ? "topk" : "batchtopk",
                .d_in = options->d_in,
                .d_out = options->d_in,
                .n_features = options->n_features,
                .k = options->k,
                .subtract_decoder_bias = true,
                .input_scale = (float)trainer->input_scale,
            },
        .encoder = encoder,
        .encoder_bias = bias,
        .decoder = decoder,
        .decoder_bias = decoder_bias,
        .threshold = trainer->threshold >= 0 ? threshold : NULL,
    };
    *storage = floats;
    return 0;
}
