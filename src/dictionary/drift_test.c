/* Drift: against sums by hand; a quantised copy on a model's own rows; what is refused. */
#include "base/memory.h"
#include "base/random.h"
#include "base/scratch.h"
#include "tests/support/check.h"
#include <fathom/drift.h>
#include <math.h>

enum { D = 32, FEATURES = 96, ROWS = 200 };

static float encoder[FEATURES * D], decoder[FEATURES * D], zeros[FEATURES], rows[ROWS * D];

static struct fathom_dictionary_parts parts_of(const char *hook, uint32_t n_features) {
    return (struct fathom_dictionary_parts){.info = {.architecture = "standard",
                                                     .hook_in = hook,
                                                     .hook_out = hook,
                                                     .d_in = D,
                                                     .d_out = D,
                                                     .n_features = n_features,
                                                     .input_scale = 1,
                                                     .max_norm = INFINITY},
                                            .encoder = encoder,
                                            .encoder_bias = zeros,
                                            .decoder = decoder,
                                            .decoder_bias = zeros};
}

static fathom_dictionary *make(const char *name, const struct fathom_dictionary_parts *parts) {
    fathom_dictionary *dictionary = NULL;
    check_ok(fathom_dictionary_write(scratch(name), parts, "f32"));
    check_ok(fathom_dictionary_open(&dictionary, scratch(name)));
    return dictionary;
}

static int fill(void **state) {
    (void)state;
    struct fathom__random random;
    fathom__random_seed(&random, 5);
    for (int i = 0; i < FEATURES * D; i++) {
        encoder[i] = (float)fathom__random_normal(&random) / 6;
        decoder[i] = (float)fathom__random_normal(&random) / 6;
    }
    for (int i = 0; i < ROWS * D; i++)
        rows[i] = (float)fathom__random_normal(&random);
    return 0;
}

static void the_same_does_not_drift(void **state) {
    (void)state;
    const struct fathom_dictionary_parts parts = parts_of("h", FEATURES);
    fathom_dictionary *dictionary = make("a.gguf", &parts);
    struct fathom_drift_summary summary;
    fathom_drift *drift = NULL;
    check_ok(fathom_drift_open(&drift, dictionary, dictionary));
    check_ok(fathom_drift_add(drift, rows, rows, NULL, ROWS));
    check_ok(fathom_drift_summarise(&summary, drift));
    assert_true(summary.rows == ROWS && summary.rows_left_out == 0);
    assert_true(summary.error == 0 && summary.reconstruction == 0 && summary.ninety_ninth == 0);
    assert_true(summary.overlap == 1 && summary.l0_a == summary.l0_b && summary.l0_a > 10);
    assert_true(summary.lost == 0 && summary.found == 0 && summary.moved == 0);
    fathom_drift_close(drift);
    fathom_dictionary_close(dictionary);
}

/* One encoder row half as long, one turned round, one decoder row changed: each is told apart. */
static void each_change_shows(void **state) {
    (void)state;
    struct fathom_dictionary_parts parts = parts_of("h", FEATURES);
    static float changed[FEATURES * D], decoded[FEATURES * D];
    struct fathom_drift_summary summary;
    struct fathom_drift_feature feature;
    fathom_drift *drift = NULL;
    fathom_dictionary *a = make("a.gguf", &parts);
    memcpy(changed, encoder, sizeof changed);
    memcpy(decoded, decoder, sizeof decoded);
    for (int j = 0; j < D; j++) {
        changed[3 * D + j] *= 0.5F;
        changed[7 * D + j] *= -1;
        decoded[9 * D + j] = 0;
    }
    parts.encoder = changed;
    parts.decoder = decoded;
    fathom_dictionary *b = make("b.gguf", &parts);
    check_ok(fathom_drift_open(&drift, a, b));
    check_ok(fathom_drift_add(drift, rows, rows, NULL, ROWS / 2));
    check_ok(fathom_drift_add(drift, rows + ROWS / 2 * D, rows + ROWS / 2 * D, NULL, ROWS / 2));
    check_ok(fathom_drift_feature(&feature, drift, 3));
    assert_true(fabs(feature.error - 0.5) < 1e-6 && fabs(feature.cosine - 1) < 1e-6);
    assert_true(feature.rows_a == feature.rows_b && feature.rows_both == feature.rows_a && feature.rows_a > 50);
    check_ok(fathom_drift_feature(&feature, drift, 7));
    assert_true(feature.rows_both == 0 && feature.rows_a + feature.rows_b == ROWS && feature.cosine == 0);
    assert_true(feature.error > 1 && feature.change > 1);
    check_ok(fathom_drift_feature(&feature, drift, 9));
    assert_true(feature.error == 0 && feature.change == 0 &&
                feature.mean > 0); /* what it writes is no matter of its activation */
    check_ok(fathom_drift_summarise(&summary, drift));
    assert_int_equal(summary.moved, 2);
    assert_true(summary.overlap < 1 && summary.reconstruction > 0 && summary.median == 0);

    double squares = 0, differences = 0;
    for (int f = 0; f < FEATURES; f++)
        for (int r = 0; r < ROWS; r++) {
            double x = 0, y = 0;
            for (int j = 0; j < D; j++) {
                x += (double)encoder[f * D + j] * rows[r * D + j];
                y += (double)changed[f * D + j] * rows[r * D + j];
            }
            squares += fmax(x, 0) * fmax(x, 0);
            differences += (fmax(x, 0) - fmax(y, 0)) * (fmax(x, 0) - fmax(y, 0));
        }
    assert_true(fabs(summary.error - sqrt(differences / squares)) < 1e-5);
    check_status(fathom_drift_feature(&feature, drift, FEATURES), FATHOM_ERROR_NOT_FOUND, "no feature 96");
    fathom_drift_close(drift);
    fathom_dictionary_close(a);
    fathom_dictionary_close(b);
}

/* Types with fewer bits move features further; rows that are not covered are counted. */
static void quantised_copies(void **state) {
    (void)state;
    static const char *const types[] = {"f16", "bf16", "q8_0"};
    struct fathom_dictionary_parts parts = parts_of("h", FEATURES);
    parts.info.skip_positions = 1;
    fathom_dictionary *a = make("a.gguf", &parts);
    int32_t positions[ROWS];
    double before = 0;
    for (int r = 0; r < ROWS; r++)
        positions[r] = r % 20;
    for (size_t t = 0; t < 3; t++) {
        struct fathom_drift_summary summary;
        fathom_dictionary *b = NULL;
        fathom_drift *drift = NULL;
        check_ok(fathom_dictionary_quantise(scratch("b.gguf"), a, types[t]));
        check_ok(fathom_dictionary_open(&b, scratch("b.gguf")));
        assert_string_equal(fathom_dictionary_describe(b)->dtype, types[t]);
        assert_string_equal(fathom_dictionary_describe(b)->hook_in, "h");
        assert_int_equal(fathom_dictionary_describe(b)->skip_positions, 1);
        check_ok(fathom_drift_open(&drift, a, b));
        check_ok(fathom_drift_add(drift, rows, rows, positions, ROWS));
        check_ok(fathom_drift_summarise(&summary, drift));
        assert_int_equal(summary.rows_left_out, ROWS / 20);
        assert_int_equal(summary.rows, ROWS - ROWS / 20);
        if (t < 2) assert_true(summary.error > 2 * before); /* 11 significant bits, then 8 */
        assert_true(summary.error > 0 && summary.error < 0.01);
        assert_true(summary.overlap > 0.98 && summary.reconstruction < 0.01 && summary.reconstruction > 0);
        before = summary.error;
        fathom_drift_close(drift);
        fathom_dictionary_close(b);
    }
    fathom_dictionary_close(a);
}

static void what_cannot_be_compared_is_refused(void **state) {
    (void)state;
    struct fathom_dictionary_parts parts = parts_of("h", FEATURES);
    fathom_dictionary *a = make("a.gguf", &parts);
    fathom_drift *drift = NULL;
    parts.info.n_features = FEATURES / 2;
    fathom_dictionary *b = make("b.gguf", &parts);
    check_status(fathom_drift_open(&drift, a, b), FATHOM_ERROR_MISMATCH, "numbers of features");
    fathom_dictionary_close(b);
    parts = parts_of("another", FEATURES);
    b = make("b.gguf", &parts);
    check_status(fathom_drift_open(&drift, a, b), FATHOM_ERROR_MISMATCH, "hook points");
    fathom_dictionary_close(b);
    parts = parts_of("h", FEATURES);
    parts.info.hook_out = "another";
    b = make("b.gguf", &parts);
    check_status(fathom_drift_open(&drift, a, b), FATHOM_ERROR_MISMATCH, "hook points");
    fathom_dictionary_close(b);
    check_status(fathom_dictionary_quantise(scratch("c.gguf"), a, "q4_0"), FATHOM_ERROR_ARGUMENT, "q4_0");
    assert_null(drift);
    fathom_dictionary_close(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_does_not_drift),
        cmocka_unit_test(each_change_shows),
        cmocka_unit_test(quantised_copies),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
