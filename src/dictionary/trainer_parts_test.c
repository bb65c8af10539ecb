/* A dictionary that a trainer has come to reads and reconstructs as the trainer itself does, out of its file and in the
 * model's own units. */
#include <base/error.h>
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

enum { D = 24, D_OUT = 16, FEATURES = 64, K = 6, ROWS = 256, STEPS = 30 };

/* Rows far from the origin, so that centring matters; outputs that hang on inputs, in other units. */
static void random_rows(float *rows, bool transcoder, uint64_t seed) {
    const size_t width = D + (transcoder ? D_OUT : 0);
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (size_t r = 0; r < ROWS; r++) {
        float *row = rows + r * width;
        for (size_t j = 0; j < D; j++)
            row[j] = 3 + (float)j / D + (float)fathom__random_normal(&random);
        for (size_t j = 0; j < D_OUT && transcoder; j++)
            row[D + j] = 20 * fmaxf(0, row[j] - row[j + 1]) + 5 * row[j + 2] - 9;
    }
}

/* Rows in the space where the trainer measures its errors. */
static void transform(float *rows, size_t d, const struct fathom__map *map) {
    float line[FATHOM__LANES * 2] = {0};
    assert_true(d <= sizeof line / sizeof *line);
    for (size_t r = 0; r < ROWS && map->weights; r++) {
        memset(line, 0, sizeof line);
        memcpy(line, rows + r * d, d * sizeof *line);
        fathom__map_apply(line, map);
        memcpy(rows + r * d, line, d * sizeof *line);
    }
}

static double find_fve(const float *found, const float *wanted, size_t d_out) {
    double errors = 0, spread = 0;
    for (size_t j = 0; j < d_out; j++) {
        double mean = 0;
        for (size_t r = 0; r < ROWS; r++)
            mean += wanted[r * d_out + j] / ROWS;
        for (size_t r = 0; r < ROWS; r++) {
            const double y = wanted[r * d_out + j];
            errors += (found[r * d_out + j] - y) * (found[r * d_out + j] - y);
            spread += (y - mean) * (y - mean);
        }
    }
    return 1 - errors / spread;
}

static void check_file(const char *path, const fathom_trainer *trainer, const float *rows,
                       const struct fathom_trainer_evaluation *expected) {
    static float inputs[ROWS * D], wanted[ROWS * D], found[ROWS * D];
    const bool transcoder = trainer->options.d_out > 0;
    const size_t d_out = transcoder ? D_OUT : D, width = D + (transcoder ? D_OUT : 0);
    const char *name = fathom_trainer_architecture_name(trainer->options.architecture);
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    fathom_dictionary *dictionary = NULL;
    for (size_t r = 0; r < ROWS; r++) {
        memcpy(inputs + r * D, rows + r * width, D * sizeof *inputs);
        memcpy(wanted + r * d_out, rows + r * width + width - d_out, d_out * sizeof *wanted);
    }
    assert_int_equal(fathom_dictionary_open(&dictionary, path), 0);
    assert_string_equal(fathom_dictionary_describe(dictionary)->architecture, trainer->architecture->kind);
    assert_int_equal(fathom_dictionary_describe(dictionary)->n_groups, trainer->options.n_groups);
    assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, inputs, NULL, ROWS, FATHOM_ENCODE_TRAIN), 0);
    assert_int_equal(fathom_dictionary_reconstruct(found, dictionary, &sparse, inputs), 0);
    const struct fathom__map *map = transcoder ? &trainer->target_transform : &trainer->input_transform;
    transform(found, d_out, map);
    transform(wanted, d_out, map);
    const double fve = find_fve(found, wanted, d_out), l0 = (double)sparse.offsets[ROWS] / ROWS;
    /* A threshold stands for a batch's competition; a gated feature counts where it is above 0. */
    const double tolerance = trainer->architecture->batchwise || trainer->gate.value ? 0.05 : 0.01;
    if (fabs(fve - expected->fve) > tolerance || fabs(l0 / expected->l0 - 1) > 4 * tolerance || !(expected->fve > 0.2))
        fail_msg("%s%s, %s: FVE %.4f, L0 %.3f; the trainer says %.4f, %.3f", name, transcoder ? " transcoder" : "",
                 fathom_trainer_inputs_name(trainer->options.inputs), fve, l0, expected->fve, expected->l0);
    fathom_sparse_free(&sparse);
    fathom_dictionary_close(dictionary);
}

static void check_parts(enum fathom_trainer_architecture architecture, bool transcoder,
                        enum fathom_trainer_inputs inputs, const char *path) {
    static float rows[ROWS * (D + D_OUT)];
    const struct fathom_trainer_options options = {.architecture = architecture,
                                                   .d_in = D,
                                                   .d_out = transcoder ? D_OUT : 0,
                                                   .skip = transcoder,
                                                   .inputs = inputs,
                                                   .n_features = FEATURES,
                                                   .k = K,
                                                   .batch = ROWS,
                                                   .n_threads = 2,
                                                   .seed = 2,
                                                   .warmup_steps = 1,
                                                   .learning_rate = 1e-2};
    fathom_trainer *trainer = NULL;
    struct fathom_trainer_evaluation evaluation;
    struct fathom_dictionary_parts parts;
    void *storage = NULL;
    float threshold;
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    for (uint64_t step = 0; step < STEPS; step++) {
        random_rows(rows, transcoder, step);
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, ROWS), 0);
    }
    random_rows(rows, transcoder, STEPS);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, ROWS), 0);
    assert_int_equal(fathom_trainer_calibrate(&threshold, trainer, rows, ROWS), 0);
    assert_int_equal(fathom_trainer_parts(&parts, &storage, trainer), 0);
    parts.info.name = "test";
    parts.info.hook_in = parts.info.hook_out = "blocks.0.hook_resid_post";
    parts.info.model_identity = parts.info.model_name = "";
    parts.info.training = "{}";
    parts.info.max_norm = INFINITY;
    assert_int_equal(fathom_dictionary_write(path, &parts, "f32"), 0);
    fathom_free(storage);
    check_file(path, trainer, rows, &evaluation);
    fathom_trainer_close(trainer);
}

static void test_parts(void **state) {
    (void)state;
    const char *path = scratch("dictionary.gguf");
    for (int i = 0; i < FATHOM_TRAIN_ARCHITECTURES; i++)
        for (int transcoder = 0; transcoder < 2; transcoder++)
            for (int inputs = 0; inputs < FATHOM_INPUTS; inputs++)
                check_parts((enum fathom_trainer_architecture)i, transcoder, (enum fathom_trainer_inputs)inputs, path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
