/* The trainer's step against a plain one in double: gradients, optimiser, selection; and what it refuses. */
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { D = 20, FEATURES = 48, K = 5, ROWS = 70 };

static void random_rows(float *rows, size_t n, size_t d, uint64_t seed) {
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (size_t i = 0; i < n * d; i++)
        rows[i] = (float)fathom__random_normal(&random) + (i % d == 3 ? 0.5F : 0);
}

/* Gradients ------------------------------------------------------------------------------------------------ */

/* Parameters in double. */
struct model {
    double encoder[FEATURES][D], encoder_bias[FEATURES], decoder[FEATURES][D], decoder_bias[D];
};

static double pre_activation(const struct model *model, const double *x, int f) {
    double sum = model->encoder_bias[f];
    for (int j = 0; j < D; j++)
        sum += model->encoder[f][j] * (x[j] - model->decoder_bias[j]);
    return sum;
}

/* The loss of trainer.h, for features that are held fixed: what is differentiated. */
static double find_loss(const struct model *model, const double *x, size_t n, const bool *chosen) {
    double errors = 0, squares = 0, mean[D] = {0};
    for (size_t r = 0; r < n; r++) {
        double y[D];
        memcpy(y, model->decoder_bias, sizeof y);
        for (int f = 0; f < FEATURES; f++) {
            if (!chosen[r * FEATURES + f]) continue;
            const double value = pre_activation(model, x + r * D, f);
            for (int j = 0; j < D; j++)
                y[j] += value * model->decoder[f][j];
        }
        for (int j = 0; j < D; j++) {
            errors += (y[j] - x[r * D + j]) * (y[j] - x[r * D + j]);
            mean[j] += x[r * D + j] / (double)n;
        }
    }
    for (size_t r = 0; r < n; r++)
        for (int j = 0; j < D; j++)
            squares += (x[r * D + j] - mean[j]) * (x[r * D + j] - mean[j]);
    return errors / squares;
}

static void choose(bool *chosen, const struct model *model, const double *x, size_t n, int k) {
    for (size_t r = 0; r < n; r++) {
        bool *row = chosen + r * FEATURES;
        memset(row, 0, FEATURES * sizeof *row);
        for (int i = 0; i < k; i++) {
            int best = -1;
            double most = 0;
            for (int f = 0; f < FEATURES; f++) {
                const double value = pre_activation(model, x + r * D, f);
                if (!row[f] && value > most) {
                    most = value;
                    best = f;
                }
            }
            if (best >= 0) row[best] = true;
        }
    }
}

static void read_model(struct model *model, const fathom_trainer *trainer) {
    for (int f = 0; f < FEATURES; f++) {
        for (int j = 0; j < D; j++) {
            model->encoder[f][j] = trainer->encoder.value[f * trainer->stride + j];
            model->decoder[f][j] = trainer->decoder.value[f * trainer->stride + j];
        }
        model->encoder_bias[f] = trainer->encoder_bias.value[f];
    }
    for (int j = 0; j < D; j++)
        model->decoder_bias[j] = trainer->decoder_bias.value[j];
}

static double slope(struct model *model, double *parameter, const double *x, size_t n, const bool *chosen) {
    const double step = 1e-5, kept = *parameter;
    *parameter = kept + step;
    const double above = find_loss(model, x, n, chosen);
    *parameter = kept - step;
    const double below = find_loss(model, x, n, chosen);
    *parameter = kept;
    return (above - below) / (2 * step);
}

/* Cosine and length of what the trainer found against what differences give. */
static void check_direction(const double *found, const double *expected, size_t n, const char *name) {
    double product = 0, a = 0, b = 0;
    for (size_t i = 0; i < n; i++) {
        product += found[i] * expected[i];
        a += found[i] * found[i];
        b += expected[i] * expected[i];
    }
    if (!(b > 0) || product / sqrt(a * b) < 0.9995 || fabs(sqrt(a / b) - 1) > 0.01)
        fail_msg("%s: cosine %.6f, lengths %.6g and %.6g", name, product / sqrt(a * b), sqrt(a), sqrt(b));
}

/* After one step from zero moments, Adam's first moment is a tenth of the gradient. */
#define FIRST_STEP 0.1

static void test_gradients(void **state) {
    (void)state;
    static float rows[ROWS * D];
    static double x[ROWS * D], expected[FEATURES * D], found[FEATURES * D];
    static bool chosen[ROWS * FEATURES];
    static struct model model;
    const struct fathom_trainer_options options = {.d_in = D,
                                                   .n_features = FEATURES,
                                                   .k = K,
                                                   .batch = ROWS,
                                                   .n_threads = 2,
                                                   .seed = 4,
                                                   .auxiliary_coefficient = -1};
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_metrics metrics;
    random_rows(rows, ROWS, D, 5);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    assert_int_equal(fathom_trainer_prepare(trainer, rows, ROWS), 0);
    read_model(&model, trainer);
    for (size_t i = 0; i < ROWS * D; i++)
        x[i] = rows[i] * trainer->input_scale;
    choose(chosen, &model, x, ROWS, K);
    assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, ROWS), 0);
    const double loss = find_loss(&model, x, ROWS, chosen);
    assert_true(fabs(metrics.loss / loss - 1) < 0.01);
    assert_true(fabs(metrics.l0 - K) < 0.2);

    double squares = 0;
    for (int f = 0; f < FEATURES; f++) {
        double along = 0;
        for (int j = 0; j < D; j++) {
            expected[f * D + j] = slope(&model, &model.decoder[f][j], x, ROWS, chosen);
            along += expected[f * D + j] * model.decoder[f][j];
        }
        for (int j = 0; j < D; j++) {
            expected[f * D + j] -= along * model.decoder[f][j];
            found[f * D + j] = trainer->decoder.first[f * trainer->stride + j] / FIRST_STEP;
            squares += expected[f * D + j] * expected[f * D + j];
        }
    }
    check_direction(found, expected, FEATURES * D, "decoder");
    for (int f = 0; f < FEATURES; f++)
        for (int j = 0; j < D; j++) {
            expected[f * D + j] = slope(&model, &model.encoder[f][j], x, ROWS, chosen);
            found[f * D + j] = trainer->encoder.first[f * trainer->stride + j] / FIRST_STEP;
            squares += expected[f * D + j] * expected[f * D + j];
        }
    check_direction(found, expected, FEATURES * D, "encoder");
    for (int f = 0; f < FEATURES; f++) {
        expected[f] = slope(&model, &model.encoder_bias[f], x, ROWS, chosen);
        found[f] = trainer->encoder_bias.first[f] / FIRST_STEP;
        squares += expected[f] * expected[f];
    }
    check_direction(found, expected, FEATURES, "encoder bias");
    for (int j = 0; j < D; j++) {
        expected[j] = slope(&model, &model.decoder_bias[j], x, ROWS, chosen);
        found[j] = trainer->decoder_bias.first[j] / FIRST_STEP;
    }
    check_direction(found, expected, D, "decoder bias");
    assert_true(fabs(metrics.gradient_norm / sqrt(squares) - 1) < 0.01);
    for (int f = 0; f < FEATURES; f++) {
        const float *row = trainer->decoder.value + f * trainer->stride;
        assert_true(fabs(fathom__dot(row, row, trainer->stride) - 1) < 1e-5);
    }
    fathom_trainer_close(trainer);
}

/* The auxiliary loss of trainer.h for chosen features and a residual that are both held fixed. */
static double find_auxiliary(const struct model *model, const double *x, size_t n, const bool *chosen,
                             const double *residual) {
    double errors = 0, squares = 0, mean[D] = {0};
    for (size_t r = 0; r < n; r++) {
        double y[D] = {0};
        for (int f = 0; f < FEATURES; f++) {
            if (!chosen[r * FEATURES + f]) continue;
            const double value = pre_activation(model, x + r * D, f);
            for (int j = 0; j < D; j++)
                y[j] += value * model->decoder[f][j];
        }
        for (int j = 0; j < D; j++) {
            errors += (y[j] - residual[r * D + j]) * (y[j] - residual[r * D + j]);
            mean[j] += residual[r * D + j] / (double)n;
        }
    }
    for (size_t r = 0; r < n; r++)
        for (int j = 0; j < D; j++)
            squares += (residual[r * D + j] - mean[j]) * (residual[r * D + j] - mean[j]);
    return errors / squares;
}

/* Gradients of the features that count as dead: those of the auxiliary loss, since they are kept from firing
 * otherwise. */
static void test_auxiliary_gradients(void **state) {
    (void)state;
    enum { DEAD = 20, AUXILIARY = 4 };
    static float rows[ROWS * D];
    static double x[ROWS * D], residual[ROWS * D], expected[DEAD * D], found[DEAD * D];
    static bool main_chosen[ROWS * FEATURES], chosen[ROWS * FEATURES];
    static struct model model, only_dead;
    const double coefficient = 0.5, step = 1e-5;
    const struct fathom_trainer_options options = {.d_in = D,
                                                   .n_features = FEATURES,
                                                   .k = K,
                                                   .batch = ROWS,
                                                   .n_threads = 2,
                                                   .seed = 4,
                                                   .k_aux = AUXILIARY,
                                                   .auxiliary_coefficient = coefficient};
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_metrics metrics;
    random_rows(rows, ROWS, D, 5);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    assert_int_equal(fathom_trainer_prepare(trainer, rows, ROWS), 0);
    fathom__trainer_force_dead(trainer, DEAD);
    read_model(&model, trainer);
    for (size_t i = 0; i < ROWS * D; i++)
        x[i] = rows[i] * trainer->input_scale;
    choose(main_chosen, &model, x, ROWS, K);
    for (size_t r = 0; r < ROWS; r++) /* what the main features leave */
        for (int j = 0; j < D; j++) {
            double y = model.decoder_bias[j];
            for (int f = 0; f < FEATURES; f++)
                if (main_chosen[r * FEATURES + f]) y += pre_activation(&model, x + r * D, f) * model.decoder[f][j];
            residual[r * D + j] = x[r * D + j] - y;
        }
    only_dead = model;
    for (int f = DEAD; f < FEATURES; f++)
        only_dead.encoder_bias[f] = -1e9;
    choose(chosen, &only_dead, x, ROWS, AUXILIARY);
    assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, ROWS), 0);
    assert_true(fabs(metrics.auxiliary_loss / (coefficient * find_auxiliary(&model, x, ROWS, chosen, residual)) - 1) <
                0.02);
    for (int matrix = 0; matrix < 2; matrix++) {
        for (int f = 0; f < DEAD; f++) {
            double along = 0;
            for (int j = 0; j < D; j++) {
                double *parameter = matrix ? &model.encoder[f][j] : &model.decoder[f][j], kept = *parameter, losses[2];
                for (int side = 0; side < 2; side++) {
                    *parameter = kept + (side ? step : -step);
                    losses[side] = find_loss(&model, x, ROWS, main_chosen) +
                                   coefficient * find_auxiliary(&model, x, ROWS, chosen, residual);
                }
                *parameter = kept;
                expected[f * D + j] = (losses[1] - losses[0]) / (2 * step);
                along += expected[f * D + j] * model.decoder[f][j];
            }
            for (int j = 0; j < D; j++) {
                if (!matrix) expected[f * D + j] -= along * model.decoder[f][j];
                found[f * D + j] =
                    (matrix ? trainer->encoder : trainer->decoder).first[f * trainer->stride + j] / FIRST_STEP;
            }
        }
        check_direction(found, expected, DEAD * D, matrix ? "auxiliary encoder" : "auxiliary decoder");
    }
    fathom_trainer_close(trainer);
}

/* Optimiser ------------------------------------------------------------------------------------------------ */

/* The whole of Adam, dense, beside the trainer's: one feature that is active in the first and the last of five steps
 * only. */
static void test_lazy_moments(void **state) {
    (void)state;
    const struct fathom_trainer_options options = {.d_in = 16,
                                                   .n_features = 2,
                                                   .k = 1,
                                                   .batch = 4,
                                                   .n_threads = 1,
                                                   .seed = 1,
                                                   .auxiliary_coefficient = -1,
                                                   .no_input_scale = true};
    fathom_trainer *trainer = NULL;
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    trainer->prepared = true;
    memset(trainer->encoder.value, 0, 2 * trainer->stride * sizeof(float));
    memset(trainer->decoder.value, 0, 2 * trainer->stride * sizeof(float));
    for (size_t f = 0; f < 2;
         f++) { /* feature f looks along axis f; its decoder points elsewhere too, so that there is a gradient */
        trainer->encoder.value[f * trainer->stride + f] = 1;
        trainer->decoder.value[f * trainer->stride + f] = 0.6F;
        trainer->decoder.value[f * trainer->stride + 6 + f] = 0.8F;
    }
    double first = 0, second = 0;
    const float *moment = trainer->encoder.first, *squared = trainer->encoder.second; /* feature 0, axis 0 */
    for (int step = 0; step < 5; step++) {
        float rows[4 * 16] = {0};
        const bool active = step == 0 || step == 4;
        for (int r = 0; r < 4; r++) {
            rows[r * 16 + (active ? 0 : 1)] = 3;
            rows[r * 16 + 5] = (float)(r + 1);
        }
        const float before = *moment, before_squared = *squared;
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, 4), 0);
        if (!active) { /* untouched, parameters too */
            assert_true(*moment == before && *squared == before_squared);
            first *= 0.9;
            second *= 0.999;
            continue;
        }
        if (step == 0) {
            first = *moment;
            second = *squared;
            assert_true(first != 0);
            continue;
        }
        /* The gradient of the last step is not known here, but must be one and the same number in both moments. */
        const double gradient = (*moment - 0.9 * first) / 0.1;
        assert_true(fabs((0.999 * second + 0.001 * gradient * gradient) / *squared - 1) < 1e-4);
    }
    fathom_trainer_close(trainer);
}

static void test_clipping(void **state) {
    (void)state;
    static float rows[ROWS * D];
    struct fathom_trainer_options options = {.d_in = D,
                                             .n_features = FEATURES,
                                             .k = K,
                                             .batch = ROWS,
                                             .n_threads = 2,
                                             .seed = 4,
                                             .auxiliary_coefficient = -1};
    fathom_trainer *free_trainer = NULL, *clipped = NULL;
    struct fathom_trainer_metrics a, b;
    random_rows(rows, ROWS, D, 5);
    assert_int_equal(fathom_trainer_open(&free_trainer, &options), 0);
    assert_int_equal(fathom_trainer_step(&a, free_trainer, rows, ROWS), 0);
    options.gradient_clip = a.gradient_norm / 4;
    assert_int_equal(fathom_trainer_open(&clipped, &options), 0);
    assert_int_equal(fathom_trainer_step(&b, clipped, rows, ROWS), 0);
    assert_true(a.gradient_norm == b.gradient_norm); /* told before clipping */
    for (size_t i = 0; i < FEATURES * clipped->stride; i++)
        assert_true(fabs(clipped->encoder.first[i] - free_trainer->encoder.first[i] / 4) <=
                    1e-6 * fabs(free_trainer->encoder.first[i]) + 1e-12);
    fathom_trainer_close(free_trainer);
    fathom_trainer_close(clipped);
}

/* Selection ------------------------------------------------------------------------------------------------ */

static int descending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static void test_batchtopk(void **state) {
    (void)state;
    enum { N = 300, F = 700, WIDTH = 32, ACTIVE = 6 };
    static float rows[N * WIDTH];
    const struct fathom_trainer_options options = {.architecture = FATHOM_TRAIN_BATCHTOPK,
                                                   .d_in = WIDTH,
                                                   .n_features = F,
                                                   .k = ACTIVE,
                                                   .batch = N,
                                                   .n_threads = 2,
                                                   .seed = 1,
                                                   .auxiliary_coefficient = -1};
    static const float floors[] = {-1, 0, 0.5F, 1e6F}; /* the guess must not matter */
    fathom_trainer *trainer = NULL;
    float *all = calloc(N * F, sizeof *all);
    random_rows(rows, N, WIDTH, 6);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    assert_int_equal(fathom_trainer_prepare(trainer, rows, N), 0);
    assert_int_equal(fathom__trainer_load(trainer, rows, N), 0);
    assert_int_equal(fathom__trainer_pack(trainer), 0);
    /* Every positive pre-activation, as per-row TopK with k = F would give it: here by the product itself. */
    size_t n_all = 0;
    float *tile = NULL;
    assert_int_equal(fathom__alloc_aligned(&tile, FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES, sizeof *tile), 0);
    for (size_t block = 0; block < N; block += FATHOM__TILE_ROWS)
        for (size_t t = 0; t < fathom__dense_tiles(trainer->products[0]); t++) {
            assert_int_equal(fathom__dense_run(tile, trainer->products[0], 0, t, 1,
                                               trainer->x_bf16 + block * trainer->stride, FATHOM__TILE_ROWS),
                             0);
            for (size_t r = 0; r < FATHOM__TILE_ROWS && block + r < N; r++)
                for (size_t i = 0; i < fathom__tile_width(F, t); i++)
                    if (tile[r * FATHOM__TILE_FEATURES + i] > 0) all[n_all++] = tile[r * FATHOM__TILE_FEATURES + i];
        }
    fathom_free(tile);
    assert_true(n_all > N * ACTIVE);
    qsort(all, n_all, sizeof *all, descending);
    double expected = 0, cut = INFINITY;
    for (size_t i = 0; i < N * ACTIVE; i++) {
        expected += all[i];
        if (all[i] < cut) cut = all[i];
    }
    for (size_t c = 0; c < sizeof floors / sizeof *floors; c++) {
        float least = 0;
        trainer->floor = floors[c];
        assert_int_equal(fathom__trainer_batchtopk(&least, trainer), 0);
        double sum = 0;
        size_t count = 0;
        for (size_t r = 0; r < N; r++) {
            count += trainer->main.count[r];
            for (uint32_t i = 0; i < trainer->main.count[r]; i++)
                sum += trainer->main.value[trainer->main.start[r] + i];
        }
        assert_int_equal(count, N * ACTIVE);
        assert_true(fabs(sum / expected - 1) < 1e-9);
        assert_true(least == (float)cut);
    }
    free(all);
    fathom_trainer_close(trainer);
}

/* Arguments ------------------------------------------------------------------------------------------------ */

static void test_bad_arguments(void **state) {
    (void)state;
    const struct fathom_trainer_options good = {
        .d_in = D, .n_features = FEATURES, .k = K, .batch = ROWS, .n_threads = 1};
    struct fathom_trainer_options bad = good;
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_evaluation evaluation;
    static float rows[ROWS * D];
    bad.k = FEATURES + 1;
    assert_int_equal(fathom_trainer_open(&trainer, &bad), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "k 49"));
    bad = good;
    bad.d_in = 0;
    assert_int_equal(fathom_trainer_open(&trainer, &bad), FATHOM_ERROR_ARGUMENT);
    bad = good;
    bad.sparsity = 1; /* TopK has none */
    assert_int_equal(fathom_trainer_open(&trainer, &bad), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "topk has no sparsity loss"));
    bad = good;
    bad.skip = true;
    assert_int_equal(fathom_trainer_open(&trainer, &bad), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "d_out"));
    bad = good;
    bad.architecture = FATHOM_TRAIN_GATED;
    bad.quadratic_l0 = true;
    assert_int_equal(fathom_trainer_open(&trainer, &bad), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "gated"));
    bad = good;
    bad.architecture = FATHOM_TRAIN_MATRYOSHKA;
    bad.groups[0] = bad.n_groups = 2;
    bad.groups[1] = FEATURES;
    assert_int_equal(fathom_trainer_open(&trainer, &bad), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "groups of 50 features"));
    bad = good;
    bad.architecture = FATHOM_TRAIN_ARCHITECTURES;
    assert_int_equal(fathom_trainer_open(&trainer, &bad), FATHOM_ERROR_ARGUMENT);
    bad = good;
    bad.learning_rate = NAN;
    assert_int_equal(fathom_trainer_open(&trainer, &bad), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_trainer_open(&trainer, &good), 0);
    random_rows(rows, ROWS, D, 1);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, ROWS), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_trainer_step(NULL, trainer, rows, ROWS + 1), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_trainer_step(NULL, trainer, rows, ROWS), 0);
    assert_int_equal(fathom_trainer_prepare(trainer, rows, ROWS), FATHOM_ERROR_ARGUMENT);
    float *before = NULL;
    assert_int_equal(fathom__alloc(&before, FEATURES * trainer->stride, sizeof *before), 0);
    memcpy(before, trainer->encoder.value, FEATURES * trainer->stride * sizeof *before);
    rows[7 * D + 2] = NAN;
    assert_int_equal(fathom_trainer_step(NULL, trainer, rows, ROWS), FATHOM_ERROR_NUMERIC);
    assert_non_null(strstr(fathom_error_message(), "row 7"));
    assert_memory_equal(before, trainer->encoder.value, FEATURES * trainer->stride * sizeof *before);
    fathom_free(before);
    fathom_trainer_close(trainer);
}

static void test_presets(void **state) {
    (void)state;
    static const char *const names[] = {"april-2024", "gemma-scope", "january-2025"};
    static float rows[ROWS * D];
    random_rows(rows, ROWS, D, 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct fathom_trainer_options options = {
            .d_in = D, .n_features = FEATURES, .k = K, .batch = ROWS, .n_threads = 1, .total_steps = 100};
        fathom_trainer *trainer = NULL;
        struct fathom_trainer_metrics metrics;
        assert_int_equal(fathom_trainer_preset(&options, names[i]), 0);
        assert_int_equal(options.k, K);
        assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
        assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, ROWS), 0);
        assert_true(metrics.sparsity_loss > 0);
        fathom_trainer_close(trainer);
    }
    struct fathom_trainer_options options = {.k = K};
    assert_int_equal(fathom_trainer_preset(&options, "april"), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "april-2024"));
}

/* The learning rate, relative to the one asked for, at some steps. */
static void test_schedules(void **state) {
    (void)state;
    static const struct {
        enum fathom_trainer_schedule schedule;
        double at[5]; /* steps 0, 9, 55, 90 and 99 of 100, ten of which warm up */
    } expected[] = {
        {FATHOM_SCHEDULE_LAST_FIFTH, {0.1, 1, 1, 0.5, 0.05}},
        {FATHOM_SCHEDULE_CONSTANT, {0.1, 1, 1, 1, 1}},
        {FATHOM_SCHEDULE_LINEAR, {0.1, 1, 0.5, 1.0 / 9, 1.0 / 90}},
        {FATHOM_SCHEDULE_COSINE, {0.1, 1, 0.5, 0.0301537, 0.0003046}},
    };
    static const uint64_t steps[] = {0, 9, 55, 90, 99};
    for (size_t s = 0; s < sizeof expected / sizeof *expected; s++)
        for (int i = 0; i < 5; i++) {
            const struct fathom_trainer_options options = {
                .learning_rate = 3e-4, .total_steps = 100, .warmup_steps = 10, .schedule = expected[s].schedule};
            if (fabs(fathom__trainer_rate(&options, steps[i]) / 3e-4 - expected[s].at[i]) > 1e-6)
                fail_msg("schedule %zu, step %d: %.7f", s, (int)steps[i],
                         fathom__trainer_rate(&options, steps[i]) / 3e-4);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),    cmocka_unit_test(test_auxiliary_gradients),
        cmocka_unit_test(test_lazy_moments), cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_batchtopk),    cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_presets),      cmocka_unit_test(test_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
