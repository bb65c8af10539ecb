/* A resumed trainer gives the bits of one that was never interrupted; damaged checkpoints are refused. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/random.h>
#include <base/scratch.h>
#include <dictionary/trainer_internal.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

static char checkpoint[2 * SCRATCH_PATH];

static int open_checkpoint(void **state) {
    (void)state;
    snprintf(checkpoint, sizeof checkpoint, "%s", scratch("checkpoint"));
    return 0;
}

static void steps(fathom_trainer *trainer, int first, int last) {
    static float rows[ROWS * D];
    for (int step = first; step < last; step++) {
        random_rows(rows, ROWS, D, (uint64_t)step);
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, ROWS), 0);
    }
}

static void check_resume(enum fathom_trainer_architecture architecture, bool transcoder, double ema) {
    const struct fathom_trainer_options options = {.architecture = architecture,
                                                   .d_in = transcoder ? D - 8 : D,
                                                   .d_out = transcoder ? 8 : 0,
                                                   .skip = transcoder,
                                                   .ema = ema,
                                                   .n_features = FEATURES,
                                                   .k = K,
                                                   .batch = ROWS,
                                                   .n_threads = 2,
                                                   .seed = 4,
                                                   .total_steps = 30,
                                                   .dead_after = 3 * ROWS,
                                                   .learning_rate = 1e-2};
    fathom_trainer *whole = NULL, *part = NULL, *resumed = NULL;
    char *note = NULL;
    assert_int_equal(fathom_trainer_open(&whole, &options), 0);
    steps(whole, 0, 30);
    assert_int_equal(fathom_trainer_open(&part, &options), 0);
    steps(part, 0, 13);
    assert_int_equal(fathom_trainer_save(part, checkpoint, "{\"a\": 1}"), 0);
    fathom_trainer_close(part);
    assert_int_equal(fathom_trainer_resume(&resumed, &note, checkpoint, 0), 0);
    assert_string_equal(note, "{\"a\": 1}");
    fathom_free(note);
    steps(resumed, 13, 30);
    const size_t floats = FEATURES * whole->stride;
    assert_memory_equal(whole->encoder.value, resumed->encoder.value, floats * sizeof(float));
    assert_memory_equal(whole->decoder.value, resumed->decoder.value, floats * sizeof(float));
    assert_memory_equal(whole->encoder.second, resumed->encoder.second, floats * sizeof(float));
    assert_memory_equal(whole->encoder_bias.value, resumed->encoder_bias.value, FEATURES * sizeof(float));
    assert_memory_equal(whole->decoder_bias.value, resumed->decoder_bias.value, whole->stride * sizeof(float));
    assert_memory_equal(whole->last_active, resumed->last_active, FEATURES * sizeof *whole->last_active);
    if (transcoder) assert_memory_equal(whole->skip.value, resumed->skip.value, 8 * whole->stride * sizeof(float));
    if (ema > 0) {
        assert_memory_equal(whole->encoder.average, resumed->encoder.average, floats * sizeof(float));
        assert_memory_equal(whole->skip.average, resumed->skip.average, 8 * whole->stride * sizeof(float));
    }
    for (uint32_t s = 0; s < whole->architecture->n_scalars; s++)
        assert_memory_equal(whole->scalar[s].value, resumed->scalar[s].value, FEATURES * sizeof(float));
    assert_true(whole->threshold == resumed->threshold);
    assert_true(whole->sparsity == resumed->sparsity);
    fathom_trainer_close(whole);
    fathom_trainer_close(resumed);
}

static void test_resume(void **state) {
    (void)state;
    for (int architecture = 0; architecture < FATHOM_TRAIN_ARCHITECTURES; architecture++)
        for (int transcoder = 0; transcoder < 2; transcoder++)
            check_resume((enum fathom_trainer_architecture)architecture, transcoder, transcoder ? 0.9 : 0);
}

static void test_damaged_checkpoints(void **state) {
    (void)state;
    const struct fathom_trainer_options options = {
        .d_in = D, .n_features = FEATURES, .k = K, .batch = ROWS, .n_threads = 1, .seed = 4};
    fathom_trainer *trainer = NULL, *resumed = NULL;
    char *bytes = NULL;
    size_t length = 0;
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    steps(trainer, 0, 2);
    assert_int_equal(fathom_trainer_save(trainer, checkpoint, NULL), 0);
    fathom_trainer_close(trainer);
    assert_int_equal(fathom__file_read(&bytes, &length, checkpoint, SIZE_MAX / 2), 0);
    assert_int_equal(fathom__file_write(checkpoint, bytes, length / 2), 0); /* half-written */
    assert_int_equal(fathom_trainer_resume(&resumed, NULL, checkpoint, 0), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "checksum"));
    bytes[length / 2] ^= 1; /* one bit */
    assert_int_equal(fathom__file_write(checkpoint, bytes, length), 0);
    assert_int_equal(fathom_trainer_resume(&resumed, NULL, checkpoint, 0), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "checksum"));
    assert_int_equal(fathom__file_write(checkpoint, "no", 2), 0);
    assert_int_equal(fathom_trainer_resume(&resumed, NULL, checkpoint, 0), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom_trainer_resume(&resumed, NULL, "/absent/file", 0), FATHOM_ERROR_IO);
    fathom_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_resume, open_checkpoint),
        cmocka_unit_test_setup(test_damaged_checkpoints, open_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
