/* Evaluation: principal components by hand, controls in the order that they must have, and a dictionary that loses
 * nothing. */
#include <base/error.h>
#include <base/memory.h>
#include <base/scratch.h>
#include <dictionary/evaluate_internal.h>
#include <fathom/dictionary.h>
#include <fathom/evaluate.h>
#include <fathom/model.h>
#include <fathom/shuffle.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tests/support/random_corpus.h>
#include <tests/support/tiny_model.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { WIDTH = 64, FEATURES = 2 * WIDTH };

static int make_inputs(void **state) {
    (void)state;
    if (fathom_test_tiny_model(scratch("model.gguf"), "llama", 1)) return -1;
    return random_letters(scratch("corpus.jsonl"), 120, 300);
}

static void test_principal_components(void **state) {
    (void)state;
    /* Variances 9, 4, 1 along three known orthonormal directions of a space of four. */
    static const double directions[3][4] = {{0.5, 0.5, 0.5, 0.5}, {0.5, -0.5, 0.5, -0.5}, {0.5, 0.5, -0.5, -0.5}},
                        variances[3] = {9, 4, 1};
    double matrix[16] = {0};
    float found[2 * 4];
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
                matrix[i * 4 + j] += variances[k] * directions[k][i] * directions[k][j];
    assert_int_equal(fathom__principal_components(found, matrix, 4, 2, 1), 0);
    for (int k = 0; k < 2; k++) {
        double cosine = 0;
        for (int j = 0; j < 4; j++)
            cosine += found[k * 4 + j] * directions[k][j];
        assert_true(fabs(fabs(cosine) - 1) < 1e-6);
    }
}

/* A dictionary of the axes and their opposites: every row is the sum of its features exactly. */
static void write_axes(const char *path, float bias) {
    static float matrix[FEATURES * WIDTH], zeros[FEATURES], row_bias[WIDTH];
    memset(matrix, 0, sizeof matrix);
    for (int j = 0; j < WIDTH; j++) {
        matrix[j * WIDTH + j] = 1;
        matrix[(WIDTH + j) * WIDTH + j] = -1;
        row_bias[j] = 0;
    }
    for (int f = 0; f < FEATURES; f++)
        zeros[f] = bias;
    const struct fathom_dictionary_parts parts = {
        .info = {.name = "axes",
                 .architecture = "standard",
                 .hook_in = "blocks.1.hook_resid_post",
                 .hook_out = "blocks.1.hook_resid_post",
                 .model_identity = "",
                 .model_name = "",
                 .d_in = WIDTH,
                 .d_out = WIDTH,
                 .n_features = FEATURES,
                 .k = 8,
                 .subtract_decoder_bias = true,
                 .input_scale = 1,
                 .skip_positions = 1,
                 .max_norm = INFINITY},
        .encoder = matrix,
        .encoder_bias = zeros,
        .decoder = matrix,
        .decoder_bias = row_bias,
    };
    assert_int_equal(fathom_dictionary_write(path, &parts, "f32"), 0);
}

/* What the tests choose of the options. */
static const fathom_dictionary *control;
static const fathom_model *shuffled;
static struct fathom_feature_quality *features;

static int evaluate(struct fathom_evaluation *out, const char *path) {
    const struct fathom_corpus_source source = {.path = scratch("corpus.jsonl")};
    const struct fathom_evaluate_options options = {.sources = &source,
                                                    .n_sources = 1,
                                                    .seed = 1,
                                                    .tokens = 3000,
                                                    .loss_tokens = 300,
                                                    .context = 64,
                                                    .n_threads = 1,
                                                    .control = control,
                                                    .shuffled = shuffled,
                                                    .features = features};
    fathom_dictionary *dictionary = NULL;
    fathom_model *model = NULL;
    assert_int_equal(fathom_dictionary_open(&dictionary, path), 0);
    assert_int_equal(fathom_model_open(&model, scratch("model.gguf"), NULL), 0);
    const int status = fathom_evaluate(out, dictionary, model, &options);
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    return status;
}

static void test_lossless(void **state) {
    (void)state;
    struct fathom_evaluation e;
    write_axes(scratch("axes.gguf"), 0);
    assert_int_equal(evaluate(&e, scratch("axes.gguf")), 0);
    const struct fathom_reconstruction_quality *own = &e.quality[FATHOM_RECONSTRUCT_DICTIONARY],
                                               *mean = &e.quality[FATHOM_RECONSTRUCT_MEAN];
    assert_true(own->fve > 1 - 1e-6 && own->median_fve > 1 - 1e-6 && own->cosine > 1 - 1e-6);
    assert_true(fabs(own->delta_loss) < 1e-4);
    assert_true(fabs(e.l0 - WIDTH) < 0.5); /* one of each pair of opposites */
    assert_true(e.rows == 1500 && e.rows_left_out > 20);
    assert_true(e.loss > 0 && e.loss_tokens >= 300);
    /* The mean row explains nothing of the spread, up to the difference of the halves' means. */
    assert_true(fabs(mean->fve) < 0.05);
    assert_true(fabs(mean->delta_loss) > 10 * fabs(own->delta_loss)); /* of a random model the loss may also fall */
    /* Of the fitted controls the principal components are the best linear ones, and the token's mean row beats the mean
     * row. */
    assert_true(e.quality[FATHOM_RECONSTRUCT_PCA].fve > 0.1);
    assert_true(e.quality[FATHOM_RECONSTRUCT_TOKEN_MEAN].fve > mean->fve);
    assert_true(e.quality[FATHOM_RECONSTRUCT_UNTRAINED].fve > 0 &&
                e.quality[FATHOM_RECONSTRUCT_UNTRAINED].fve < own->fve);
    /* Keeping the same number of raw neurons is worse than as many components that were fitted to the rows. */
    assert_true(e.quality[FATHOM_RECONSTRUCT_NEURONS].fve > 0 &&
                e.quality[FATHOM_RECONSTRUCT_NEURONS].fve < e.quality[FATHOM_RECONSTRUCT_PCA].fve);
    assert_true(fabs(own->raw_cosine - 1) < 1e-6 && fabs(own->length_ratio - 1) < 1e-6);
    assert_true(fabs(own->relative_bias - 1) < 1e-6 && own->squared_error < 1e-6);
    /* The divergence is never negative, nothing where nothing changes, and by definition all of it when zeros are. */
    const struct fathom_reconstruction_quality *zero = &e.quality[FATHOM_RECONSTRUCT_ZERO];
    assert_true(fabs(own->divergence) < 1e-4 && mean->divergence > 1e-3 && zero->divergence > 1e-3);
    assert_true(mean->recovered_mean == 0 && zero->recovered_zero == 0 && zero->divergence_recovered == 0);
    assert_true(fabs(own->divergence_recovered - 1) < 0.1);
    assert_true(zero->length_ratio == 0 && isnan(zero->relative_bias));
    assert_false(e.quality[FATHOM_RECONSTRUCT_CONTROL].measured || e.shuffled[FATHOM_RECONSTRUCT_DICTIONARY].measured);
    assert_int_equal(e.k, 8);
}

static void test_control(void **state) {
    (void)state;
    struct fathom_evaluation e;
    fathom_dictionary *silent = NULL;
    write_axes(scratch("axes.gguf"), 0);
    write_axes(scratch("silent.gguf"), -1e6F);
    assert_int_equal(fathom_dictionary_open(&silent, scratch("silent.gguf")), 0);
    control = silent;
    assert_int_equal(evaluate(&e, scratch("axes.gguf")), 0);
    /* A dictionary that never fires gives its decoder bias, which is zero: zero ablation. */
    const struct fathom_reconstruction_quality *named = &e.quality[FATHOM_RECONSTRUCT_CONTROL],
                                               *zero = &e.quality[FATHOM_RECONSTRUCT_ZERO];
    assert_true(named->measured && e.l0_control == 0);
    assert_true(named->fve == zero->fve && named->squared_error == zero->squared_error);
    /* In the model it leaves first positions as they are, which zero ablation does not. */
    assert_true(named->divergence > 1e-3 && named->delta_loss != zero->delta_loss);
    control = NULL;
    fathom_dictionary_close(silent);
}

/* The axes reconstruct whatever a model computes; principal components are fitted to each model's own rows. */
static void test_shuffled(void **state) {
    (void)state;
    struct fathom_evaluation e;
    fathom_model *model = NULL;
    write_axes(scratch("axes.gguf"), 0);
    assert_int_equal(fathom_model_shuffle(scratch("shuffled.gguf"), scratch("model.gguf"), 1, NULL, NULL), 0);
    assert_int_equal(fathom_model_open(&model, scratch("shuffled.gguf"), NULL), 0);
    shuffled = model;
    assert_int_equal(evaluate(&e, scratch("axes.gguf")), 0);
    assert_true(e.shuffled[FATHOM_RECONSTRUCT_DICTIONARY].measured);
    assert_true(e.shuffled[FATHOM_RECONSTRUCT_DICTIONARY].fve > 1 - 1e-6);
    assert_true(e.shuffled[FATHOM_RECONSTRUCT_PCA].fve > 0.1);
    assert_true(e.shuffled[FATHOM_RECONSTRUCT_PCA].fve != e.quality[FATHOM_RECONSTRUCT_PCA].fve);
    assert_true(e.shuffled[FATHOM_RECONSTRUCT_MEAN].delta_loss == 0); /* nothing is spliced there */
    shuffled = NULL;
    fathom_model_close(model);
}

/* A control must be of the same hook point. */
static void test_control_elsewhere(void **state) {
    (void)state;
    struct fathom_evaluation e;
    fathom_dictionary *other = NULL;
    static float matrix[WIDTH * WIDTH], zeros[WIDTH];
    const struct fathom_dictionary_parts parts = {.info = {.name = "elsewhere",
                                                           .architecture = "standard",
                                                           .hook_in = "blocks.0.hook_resid_post",
                                                           .hook_out = "blocks.0.hook_resid_post",
                                                           .model_identity = "",
                                                           .model_name = "",
                                                           .d_in = WIDTH,
                                                           .d_out = WIDTH,
                                                           .n_features = WIDTH,
                                                           .input_scale = 1,
                                                           .max_norm = INFINITY},
                                                  .encoder = matrix,
                                                  .encoder_bias = zeros,
                                                  .decoder = matrix,
                                                  .decoder_bias = zeros};
    assert_int_equal(fathom_dictionary_write(scratch("elsewhere.gguf"), &parts, "f32"), 0);
    assert_int_equal(fathom_dictionary_open(&other, scratch("elsewhere.gguf")), 0);
    write_axes(scratch("axes.gguf"), 0);
    control = other;
    assert_int_equal(evaluate(&e, scratch("axes.gguf")), FATHOM_ERROR_MISMATCH);
    assert_non_null(strstr(fathom_error_message(), "expected blocks.1.hook_resid_post"));
    control = NULL;
    fathom_dictionary_close(other);
}

/* Two rows of two dimensions: the mean row is (2, 2), so Σ|x - mean|² = 2 · (1 + 1) = 4. */
static void test_quality_by_hand(void **state) {
    (void)state;
    static const float rows[] = {3, 1, 1, 3}, guesses[] = {2, 1, 1, 2};
    struct fathom_reconstruction_quality q;
    assert_int_equal(fathom__evaluate_quality(&q, rows, guesses, 2, 2), 0);
    assert_float_equal(q.fve, 1 - 2.0 / 4, 1e-12);
    assert_float_equal(q.median_fve, 0.5, 1e-12);
    assert_float_equal(q.squared_error, 1, 1e-12);
    /* (1, -1) with (0, -1), and the same mirrored */
    assert_float_equal(q.cosine, 1 / sqrt(2), 1e-12);
    assert_float_equal(q.raw_cosine, 7 / sqrt(50), 1e-12);
    assert_float_equal(q.length_ratio, sqrt(0.5), 1e-12);
    assert_float_equal(q.mean_length, sqrt(5), 1e-12);
    assert_float_equal(q.relative_bias, 5.0 / 7, 1e-12);
    /* S = 10: 1 - 1 / (10 - 25), above 1, which is why it is not a variance; and 1 - 1 / 2 for each row */
    assert_float_equal(q.saebench_variance, 1 + 1.0 / 15, 1e-12);
    assert_float_equal(q.saebench_variance_legacy, 0.5, 1e-12);
}

/* Four rows in two sequences. Feature 0 fires in all, 1 twice in the first sequence, 2 once in each, 3 never. */
static void test_densities_by_hand(void **state) {
    (void)state;
    size_t offsets[] = {0, 3, 5, 6, 8};
    uint32_t fired[] = {0, 1, 2, 0, 1, 0, 0, 2};
    float values[] = {1, 2, 3, 1, 2, 1, 1, 3};
    const uint32_t sequences[] = {5, 5, 6, 6};
    const struct fathom_sparse sparse = {.n_rows = 4, .offsets = offsets, .features = fired, .values = values};
    struct fathom_evaluation e = {0};
    struct fathom_feature_quality each[4];
    assert_int_equal(fathom__evaluate_densities(&e, each, &sparse, sequences, 4), 0);
    assert_float_equal(e.l0, 2, 1e-12);
    assert_float_equal(e.l1, 14.0 / 4, 1e-12);
    assert_float_equal(e.silent_fraction, 0.25, 1e-12);
    assert_float_equal(e.dense_fraction, 0.75, 1e-12);
    assert_float_equal(e.dense_share, 1, 1e-12);
    assert_float_equal(each[0].density, 1, 1e-12);
    assert_float_equal(each[0].rows_a_sequence, 2, 1e-12);
    assert_float_equal(each[1].rows_a_sequence, 2, 1e-12);
    assert_float_equal(each[2].rows_a_sequence, 1, 1e-12);
    assert_true(each[3].density == 0 && each[3].rows_a_sequence == 0);
    assert_int_equal(e.density[0], 1);
    assert_int_equal(e.density[FATHOM_DENSITY_BINS - 1], 3); /* 1/2 and 1 are above 10^-1/2 */
}

/* Every axis has its opposite, and the nearest of the others is at a right angle. */
static void test_cosines(void **state) {
    (void)state;
    static struct fathom_feature_quality each[FEATURES];
    struct fathom_evaluation e;
    write_axes(scratch("axes.gguf"), -0.25F);
    features = each;
    assert_int_equal(evaluate(&e, scratch("axes.gguf")), 0);
    features = NULL;
    for (int f = 0; f < FEATURES; f++) {
        assert_float_equal(each[f].max_decoder_cosine, 0, 1e-6);
        assert_true(each[f].neighbour < FEATURES && each[f].neighbour % WIDTH != (uint32_t)f % WIDTH);
        assert_float_equal(each[f].encoder_norm, 1, 1e-6);
        assert_float_equal(each[f].encoder_bias, -0.25, 1e-6);
        assert_float_equal(each[f].encoder_decoder_cosine, 1, 1e-6);
    }
    assert_true(e.twin_fraction == 0 && fabs(e.mean_decoder_cosine) < 1e-6 && fabs(e.mean_encoder_cosine) < 1e-6);
    assert_true(e.random_decoder_cosine > 0.2 && e.random_decoder_cosine < 0.5); /* 128 directions in 64 dimensions */
}

static void test_useless(void **state) {
    (void)state;
    struct fathom_evaluation e;
    write_axes(scratch("silent.gguf"), -1e6F);
    assert_int_equal(evaluate(&e, scratch("silent.gguf")), 0);
    assert_true(e.l0 == 0 && e.silent_fraction == 1 && e.dense_fraction == 0);
    assert_true(e.quality[FATHOM_RECONSTRUCT_DICTIONARY].fve <= 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_principal_components),
        cmocka_unit_test(test_lossless),
        cmocka_unit_test(test_useless),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_control_elsewhere),
        cmocka_unit_test(test_shuffled),
        cmocka_unit_test(test_quality_by_hand),
        cmocka_unit_test(test_densities_by_hand),
        cmocka_unit_test(test_cosines),
    };
    return cmocka_run_group_tests(tests, make_inputs, NULL);
}
