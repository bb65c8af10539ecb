/* One step, and what is measured with the same parts: evaluation and calibration. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <stdio.h>

#define THRESHOLD_KEEP 0.999 /* BatchTopK's running mean, once it has seen as many batches */

const char *fathom_trainer_part_name(enum fathom_trainer_part part) {
    static const char *const names[FATHOM_TRAINER_PARTS] = {"encode",    "select",    "decode",    "sort",
                                                            "auxiliary", "gradients", "optimiser", "pack"};
    return part < FATHOM_TRAINER_PARTS ? names[part] : "";
}

void fathom__worker_fail(struct fathom__worker *worker, int status) {
    worker->status = status;
    snprintf(worker->message, sizeof worker->message, "%s", fathom_error_message());
}

int fathom__trainer_run(fathom_trainer *trainer, fathom__team_fn fn, void *payload) {
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        trainer->workers[w].status = 0;
    fathom__team_run(trainer->team, fn, payload);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        if (trainer->workers[w].status)
            return fathom__fail(trainer->workers[w].status, "%s", trainer->workers[w].message);
    return 0;
}

static double sum_squares(const struct fathom__worker *worker) {
    return worker->sum_squares;
}
static double sum_errors(const struct fathom__worker *worker) {
    return worker->sum_errors;
}

/* Σ|x|² - |Σx|²/n of the loaded rows: their spread about their own mean. */
static double spread(const fathom_trainer *trainer, double *column, double (*part)(const struct fathom__worker *)) {
    const double squares = fathom__trainer_sum(trainer, column, part);
    double means = 0;
    for (size_t j = 0; j < trainer->stride; j++)
        means += column[j] * column[j];
    return squares - means / (double)trainer->n;
}

static uint64_t count_active(const struct fathom__active *active, size_t n) {
    uint64_t total = 0;
    for (size_t r = 0; r < n; r++)
        total += active->count[r];
    return total;
}

/* Time since *begin goes to a part, and *begin becomes now. */
static void lap(struct fathom_trainer_metrics *metrics, enum fathom_trainer_part part, double *begin) {
    const double now = fathom__seconds();
    metrics->part_seconds[part] += now - *begin;
    *begin = now;
}

static void note_active(fathom_trainer *trainer) {
    for (uint32_t f = 0; f < trainer->options.n_features; f++)
        if (trainer->main.bucket[f + 1] > trainer->main.bucket[f]) trainer->last_active[f] = trainer->rows;
}

static void note_threshold(fathom_trainer *trainer, float least) {
    trainer->floor = least;
    if (trainer->threshold < 0) {
        trainer->threshold = least;
        return;
    }
    const double steps = (double)trainer->step,
                 keep = steps / (steps + 1) < THRESHOLD_KEEP ? steps / (steps + 1) : THRESHOLD_KEEP;
    trainer->threshold = (float)(keep * trainer->threshold + (1 - keep) * least);
}

/* Σx of the batch, which the sums' next users overwrite. */
static void note_inputs(fathom_trainer *trainer) {
    memcpy(trainer->inputs_column, trainer->column, trainer->stride * sizeof *trainer->column);
    if (!trainer->options.d_out) return;
    memset(trainer->inputs_column, 0, trainer->stride * sizeof *trainer->inputs_column);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        for (size_t j = 0; j < trainer->stride; j++)
            trainer->inputs_column[j] += trainer->workers[w].input_column[j];
}

static void add_slopes(uint32_t worker, uint32_t n_workers, void *payload) {
    fathom_trainer *trainer = payload;
    struct fathom__worker *own = &trainer->workers[worker];
    size_t first, last;
    fathom__team_share(&first, &last, trainer->n, FATHOM__LANES, worker, n_workers);
    own->sum_penalty = 0;
    memset(own->sums, 0, fathom__sums_count(trainer) * sizeof *own->sums);
    for (size_t r = first; r < last; r++)
        trainer->architecture->slopes(trainer, own, r);
}

/* The sparsity loss, times the spread; its slopes are added to those of the reconstruction. */
static double find_penalty(struct fathom_trainer_metrics *metrics, fathom_trainer *trainer) {
    const double l0 = metrics->l0, k = trainer->options.k;
    double sum = 0;
    metrics->sparsity = fathom__trainer_sparsity(trainer, l0);
    trainer->half_sparsity = (float)(metrics->sparsity / 2);
    fathom__team_run(trainer->team, add_slopes, trainer);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        sum += trainer->workers[w].sum_penalty;
    if (trainer->options.quadratic_l0) /* the coefficient is the square's derivative by L0 */
        return metrics->sparsity * (l0 - k) / 2 * (double)trainer->n;
    return metrics->sparsity * sum;
}

/* Errors and slopes. Returns Σ|x^ - x|²; *loss gets what is minimised, times the spread. */
static double decode(double *loss, fathom_trainer *trainer) {
    if (trainer->architecture->decode)
        trainer->architecture->decode(trainer);
    else
        fathom__trainer_decode(trainer, true);
    const double errors = *loss = fathom__trainer_sum(trainer, trainer->error_column, sum_errors);
    if (!trainer->architecture->nested) return errors;
    *loss = 0;
    memset(trainer->error_column, 0, trainer->stride * sizeof *trainer->error_column);
    for (uint32_t w = 0; w < trainer->n_workers; w++) {
        *loss += trainer->workers[w].sum_prefixes / trainer->options.n_groups;
        for (size_t j = 0; j < trainer->stride; j++)
            trainer->error_column[j] += trainer->workers[w].prefix_column[j];
    }
    return errors;
}

int fathom_trainer_step(struct fathom_trainer_metrics *out, fathom_trainer *trainer, const float *rows, size_t n) {
    struct fathom_trainer_metrics metrics = {0};
    const struct fathom_trainer_options *options = &trainer->options;
    if (n == 0 || n > options->batch)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: %zu rows in a step; 1 to %u (batch) are expected", n,
                            options->batch);
    const double start = fathom__seconds();
    int status = trainer->prepared ? 0 : fathom_trainer_prepare(trainer, rows, n);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        memset(trainer->workers[w].seconds, 0, sizeof trainer->workers[w].seconds);
    double begin = fathom__seconds();
    if (!status) status = fathom__trainer_load(trainer, rows, n);
    if (status) return status;
    const double total = spread(trainer, trainer->column, sum_squares);
    note_inputs(trainer);
    lap(&metrics, FATHOM_TRAINER_ENCODE, &begin);
    status = fathom__trainer_pack(trainer);
    lap(&metrics, FATHOM_TRAINER_PACK, &begin);
    float least = 0;
    if (!status) status = trainer->architecture->choose(&least, trainer);
    if (status) return status;
    begin = fathom__seconds();
    metrics.l0 = (double)count_active(&trainer->main, n) / (double)n;
    double loss, gate = 0, penalty = 0, inactive = 0;
    if (trainer->architecture->second) gate = trainer->architecture->second(trainer);
    const double errors = decode(&loss, trainer);
    if (!trainer->architecture->exact) penalty = find_penalty(&metrics, trainer);
    lap(&metrics, FATHOM_TRAINER_DECODE, &begin);
    fathom__active_sort(&trainer->main, trainer);
    lap(&metrics, FATHOM_TRAINER_SORT, &begin);
    double before[FATHOM_TRAINER_PARTS] = {0};
    for (uint32_t w = 0; w < trainer->n_workers;
         w++) /* the auxiliary part has its own product and selection: keep them out of the main ones */
        for (int p = 0; p < FATHOM_TRAINER_PARTS; p++)
            before[p] += trainer->workers[w].seconds[p] / trainer->n_workers;
    const double prefixes = trainer->architecture->nested ? options->n_groups : 1;
    struct fathom__update update = {.factor = total > 0 ? 2 / (prefixes * total) : 0,
                                    .learning_rate = fathom__trainer_rate(options, trainer->step)};
    status = fathom__auxiliary_begin(&update.auxiliary_factor, trainer);
    if (status) return status;
    lap(&metrics, FATHOM_TRAINER_AUXILIARY, &begin);
    if (update.auxiliary_factor > 0 && trainer->dead_last) {
        fathom__trainer_update_others(trainer, &update);
        begin = fathom__seconds(); /* the workers have taken this time themselves */
    }
    status = fathom__trainer_auxiliary(&metrics.auxiliary_loss, trainer, &update);
    if (status) return status;
    lap(&metrics, FATHOM_TRAINER_AUXILIARY, &begin);
    for (int p = 0; p <= FATHOM_TRAINER_SELECT; p++)
        metrics.part_seconds[p] += before[p];

    metrics.gradient_norm = fathom__trainer_update(trainer, &update, trainer->error_column);
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        for (int p = FATHOM_TRAINER_GRADIENTS; p <= FATHOM_TRAINER_OPTIMISER; p++)
            metrics.part_seconds[p] += trainer->workers[w].seconds[p] / trainer->n_workers;
    trainer->packed = false;
    trainer->step++;
    trainer->rows += n;
    note_active(trainer);
    if (trainer->architecture->batchwise) note_threshold(trainer, least);
    fathom__trainer_control(trainer, metrics.l0);
    if (!out) return 0;
    metrics.step = trainer->step;
    metrics.rows = trainer->rows;
    for (uint32_t w = 0; w < trainer->n_workers && options->inactive_coefficient > 0; w++)
        inactive += options->inactive_coefficient * trainer->workers[w].sum_inactive;
    metrics.loss = total > 0 ? loss / total : 0;
    metrics.gate_loss = total > 0 ? gate / total : 0;
    metrics.sparsity_loss = total > 0 ? (penalty + inactive) / total : 0;
    metrics.fve = 1 - (total > 0 ? errors / total : 0);
    metrics.dead_fraction = (double)trainer->n_dead / options->n_features;
    metrics.learning_rate = update.learning_rate;
    metrics.seconds = fathom__seconds() - start;
    *out = metrics;
    return 0;
}
