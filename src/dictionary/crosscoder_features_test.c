/* Shares and latent scaling on rows whose features are known: really one source's own, shrunk, told by another, shared. */
#include <base/error.h>
#include <base/random.h>
#include <base/scratch.h>
#include <fathom/crosscoder.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { D = 8, ROW = 2 * D, ROWS = 600 };
/* OTHER stands for TOLD in the second source; IDLE is never active. */
enum { OWN, SHRUNK, TOLD, OTHER, SHARED, IDLE, FEATURES };
#define LARGER 4.0F /* times the first source's units are the second's */

static fathom_dictionary *dictionary;
static float rows[ROWS * ROW];

static void make_rows(void) {
    struct fathom__random random;
    fathom__random_seed(&random, 3);
    for (int r = 0; r < ROWS; r++)
        for (int f = 0; f <= SHARED; f++) {
            const float strength = 1 + (float)fathom__random_unit(&random);
            if (f == OTHER || fathom__random_unit(&random) < 0.5) continue;
            /* each has a direction of its own, the same in both sources; the second has all but the first's own */
            rows[r * ROW + f] += strength;
            if (f != OWN) rows[r * ROW + D + f] += strength * LARGER;
        }
}

static int open_dictionary(void **state) {
    (void)state;
    static float encoder[FEATURES * ROW], decoder[FEATURES * ROW], encoder_bias[FEATURES], decoder_bias[ROW];
    static const struct fathom_dictionary_source sources[] = {{"x", "", "", D, 1}, {"y", "", "", D, 1 / LARGER}};
    make_rows();
    for (int f = 0; f <= SHARED; f++)
        encoder[f * ROW + (f == OTHER ? TOLD : f)] = 1;
    decoder[OWN * ROW + OWN] = decoder[SHRUNK * ROW + SHRUNK] = decoder[TOLD * ROW + TOLD] = 1;
    decoder[OTHER * ROW + D + TOLD] = decoder[SHARED * ROW + D + SHARED] = LARGER;
    decoder[SHARED * ROW + SHARED] = 1;
    encoder_bias[IDLE] = -1;
    decoder[IDLE * ROW] = 3;
    decoder[IDLE * ROW + D] = LARGER;
    const struct fathom_dictionary_parts parts = {.info = {.architecture = "standard",
                                                           .hook_in = "x+y",
                                                           .hook_out = "x+y",
                                                           .d_in = ROW,
                                                           .d_out = ROW,
                                                           .n_features = FEATURES,
                                                           .k = 1,
                                                           .input_scale = 1,
                                                           .sources = sources,
                                                           .n_sources = 2},
                                                  .encoder = encoder,
                                                  .encoder_bias = encoder_bias,
                                                  .decoder = decoder,
                                                  .decoder_bias = decoder_bias};
    const char *path = scratch("dictionary.gguf");
    int status = fathom_dictionary_write(path, &parts, "f32");
    return status ? status : fathom_dictionary_open(&dictionary, path);
}

static int close_dictionary(void **state) {
    (void)state;
    fathom_dictionary_close(dictionary);
    return 0;
}

static void test_shares(void **state) {
    (void)state;
    struct fathom_crosscoder_feature features[FEATURES];
    float shares[2 * FEATURES];
    assert_int_equal(fathom_crosscoder_shares(features, shares, dictionary), 0);
    assert_true(shares[2 * OWN] == 1 && shares[2 * OWN + 1] == 0 && features[OWN].home == 0);
    assert_true(shares[2 * OTHER] == 0 && features[OTHER].home == 1 && features[OTHER].share == 1);
    assert_true(shares[2 * SHARED] == 0.5F && shares[2 * SHARED + 1] == 0.5F && features[SHARED].cosine == 1);
    assert_true(shares[2 * IDLE] == 0.75F && features[IDLE].cosine == 1 && features[IDLE].rows == 0);
    assert_true(isnan(features[OWN].error_ratio) && isnan(features[OWN].cosine));
}

static void test_scaling(void **state) {
    (void)state;
    struct fathom_crosscoder_feature features[FEATURES];
    float shares[2 * FEATURES];
    assert_int_equal(fathom_crosscoder_features(features, shares, dictionary, rows, ROWS), 0);
    for (int f = 0; f <= SHARED; f++)
        assert_true(features[f].rows > ROWS / 3 && features[f].rows < 2 * ROWS / 3);
    assert_true(fabs(features[OWN].error_ratio) < 1e-5 && fabs(features[OWN].reconstruction_ratio) < 1e-5);
    /* the direction is in the other source's rows, and nothing writes it there */
    assert_true(fabs(features[SHRUNK].error_ratio - 1) < 1e-5 && fabs(features[SHRUNK].reconstruction_ratio) < 1e-5);
    /* another feature writes it there */
    assert_true(fabs(features[TOLD].error_ratio) < 1e-5 && fabs(features[TOLD].reconstruction_ratio - 1) < 1e-5);
    assert_true(fabs(features[SHARED].error_ratio - 1) < 1e-5);
    assert_true(fabs(features[SHARED].reconstruction_ratio - 1) < 1e-5);
    assert_true(isnan(features[IDLE].error_ratio) && isnan(features[IDLE].reconstruction_ratio));
}

static void test_no_crosscoder(void **state) {
    (void)state;
    struct fathom_crosscoder_feature features[FEATURES];
    float shares[2 * FEATURES], matrix[ROW] = {0};
    const char *plain = scratch("plain.gguf");
    fathom_dictionary *other = NULL;
    const struct fathom_dictionary_parts parts = {.info = {.architecture = "standard",
                                                           .hook_in = "x",
                                                           .hook_out = "x",
                                                           .d_in = ROW,
                                                           .d_out = ROW,
                                                           .n_features = 1,
                                                           .input_scale = 1},
                                                  .encoder = matrix,
                                                  .encoder_bias = matrix,
                                                  .decoder = matrix,
                                                  .decoder_bias = matrix};
    assert_int_equal(fathom_dictionary_write(plain, &parts, "f32"), 0);
    assert_int_equal(fathom_dictionary_open(&other, plain), 0);
    assert_int_equal(fathom_crosscoder_shares(features, shares, other), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "no crosscoder"));
    fathom_dictionary_close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_no_crosscoder),
    };
    return cmocka_run_group_tests(tests, open_dictionary, close_dictionary);
}
