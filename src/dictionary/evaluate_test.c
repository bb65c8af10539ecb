/* Evaluation: principal components by hand, controls in the order that they must have, and a dictionary that loses
 * nothing. */
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/reconstruct.h>
#include <fathom/dictionary.h>
#include <fathom/evaluate.h>
#include <fathom/model.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tests/support/tiny_model.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { WIDTH = 64, FEATURES = 2 * WIDTH };

static char folder[64];

static const char *in_folder(const char *name) {
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int open_folder(void **state) {
    (void)state;
    struct fathom__random random;
    strcpy(folder, "/tmp/fathom-evaluate-XXXXXX");
    if (!mkdtemp(folder) || fathom_test_tiny_model(in_folder("model.gguf"), "llama", 1)) return -1;
    FILE *file = fopen(in_folder("corpus.jsonl"), "w");
    if (!file) return -1;
    fathom__random_seed(&random, 1);
    for (int document = 0; document < 120; document++) {
        fputs("{\"text\": \"", file);
        for (int i = 0; i < 300; i++)
            fputc("abcdefghij  "[fathom__random_below(&random, 12)], file);
        fputs("\"}\n", file);
    }
    return fclose(file);
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
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

static int evaluate(struct fathom_evaluation *out, const char *path) {
    const struct fathom_corpus_source source = {.path = in_folder("corpus.jsonl")};
    const struct fathom_evaluate_options options = {.sources = &source,
                                                    .n_sources = 1,
                                                    .seed = 1,
                                                    .tokens = 3000,
                                                    .loss_tokens = 300,
                                                    .context = 64,
                                                    .n_threads = 1};
    fathom_dictionary *dictionary = NULL;
    fathom_model *model = NULL;
    assert_int_equal(fathom_dictionary_open(&dictionary, path), 0);
    assert_int_equal(fathom_model_open(&model, in_folder("model.gguf"), NULL), 0);
    const int status = fathom_evaluate(out, dictionary, model, &options);
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    return status;
}

static void test_lossless(void **state) {
    (void)state;
    struct fathom_evaluation e;
    write_axes(in_folder("axes.gguf"), 0);
    assert_int_equal(evaluate(&e, in_folder("axes.gguf")), 0);
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
}

static void test_useless(void **state) {
    (void)state;
    struct fathom_evaluation e;
    write_axes(in_folder("silent.gguf"), -1e6F);
    assert_int_equal(evaluate(&e, in_folder("silent.gguf")), 0);
    assert_true(e.l0 == 0 && e.silent_fraction == 1 && e.dense_fraction == 0);
    assert_true(e.quality[FATHOM_RECONSTRUCT_DICTIONARY].fve <= 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_principal_components),
        cmocka_unit_test(test_lossless),
        cmocka_unit_test(test_useless),
    };
    return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
