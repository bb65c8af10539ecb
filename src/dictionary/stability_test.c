/* Dictionaries whose features come back as far as was made so. */
#include <base/memory.h>
#include <base/random.h>
#include <base/scratch.h>
#include <fathom/error.h>
#include <fathom/stability.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { D = 36, FEATURES = 10, COPIED = 4, TURNED = 3, MOST_D = 64 };
#define TURN 0.8 /* cosine between a turned feature and its original */

/* Feature f points along axis f in the first dictionary. In the others the first COPIED are the same in another order
 * and of another length, the next TURNED are turned towards an axis of their own, the rest lie along axes that only they
 * have. */
static fathom_dictionary *write_rows(const float *rows, uint32_t d);

static fathom_dictionary *make(int which, uint32_t d) {
    static float rows[FEATURES * MOST_D];
    memset(rows, 0, sizeof rows);
    for (uint32_t f = 0; f < FEATURES; f++) {
        float *row = rows + (which && f < COPIED ? COPIED - 1 - f : f) * d;
        if (which == 0) {
            row[f] = 1;
        } else if (f < COPIED) {
            row[f] = 3;
        } else if (f < COPIED + TURNED) {
            row[f] = TURN;
            row[FEATURES + f] = (float)sqrt(1 - TURN * TURN);
        } else {
            row[FEATURES + f] = 1;
        }
    }
    return write_rows(rows, d);
}

static fathom_dictionary *write_rows(const float *rows, uint32_t d) {
    static const float zeros[FEATURES * MOST_D];
    fathom_dictionary *dictionary = NULL;
    const char *path = scratch("dictionary.gguf");
    const struct fathom_dictionary_parts parts = {.info = {.name = "test",
                                                           .architecture = "topk",
                                                           .hook_in = "blocks.1.hook_resid_post",
                                                           .hook_out = "blocks.1.hook_resid_post",
                                                           .model_identity = "00112233445566778899aabbccddeeff",
                                                           .model_name = "tiny",
                                                           .training = "{}",
                                                           .d_in = d,
                                                           .d_out = d,
                                                           .n_features = FEATURES,
                                                           .k = 2,
                                                           .input_scale = 1,
                                                           .max_norm = INFINITY},
                                                  .encoder = rows,
                                                  .encoder_bias = zeros,
                                                  .decoder = rows,
                                                  .decoder_bias = zeros};
    if (fathom_dictionary_write(path, &parts, "f32") || fathom_dictionary_open(&dictionary, path))
        fail_msg("%s", fathom_error_message());
    return dictionary;
}

static void test_what_comes_back(void **state) {
    (void)state;
    const fathom_dictionary *dictionaries[3] = {make(0, D), make(1, D), make(0, D)};
    struct fathom_stability found[3];
    assert_int_equal(fathom_stability_measure(found, dictionaries, 3, 2), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(found[i].n_features, FEATURES);
        assert_true(fabs(found[i].features.same - (double)COPIED / FEATURES) < 1e-6);
        assert_true(fabs(found[i].features.similar - (double)(COPIED + TURNED) / FEATURES) < 1e-6);
        assert_true(fabs(found[i].features.mean - (COPIED + TURN * TURNED) / FEATURES) < 1e-6);
        assert_true(fabs(found[i].features.median - TURN) < 1e-6);
        /* random directions in 36 dimensions have a cosine of some 0.25 with the best of ten axes */
        assert_true(found[i].random.mean > 0.15 && found[i].random.mean < 0.35);
        assert_true(found[i].random.same == 0);
    }
    for (uint32_t f = 0; f < FEATURES; f++)
        assert_true(fabs(found[0].best[f] - (f < COPIED ? 1 : f < COPIED + TURNED ? TURN : 0)) < 1e-6);
    for (int i = 0; i < 3; i++) {
        fathom_free(found[i].best);
        fathom_dictionary_close((fathom_dictionary *)(uintptr_t)dictionaries[i]);
    }
}

/* A trainer's first rows are random directions too, by its seed: the control's are none of them. */
static void test_rows_that_were_hardly_trained(void **state) {
    (void)state;
    enum { SEEDS = 4 };
    static float rows[FEATURES * D];
    fathom_dictionary *dictionaries[SEEDS];
    struct fathom_stability found[SEEDS];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fathom__random random;
        fathom__random_seed(&random, seed);
        for (int i = 0; i < FEATURES * D; i++)
            rows[i] = (float)fathom__random_normal(&random);
        dictionaries[seed] = write_rows(rows, D);
    }
    for (int i = 0; i < SEEDS; i++) {
        const fathom_dictionary *pair[2] = {dictionaries[i], dictionaries[(i + 1) % SEEDS]};
        assert_int_equal(fathom_stability_measure(found, pair, 2, 1), 0);
        for (int j = 0; j < 2; j++) {
            assert_true(found[j].random.same == 0 && found[j].random.similar == 0);
            fathom_free(found[j].best);
        }
    }
    for (int i = 0; i < SEEDS; i++)
        fathom_dictionary_close(dictionaries[i]);
}

static void test_refusals(void **state) {
    (void)state;
    const fathom_dictionary *dictionaries[2] = {make(0, D), make(0, D + 8)};
    struct fathom_stability found[2];
    assert_int_equal(fathom_stability_measure(found, dictionaries, 1, 1), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_stability_measure(found, dictionaries, 2, 1), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "width 44"));
    for (int i = 0; i < 2; i++)
        fathom_dictionary_close((fathom_dictionary *)(uintptr_t)dictionaries[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_comes_back),
                                       cmocka_unit_test(test_rows_that_were_hardly_trained),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
