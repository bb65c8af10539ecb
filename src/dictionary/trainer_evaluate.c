/* What is measured with a step's parts but changes nothing: evaluation and calibration. */
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

/* Adds up how often each feature of the loaded rows is active. */
static void count_features(uint64_t *counts, const fathom_trainer *trainer) {
    const struct fathom__active *active = &trainer->main;
    for (size_t r = 0; r < trainer->n; r++)
        for (uint32_t i = 0; i < active->count[r]; i++)
            counts[active->feature[active->start[r] + i]]++;
}

static void find_dense(struct fathom_trainer_evaluation *out, const uint64_t *counts, size_t n_features, size_t n) {
    uint64_t dense = 0, all = 0;
    for (size_t f = 0; f < n_features; f++) {
        const bool is_dense = (double)counts[f] > FATHOM_DENSE * (double)n;
        out->n_dense += is_dense;
        dense += is_dense ? counts[f] : 0;
        all += counts[f];
    }
    out->dense_share = all ? (double)dense / (double)all : 0;
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
    uint64_t active = 0, *counts = NULL;
    float least;
    int status = prepared(trainer, n);
    if (!status) status = fathom__alloc(&column, trainer->stride, sizeof *column);
    if (!status) status = fathom__alloc(&counts, trainer->options.n_features, sizeof *counts);
    fathom__average_use(trainer);
    if (!status) status = fathom__trainer_pack(trainer);
    for (size_t at = 0; at < n && !status; at += trainer->options.batch) {
        const size_t here = n - at < trainer->options.batch ? n - at : trainer->options.batch;
        status = fathom__trainer_load(trainer, rows + at * trainer->row_width, here);
        if (status) break;
        squares += fathom__trainer_sum(trainer, trainer->column, sum_squares);
        for (size_t j = 0; j < trainer->stride; j++)
            column[j] += trainer->column[j];
        status = trainer->architecture->choose(&least, trainer);
        if (status) break;
        fathom__trainer_decode(trainer, false);
        errors += fathom__trainer_sum(trainer, trainer->column, sum_errors);
        for (size_t r = 0; r < here; r++)
            active += trainer->main.count[r];
        count_features(counts, trainer);
    }
    fathom__average_leave(trainer);
    if (!status) {
        fill_evaluation(out, trainer, n, squares, errors, column, active);
        find_dense(out, counts, trainer->options.n_features, n);
    }
    fathom_free(column);
    fathom_free(counts);
    return status;
}

int fathom_trainer_calibrate(float *threshold, fathom_trainer *trainer, const float *rows, size_t n) {
    /* The least value that a batch keeps when it may keep k a row, averaged over batches by their size. */
    double sum = 0;
    int status = prepared(trainer, n);
    *threshold = 0;
    if (!status && !trainer->architecture->exact) return 0;
    if (status) return status;
    fathom__average_use(trainer);
    status = fathom__trainer_pack(trainer);
    for (size_t at = 0; at < n && !status; at += trainer->options.batch) {
        const size_t here = n - at < trainer->options.batch ? n - at : trainer->options.batch;
        float least = 0;
        status = fathom__trainer_load(trainer, rows + at * trainer->row_width, here);
        if (!status) status = fathom__trainer_batchtopk(&least, trainer);
        sum += (double)here * least;
    }
    fathom__average_leave(trainer);
    if (status) return status;
    trainer->threshold = *threshold = (float)(sum / (double)n);
    return 0;
}
