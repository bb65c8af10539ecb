/* Crosscoders: scales of the sources, which features are told to be whose, checkpoints, and what is refused. */
#include <base/error.h>
#include <base/scratch.h>
#include <dictionary/trainer_internal.h>
#include <dictionary/trainer_truth.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { D = 32, ROW = 2 * D, SHARED = 24, OWN = 20, TRUE_FEATURES = SHARED + 2 * OWN, ACTIVE = 3, LEARNED = 96 };
enum { BATCH = 512, STEPS = 1500 };
#define LARGER 20.0F /* times the first source's rows are the second's */

/* Features of both sources, then of the first alone, then of the second alone: a direction in each. */
static bool of_source(size_t feature, int source) {
    return feature < SHARED || (feature < SHARED + OWN) == (source == 0);
}

static void make_truth(float *directions) {
    static float parts[2 * TRUE_FEATURES * D];
    fathom__truth_directions(parts, (size_t)2 * TRUE_FEATURES, D, 77);
    for (size_t f = 0; f < TRUE_FEATURES; f++)
        for (int s = 0; s < 2; s++)
            for (int j = 0; j < D; j++)
                directions[f * ROW + (size_t)(s * D + j)] =
                    of_source(f, s) ? parts[(2 * f + (size_t)s) * D + (size_t)j] : 0;
}

static void true_rows(float *rows, const float *directions, struct fathom__random *random) {
    memset(rows, 0, (size_t)BATCH * ROW * sizeof *rows);
    for (int r = 0; r < BATCH; r++)
        for (int i = 0; i < ACTIVE; i++) {
            const size_t f = fathom__random_below(random, TRUE_FEATURES);
            const float strength = 1 + (float)fathom__random_unit(random);
            for (int j = 0; j < ROW; j++)
                rows[r * ROW + j] += strength * (j < D ? 1 : LARGER) * directions[f * ROW + (size_t)j];
        }
}

static struct fathom_trainer_options make_options(enum fathom_trainer_architecture architecture, uint32_t k) {
    return (struct fathom_trainer_options){.architecture = architecture,
                                           .d_in = ROW,
                                           .sources = {D, D},
                                           .n_sources = 2,
                                           .n_features = LEARNED,
                                           .k = k,
                                           .batch = BATCH,
                                           .n_threads = 2,
                                           .seed = 1,
                                           .learning_rate = 3e-3,
                                           .total_steps = STEPS,
                                           .dead_after = 20 * BATCH};
}

static double part_length(const float *row, int source) {
    double squares = 0;
    for (int j = source * D; j < (source + 1) * D; j++)
        squares += (double)row[j] * row[j];
    return sqrt(squares);
}

/* The part of the true features whose learned one lies where the true one does, by the relative decoder norm. */
static double told_apart(const float *directions, const fathom_trainer *trainer) {
    int right = 0;
    for (size_t t = 0; t < TRUE_FEATURES; t++) {
        double cosine;
        const size_t f =
            fathom__truth_nearest(&cosine, directions + t * ROW, ROW, trainer->decoder.value, LEARNED, trainer->stride);
        const float *row = trainer->decoder.value + f * trainer->stride;
        const double a = part_length(row, 0), b = part_length(row, 1), relative = b / (a + b);
        if (cosine < FATHOM__RECOVERED) continue;
        right += t < SHARED ? relative > 0.35 && relative < 0.65 : t < SHARED + OWN ? relative < 0.1 : relative > 0.9;
    }
    return (double)right / TRUE_FEATURES;
}

static void check_recovery(enum fathom_trainer_architecture architecture, uint32_t k, double fve) {
    static float directions[TRUE_FEATURES * ROW], rows[BATCH * ROW];
    const struct fathom_trainer_options options = make_options(architecture, k);
    fathom_trainer *trainer = NULL;
    struct fathom__random random;
    struct fathom_trainer_evaluation evaluation;
    make_truth(directions);
    fathom__random_seed(&random, 5);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    const double before =
        fathom__truth_recovered(directions, TRUE_FEATURES, ROW, trainer->decoder.value, LEARNED, trainer->stride);
    for (int step = 0; step < STEPS; step++) {
        true_rows(rows, directions, &random);
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
    }
    assert_true(fabs(trainer->source_scale[0] / trainer->source_scale[1] / LARGER - 1) < 0.1);
    const double after =
        fathom__truth_recovered(directions, TRUE_FEATURES, ROW, trainer->decoder.value, LEARNED, trainer->stride);
    const double apart = told_apart(directions, trainer);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, BATCH), 0);
    print_message("%s crosscoder recovered %.2f of the true features (random directions: %.2f), %.2f with the right "
                  "relative norm; FVE %.3f, L0 %.2f\n",
                  fathom_trainer_architecture_name(architecture), after, before, apart, evaluation.fve, evaluation.l0);
    assert_true(before < 0.05);
    assert_true(after > 0.9);
    assert_true(apart > 0.9);
    assert_true(evaluation.fve > fve);
    fathom_trainer_close(trainer);
}

static void test_recovery(void **state) {
    (void)state;
    check_recovery(FATHOM_TRAIN_TOPK, ACTIVE, 0.85);
    check_recovery(FATHOM_TRAIN_BATCHTOPK, ACTIVE, 0.85);
    check_recovery(FATHOM_TRAIN_STANDARD, ACTIVE + 1, 0.4); /* L1 shrinks what it leaves active */
    check_recovery(FATHOM_TRAIN_JUMPRELU, ACTIVE, 0.8);
}

/* The written parts are of the rows as they were given: the same activations, the same reconstruction. */
static void test_parts(void **state) {
    (void)state;
    static float directions[TRUE_FEATURES * ROW], rows[BATCH * ROW];
    struct fathom_trainer_options options = make_options(FATHOM_TRAIN_TOPK, ACTIVE);
    fathom_trainer *trainer = NULL;
    struct fathom__random random;
    struct fathom_trainer_metrics metrics;
    struct fathom_trainer_evaluation evaluation;
    struct fathom_dictionary_parts parts;
    void *storage = NULL;
    double errors = 0, squares = 0, sums[ROW] = {0};
    options.learning_rate = 1e-12; /* the step leaves the parameters that it was made with */
    make_truth(directions);
    fathom__random_seed(&random, 5);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    true_rows(rows, directions, &random);
    assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, BATCH), 0);
    assert_int_equal(fathom_trainer_parts(&parts, &storage, trainer), 0);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, BATCH), 0); /* a step uses its values up */
    assert_true(parts.info.input_scale == 1 && parts.info.output_scale == 1);
    for (size_t r = 0; r < BATCH; r++) {
        float guess[ROW];
        memcpy(guess, parts.decoder_bias, sizeof guess);
        for (uint32_t i = trainer->main.start[r]; i < trainer->main.start[r] + trainer->main.count[r]; i++) {
            const uint32_t f = trainer->main.feature[i];
            double value = parts.encoder_bias[f];
            for (int j = 0; j < ROW; j++)
                value += parts.encoder[f * ROW + (uint32_t)j] * (rows[r * ROW + (size_t)j] - parts.decoder_bias[j]);
            assert_true(fabs(value - trainer->main.value[i]) < 0.02 * (1 + fabs(value))); /* the product is bf16 */
            for (int j = 0; j < ROW; j++)
                guess[j] += trainer->main.value[i] * parts.decoder[f * ROW + (uint32_t)j];
        }
        for (int j = 0; j < ROW; j++) {
            const double scale = trainer->input_scale * trainer->source_scale[j / D];
            const double row = rows[r * ROW + (size_t)j] * scale, error = guess[j] * scale - row;
            errors += error * error;
            squares += row * row;
            sums[j] += row;
        }
    }
    for (int j = 0; j < ROW; j++)
        squares -= sums[j] * sums[j] / BATCH;
    assert_true(evaluation.fve > -1 && evaluation.fve < 1);
    assert_true(fabs(1 - errors / squares - evaluation.fve) < 1e-3);
    fathom_free(storage);
    fathom_trainer_close(trainer);
}

static void test_checkpoint(void **state) {
    (void)state;
    static float directions[TRUE_FEATURES * ROW], rows[BATCH * ROW];
    const struct fathom_trainer_options options = make_options(FATHOM_TRAIN_STANDARD, ACTIVE);
    const char *path = scratch("trainer");
    fathom_trainer *trainer = NULL, *resumed = NULL;
    struct fathom__random random;
    struct fathom_trainer_metrics a, b;
    make_truth(directions);
    fathom__random_seed(&random, 5);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    for (int step = 0; step < 20; step++) {
        true_rows(rows, directions, &random);
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
    }
    assert_int_equal(fathom_trainer_save(trainer, path, NULL), 0);
    assert_int_equal(fathom_trainer_resume(&resumed, NULL, path, 0), 0);
    assert_int_equal(fathom_trainer_describe(resumed)->n_sources, 2);
    assert_int_equal(fathom_trainer_describe(resumed)->sources[1], D);
    true_rows(rows, directions, &random);
    assert_int_equal(fathom_trainer_step(&a, trainer, rows, BATCH), 0);
    assert_int_equal(fathom_trainer_step(&b, resumed, rows, BATCH), 0);
    assert_true(a.loss == b.loss && a.gradient_norm == b.gradient_norm);
    assert_memory_equal(trainer->decoder.value, resumed->decoder.value,
                        LEARNED * trainer->stride * sizeof *trainer->decoder.value);
    fathom_trainer_close(trainer);
    fathom_trainer_close(resumed);
}

static void check_refused(const struct fathom_trainer_options *options, const char *part) {
    fathom_trainer *trainer = NULL;
    assert_int_equal(fathom_trainer_open(&trainer, options), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), part));
    assert_null(trainer);
}

static void test_bad_options(void **state) {
    (void)state;
    struct fathom_trainer_options options = make_options(FATHOM_TRAIN_TOPK, ACTIVE);
    options.n_sources = 1;
    check_refused(&options, "2 to 64 are expected of a crosscoder");
    options = make_options(FATHOM_TRAIN_TOPK, ACTIVE);
    options.sources[1]++;
    check_refused(&options, "sources of width 65 together; d_in (64) is expected");
    options = make_options(FATHOM_TRAIN_TOPK, ACTIVE);
    options.sources[1] = 0;
    check_refused(&options, "source 1 has no width");
    options = make_options(FATHOM_TRAIN_TOPK, ACTIVE);
    options.d_out = D;
    check_refused(&options, "a crosscoder reconstructs the rows that it reads");
}

static void test_bad_rows(void **state) {
    (void)state;
    static float rows[BATCH * ROW];
    const struct fathom_trainer_options options = make_options(FATHOM_TRAIN_TOPK, ACTIVE);
    fathom_trainer *trainer = NULL;
    for (int i = 0; i < BATCH * ROW; i++)
        rows[i] = (float)(i % 7);
    rows[3 * ROW + D + 1] = NAN;
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), FATHOM_ERROR_NUMERIC);
    assert_non_null(strstr(fathom_error_message(), "row 3 of those to prepare with is not finite in source 1"));
    fathom_trainer_close(trainer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovery),    cmocka_unit_test(test_parts),    cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_bad_options), cmocka_unit_test(test_bad_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
