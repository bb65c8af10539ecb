/* The auxiliary loss: what the strongest dead features make of the error that the others left. Their sums are those of
 * trainer_auxiliary_rows.c; of a cross-layer transcoder, whose rows have several lengths, those of the main features. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

enum {
    CHUNK = FATHOM__TILE_FEATURES,
    STEPS = 64 /* room for dead features grows by this part of all, so that it is made seldom */
};

static void find_dead(fathom_trainer *trainer) {
    const uint64_t dead_after = trainer->options.dead_after;
    trainer->n_dead = 0;
    for (uint32_t f = 0; f < trainer->options.n_features; f++) {
        const bool dead = f < trainer->forced_dead || trainer->rows - trainer->last_active[f] >= dead_after;
        trainer->dead_slot[f] = !dead ? UINT32_MAX : trainer->n_layers > 1 ? f : trainer->n_dead;
        if (dead) trainer->dead[trainer->n_dead++] = f;
    }
}

void fathom__auxiliary_close(fathom_trainer *trainer) {
    fathom__auxiliary_rows_close(trainer);
    fathom__dense_close(trainer->dead_encoder);
    fathom__loans_close(trainer);
    fathom__active_close(&trainer->auxiliary);
    trainer->dead_encoder = NULL;
    trainer->dead_bias = NULL;
    trainer->auxiliary_error = NULL;
    trainer->auxiliary = (struct fathom__active){0};
    trainer->dead_capacity = 0;
}

static size_t round_up(size_t n, size_t grain) {
    return (n + grain - 1) / grain * grain;
}

/* Room for the dead features. */
static int reserve(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const size_t capacity =
        round_up(trainer->n_dead, round_up((options->n_features + STEPS - 1) / STEPS, FATHOM__DEAD_CHUNK));
    const bool moved = trainer->lent_pairs && trainer->lent_pairs != trainer->main.feature;
    if (trainer->n_dead <= trainer->dead_capacity && !moved) return 0;
    fathom__auxiliary_close(trainer);
    /* Before anything is lent: these are written while the loaded inputs are still read. */
    int status = fathom__auxiliary_sums_open(trainer, capacity);
    fathom__loans_open(trainer);
    /* Small blocks come to more passes over the gradients, which only a small dictionary has few of. */
    trainer->block_rows = FATHOM__TILE_ROWS / (options->n_features < 2 * (size_t)options->batch ? 2 : 1);
    if (!status) status = fathom__auxiliary_gradients_open(trainer, capacity); /* first: best behind the errors */
    const size_t bytes = fathom__dense_tile_bytes(trainer->products[0], capacity);
    const struct fathom__dense_shape shape = {capacity, trainer->block_rows, fathom__lend(trainer, bytes), bytes};
    if (!status) status = fathom__dense_open_beside(&trainer->dead_encoder, trainer->products[0], &shape);
    if (!status) status = fathom__auxiliary_rows_open(trainer, capacity);
    if (status)
        fathom__auxiliary_close(trainer);
    else
        trainer->dead_capacity = capacity;
    return status;
}

static float dead_bias(const fathom_trainer *trainer, uint32_t feature) {
    return trainer->architecture->dead_bias ? trainer->architecture->dead_bias(trainer, feature)
                                            : trainer->encoder_bias.value[feature];
}

static int pack_chunk(fathom_trainer *trainer, uint32_t worker, size_t chunk) {
    const size_t first = chunk * CHUNK, n = fathom__tile_width(trainer->n_dead, chunk);
    const float *rows[CHUNK];
    for (size_t i = 0; i < n; i++) {
        rows[i] = trainer->encoder.value + (size_t)trainer->dead[first + i] * trainer->stride;
        trainer->dead_bias[first + i] = dead_bias(trainer, trainer->dead[first + i]);
    }
    fathom__auxiliary_rows_begin(trainer, first, first + n);
    return fathom__dense_pack(trainer->dead_encoder, worker, chunk, rows, n);
}

static void pack_dead(uint32_t worker, uint32_t n_workers, void *payload) {
    fathom_trainer *trainer = payload;
    size_t first, last;
    fathom__team_share(&first, &last, (trainer->n_dead + CHUNK - 1) / CHUNK, 1, worker, n_workers);
    for (size_t chunk = first; chunk < last; chunk++) {
        int status = pack_chunk(trainer, worker, chunk);
        if (status) {
            fathom__worker_fail(&trainer->workers[worker], status);
            return;
        }
    }
}

/* Of layers' features: by the products of the whole encoder, in which those that are not dead can never be chosen. */
static int open_layers(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    if (trainer->dead_capacity) return 0;
    int status = fathom__trainer_room(trainer, options->k_aux, FATHOM__TILE_ROWS);
    if (!status)
        status = fathom__active_open(&trainer->auxiliary, options->batch, (size_t)options->batch * options->k_aux,
                                     options->n_features, trainer->n_workers);
    if (!status)
        status = fathom__take(&trainer->auxiliary_error, trainer, options->batch * trainer->stride,
                              sizeof *trainer->auxiliary_error);
    if (!status)
        status = fathom__take(&trainer->dead_bias, trainer, options->n_features + FATHOM__TILE_FEATURES,
                              sizeof *trainer->dead_bias);
    if (status)
        fathom__auxiliary_close(trainer);
    else
        trainer->dead_capacity = options->n_features;
    return status;
}

static int layered_auxiliary(fathom_trainer *trainer, uint32_t k) {
    struct fathom__active *active = &trainer->auxiliary;
    const struct fathom__choice choice = {
        active, trainer->products, trainer->n_layers, trainer->dead_bias, trainer->layer_features, k, NULL};
    const struct fathom__decoding what = {
        .active = active, .from = FATHOM__FROM_ERROR, .error = trainer->auxiliary_error, .slopes = true};
    for (uint32_t f = 0; f < trainer->options.n_features; f++)
        trainer->dead_bias[f] = trainer->dead_slot[f] == UINT32_MAX ? -INFINITY : dead_bias(trainer, f);
    int status = fathom__trainer_choose(&choice, trainer);
    if (status) return status;
    fathom__trainer_decode_pairs(trainer, &what);
    fathom__active_sort(active, trainer);
    return 0;
}

static int dead_auxiliary(fathom_trainer *trainer, const struct fathom__update *update, uint32_t k) {
    if (trainer->n_layers > 1) return layered_auxiliary(trainer, k);
    fathom__auxiliary_rows_clear(trainer, update);
    int status = fathom__trainer_run(trainer, pack_dead, trainer);
    return status ? status : fathom__auxiliary_rows(trainer, k);
}

static double sum_errors(const struct fathom__worker *worker) {
    return worker->sum_errors;
}

/* Σ|e|² - |Σe|²/n: the residual's own spread, from the sums that the main decode left behind. */
static double residual_spread(fathom_trainer *trainer) {
    const double residual = fathom__trainer_sum(trainer, trainer->column, sum_errors);
    double means = 0;
    for (size_t j = 0; j < trainer->stride; j++)
        means += trainer->column[j] * trainer->column[j];
    return residual - means / (double)trainer->n;
}

int fathom__auxiliary_begin(double *factor, fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    *factor = 0;
    find_dead(trainer);
    if (trainer->n_dead == 0 || options->auxiliary_coefficient < 0) return 0;
    const double spread = residual_spread(trainer);
    if (!(spread > 0)) return 0;
    const double coefficient = options->auxiliary_coefficient *
                               (trainer->n_dead < options->k_aux ? (double)trainer->n_dead / options->k_aux : 1.0);
    *factor = coefficient * 2 / spread;
    if (trainer->n_layers > 1) return open_layers(trainer);
    int status = reserve(trainer);
    return status || !trainer->prefix_error ? status : fathom__nested_begin_dead(trainer);
}

int fathom__trainer_auxiliary(double *loss, fathom_trainer *trainer, const struct fathom__update *update) {
    const uint32_t k_aux = trainer->options.k_aux;
    *loss = 0;
    if (!(update->auxiliary_factor > 0)) return 0;
    int status = dead_auxiliary(trainer, update, k_aux < trainer->n_dead ? k_aux : trainer->n_dead);
    for (uint32_t w = 0; w < trainer->n_workers && !status; w++)
        *loss += update->auxiliary_factor / 2 * trainer->workers[w].sum_errors;
    return status;
}
