/* The running mean that is kept lazily, beside one that is kept after every step; and that the dictionary is of it. */
#include <base/error.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { D = 16, FEATURES = 40, K = 3, ROWS = 24, STEPS = 60, WARMUP = 7 };
#define KEEP 0.9

static void random_rows(float *rows, uint64_t seed) {
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (size_t i = 0; i < ROWS * D; i++)
        rows[i] = (float)fathom__random_normal(&random) + (float)(seed % 3) * (i % D == seed % D);
}

static void follow(double *mean, const float *value, size_t n, int step) {
    for (size_t i = 0; i < n; i++)
        mean[i] = step < WARMUP ? value[i] : KEEP * mean[i] + (1 - KEEP) * value[i];
}

static void test_means(void **state) {
    (void)state;
    static float rows[ROWS * D];
    static double encoder[FEATURES * D], bias[FEATURES], threshold[FEATURES], decoder_bias[D];
    const struct fathom_trainer_options options = {.architecture = FATHOM_TRAIN_JUMPRELU,
                                                   .d_in = D,
                                                   .n_features = FEATURES,
                                                   .k = K,
                                                   .batch = ROWS,
                                                   .n_threads = 2,
                                                   .seed = 3,
                                                   .learning_rate = 1e-2,
                                                   .warmup_steps = WARMUP,
                                                   .ema = KEEP};
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_metrics metrics;
    struct fathom_trainer_evaluation evaluation;
    struct fathom_dictionary_parts parts;
    void *storage = NULL;
    int idle = 0;
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    assert_int_equal(trainer->stride, D);
    for (int step = 0; step < STEPS; step++) {
        random_rows(rows, (uint64_t)step);
        assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, ROWS), 0);
        const double shift = fathom__trainer_shift(trainer, metrics.l0); /* moves thresholds and means alike */
        for (size_t f = 0; f < FEATURES; f++)
            threshold[f] += shift;
        follow(encoder, trainer->encoder.value, FEATURES * D, step);
        follow(bias, trainer->encoder_bias.value, FEATURES, step);
        follow(threshold, trainer->scalar[0].value, FEATURES, step);
        follow(decoder_bias, trainer->decoder_bias.value, D, step);
        for (uint32_t f = 0; f < FEATURES && step > WARMUP; f++)
            idle += trainer->touched[f] < (uint32_t)step;
        if (step % 20 == 10) /* looking at the means changes nothing */
            assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, ROWS), 0);
    }
    assert_true(idle > 0); /* some features did lag behind */
    const double moved = fabs(encoder[0] - trainer->encoder.value[0]);
    assert_int_equal(fathom_trainer_parts(&parts, &storage, trainer), 0);
    for (size_t i = 0; i < FEATURES * D; i++)
        assert_true(fabs(parts.encoder[i] - encoder[i]) < 1e-5);
    for (size_t f = 0; f < FEATURES; f++) {
        assert_true(fabs(parts.encoder_bias[f] - bias[f]) < 1e-5);
        assert_true(fabs(parts.threshold[f] / exp(threshold[f]) - 1) < 1e-4);
    }
    for (size_t j = 0; j < D; j++)
        assert_true(fabs(parts.decoder_bias[j] - decoder_bias[j]) < 1e-5);
    assert_true(moved > 1e-4); /* and are not the parameters */
    fathom_free(storage);
    fathom_trainer_close(trainer);
}

static void test_refused(void **state) {
    (void)state;
    const struct fathom_trainer_options options = {
        .d_in = D, .n_features = FEATURES, .k = K, .batch = ROWS, .n_threads = 1, .ema = 1};
    fathom_trainer *trainer = NULL;
    assert_int_equal(fathom_trainer_open(&trainer, &options), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "ema 1"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_means), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
