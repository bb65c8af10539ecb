#include "base/random.h"
#include "base/scratch.h"
#include "catalogue/encode.h"

#include <fathom/error.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { WIDTH = 16, FEATURES = 40, ROWS = 500 };

static fathom_dictionary *dictionary;
static float rows[ROWS * WIDTH];
static int32_t positions[ROWS];

static float number(struct fathom__random *random) {
    return (float)fathom__random_unit(random) * 2 - 1;
}

static int set_up(void **state) {
    (void)state;
    static float matrix[FEATURES * WIDTH], zeros[FEATURES], threshold[FEATURES];
    char path[SCRATCH_PATH + 32];
    struct fathom__random random;
    fathom__random_seed(&random, 3);
    for (int i = 0; i < FEATURES * WIDTH; i++)
        matrix[i] = number(&random);
    for (int i = 0; i < FEATURES; i++)
        threshold[i] = 0.5f;
    for (int i = 0; i < ROWS * WIDTH; i++)
        rows[i] = number(&random);
    for (int i = 0; i < ROWS; i++)
        positions[i] = i % 50;
    const struct fathom_dictionary_parts parts = {.info = {.name = "tiny",
                                                           .architecture = "batchtopk",
                                                           .hook_in = "blocks.1.hook_resid_post",
                                                           .hook_out = "blocks.1.hook_resid_post",
                                                           .model_identity = "0123456789abcdef0123456789abcdef",
                                                           .model_name = "a model",
                                                           .training = "{}",
                                                           .d_in = WIDTH,
                                                           .d_out = WIDTH,
                                                           .n_features = FEATURES,
                                                           .k = 4,
                                                           .input_scale = 1,
                                                           .skip_positions = 1,
                                                           .max_norm = INFINITY},
                                                  .encoder = matrix,
                                                  .encoder_bias = zeros,
                                                  .decoder = matrix,
                                                  .decoder_bias = zeros,
                                                  .threshold = threshold};
    snprintf(path, sizeof path, "%s/dictionary.gguf", scratch_root());
    return fathom_dictionary_write(path, &parts, "f32") || fathom_dictionary_open(&dictionary, path);
}

static int tear_down(void **state) {
    (void)state;
    fathom_dictionary_close(dictionary);
    return 0;
}

static void assert_same(const struct fathom_sparse *one, const struct fathom_sparse *two) {
    assert_int_equal(one->n_rows, two->n_rows);
    assert_memory_equal(one->offsets, two->offsets, (one->n_rows + 1) * sizeof *one->offsets);
    const size_t n = one->offsets[one->n_rows];
    assert_memory_equal(one->features, two->features, n * sizeof *one->features);
    assert_memory_equal(one->values, two->values, n * sizeof *one->values);
}

static void parts_put_together_are_the_whole(void **state) {
    (void)state;
    static const size_t sizes[] = {ROWS, 1, 63, 65, 0, 200};
    for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
        fathom__encoder *encoder;
        struct fathom_sparse whole = FATHOM_SPARSE_INIT, together = FATHOM_SPARSE_INIT;
        assert_int_equal(fathom__encoder_open(&encoder, dictionary, n_threads), FATHOM_OK);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            assert_int_equal(fathom_dictionary_encode(&whole, dictionary, rows, positions, sizes[i], FATHOM_ENCODE_RUN),
                             FATHOM_OK);
            assert_int_equal(fathom__encoder_run(&together, encoder, rows, positions, sizes[i]), FATHOM_OK);
            assert_same(&whole, &together);
        }
        assert_int_equal(fathom_dictionary_encode(&whole, dictionary, rows, NULL, ROWS, FATHOM_ENCODE_RUN), FATHOM_OK);
        assert_int_equal(fathom__encoder_run(&together, encoder, rows, NULL, ROWS), FATHOM_OK);
        assert_same(&whole, &together);
        assert_true(whole.offsets[ROWS] > ROWS);
        fathom_sparse_free(&whole);
        fathom_sparse_free(&together);
        fathom__encoder_close(encoder);
    }
}

static void a_bad_row_is_told_from_any_thread(void **state) {
    (void)state;
    fathom__encoder *encoder;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    const float kept = rows[(ROWS - 1) * WIDTH];
    rows[(ROWS - 1) * WIDTH] = NAN;
    assert_int_equal(fathom__encoder_open(&encoder, dictionary, 3), FATHOM_OK);
    assert_int_equal(fathom__encoder_run(&sparse, encoder, rows, NULL, ROWS), FATHOM_ERROR_NUMERIC);
    assert_non_null(strstr(fathom_error_message(), "not finite"));
    rows[(ROWS - 1) * WIDTH] = kept;
    assert_int_equal(fathom__encoder_run(&sparse, encoder, rows, NULL, ROWS), FATHOM_OK);
    fathom_sparse_free(&sparse);
    fathom__encoder_close(encoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_put_together_are_the_whole),
        cmocka_unit_test(a_bad_row_is_told_from_any_thread),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
