/* One step, and what is measured with the same parts: evaluation and calibration. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <stdio.h>

#define THRESHOLD_KEEP 0.999 /* BatchTopK's running mean, once it has seen as many batches */
#define DECAY_FROM 0.8       /* of total_steps */

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

static double learning_rate(const struct fathom_trainer_options *options, uint64_t step) {
    double rate = options->learning_rate;
    if (step < options->warmup_steps) rate *= (double)(step + 1) / options->warmup_steps;
    const double from = DECAY_FROM * (double)options->total_steps;
    if (options->total_steps && (double)step >= from) {
        const double left = ((double)options->total_steps - (double)step) / ((double)options->total_steps - from);
        rate *= left > 0 ? left : 0;
    }
    return rate;
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

/* The features of the loaded rows, as training chooses them. */
static int choose(float *least, fathom_trainer *trainer) {
    if (trainer->options.architecture == FATHOM_TRAIN_BATCHTOPK)
        return fathom__trainer_batchtopk(&trainer->main, least, trainer);
    return fathom__trainer_topk(&trainer->main, trainer, trainer->product, trainer->encoder_bias.value,
                                trainer->options.n_features, trainer->options.k);
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
    lap(&metrics, FATHOM_TRAINER_ENCODE, &begin);
    status = fathom__trainer_pack(trainer);
    lap(&metrics, FATHOM_TRAINER_PACK, &begin);
    float least = 0;
    if (!status) status = choose(&least, trainer);
    if (status) return status;
    begin = fathom__seconds();
    fathom__trainer_decode(trainer, true);
    const double errors = fathom__trainer_sum(trainer, trainer->error_column, sum_errors);
    lap(&metrics, FATHOM_TRAINER_DECODE, &begin);
    fathom__active_sort(&trainer->main, trainer);
    lap(&metrics, FATHOM_TRAINER_SORT, &begin);
    double before[FATHOM_TRAINER_PARTS] = {0};
    for (uint32_t w = 0; w < trainer->n_workers;
         w++) /* the auxiliary part has its own product and selection: keep them out of the main ones */
        for (int p = 0; p < FATHOM_TRAINER_PARTS; p++)
            before[p] += trainer->workers[w].seconds[p] / trainer->n_workers;
    struct fathom__update update = {.factor = total > 0 ? 2 / total : 0,
                                    .learning_rate = learning_rate(options, trainer->step)};
    status = fathom__trainer_auxiliary(&metrics.auxiliary_loss, &update.auxiliary_factor, trainer);
    if (status) return status;
    lap(&metrics, FATHOM_TRAINER_AUXILIARY, &begin);
    for (int p = 0; p <= FATHOM_TRAINER_SELECT; p++)
        metrics.part_seconds[p] += before[p];

    status = fathom__trainer_update(&metrics.gradient_norm, trainer, &update, trainer->error_column);
    if (status) return status;
    for (uint32_t w = 0; w < trainer->n_workers; w++)
        for (int p = FATHOM_TRAINER_GRADIENTS; p <= FATHOM_TRAINER_OPTIMISER; p++)
            metrics.part_seconds[p] += trainer->workers[w].seconds[p] / trainer->n_workers;
    trainer->packed = false;
    trainer->step++;
    trainer->rows += n;
    note_active(trainer);
    if (options->architecture == FATHOM_TRAIN_BATCHTOPK) note_threshold(trainer, least);
    if (!out) return 0;
    metrics.step = trainer->step;
    metrics.rows = trainer->rows;
    metrics.loss = total > 0 ? errors / total : 0;
    metrics.fve = 1 - metrics.loss;
    metrics.l0 = (double)count_active(&trainer->main, n) / (double)n;
    metrics.dead_fraction = (double)trainer->n_dead / options->n_features;
    metrics.learning_rate = update.learning_rate;
    metrics.seconds = fathom__seconds() - start;
    *out = metrics;
    return 0;
}
