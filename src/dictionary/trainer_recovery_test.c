/* What training finds on data whose true features are known, beside random directions; and that dead features come
 * back. */
#include <base/error.h>
#include <base/random.h>
#include <dictionary/trainer_internal.h>
#include <dictionary/trainer_truth.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { TRUE_D = 32, TRUE_FEATURES = 64, TRUE_ACTIVE = 3, LEARNED = 96, BATCH = 512, STEPS = 1500 };

static void make_truth(float *directions) {
    fathom__truth_directions(directions, TRUE_FEATURES, TRUE_D, 77);
}

static void true_rows(float *rows, const float *directions, struct fathom__random *random) {
    memset(rows, 0, BATCH * TRUE_D * sizeof *rows);
    for (int r = 0; r < BATCH; r++)
        for (int i = 0; i < TRUE_ACTIVE; i++) {
            const size_t f = fathom__random_below(random, TRUE_FEATURES);
            const float strength = 1 + (float)fathom__random_unit(random);
            for (int j = 0; j < TRUE_D; j++)
                rows[r * TRUE_D + j] += strength * directions[f * TRUE_D + j];
        }
}

static double recovered(const float *directions, const float *decoder, size_t stride) {
    return fathom__truth_recovered(directions, TRUE_FEATURES, TRUE_D, decoder, LEARNED, stride);
}

struct wanted {
    enum fathom_trainer_architecture architecture;
    double fve, l0_tolerance; /* at least; at most, as a part of k */
    uint32_t groups[2], n_groups;
};

static void check_recovery(const struct wanted *wanted) {
    static float directions[TRUE_FEATURES * TRUE_D], rows[BATCH * TRUE_D];
    const struct fathom_trainer_options options = {.architecture = wanted->architecture,
                                                   .d_in = TRUE_D,
                                                   .n_features = LEARNED,
                                                   .k = TRUE_ACTIVE,
                                                   .batch = BATCH,
                                                   .n_threads = 2,
                                                   .seed = 1,
                                                   .learning_rate = 3e-3,
                                                   .total_steps = STEPS,
                                                   .dead_after = 20 * BATCH,
                                                   .groups = {wanted->groups[0], wanted->groups[1]},
                                                   .n_groups = wanted->n_groups};
    fathom_trainer *trainer = NULL;
    struct fathom__random random;
    struct fathom_trainer_metrics metrics;
    struct fathom_trainer_evaluation evaluation;
    fathom__random_seed(&random, 5);
    make_truth(directions);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    const double before = recovered(directions, trainer->decoder.value, trainer->stride); /* random directions */
    for (int step = 0; step < STEPS; step++) {
        true_rows(rows, directions, &random);
        assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, BATCH), 0);
    }
    const double after = recovered(directions, trainer->decoder.value, trainer->stride);
    true_rows(rows, directions, &random);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, BATCH), 0);
    print_message("%s recovered %.2f of the true features (random directions: %.2f); held-out FVE %.3f, L0 %.2f, dead "
                  "%.3f\n",
                  fathom_trainer_architecture_name(wanted->architecture), after, before, evaluation.fve, evaluation.l0,
                  evaluation.dead_fraction);
    assert_true(before < 0.05);
    assert_true(after > 0.9);
    assert_true(evaluation.fve > wanted->fve);
    assert_true(fabs(evaluation.l0 / TRUE_ACTIVE - 1) < wanted->l0_tolerance);
    fathom_trainer_close(trainer);
}

static void test_recovery_topk(void **state) {
    (void)state;
    const struct wanted wanted = {.architecture = FATHOM_TRAIN_TOPK, .fve = 0.85, .l0_tolerance = 0.02};
    check_recovery(&wanted);
}
static void test_recovery_batchtopk(void **state) {
    (void)state;
    const struct wanted wanted = {.architecture = FATHOM_TRAIN_BATCHTOPK, .fve = 0.85, .l0_tolerance = 0.02};
    check_recovery(&wanted);
}
static void test_recovery_matryoshka(void **state) {
    (void)state;
    const struct wanted wanted = {FATHOM_TRAIN_MATRYOSHKA, 0.8, 0.02, {LEARNED - 24, 24}, 2};
    check_recovery(&wanted);
}
/* L1 shrinks what it leaves active, which costs reconstruction and not directions. */
static void test_recovery_standard(void **state) {
    (void)state;
    const struct wanted wanted = {.architecture = FATHOM_TRAIN_STANDARD, .fve = 0.4, .l0_tolerance = 0.1};
    check_recovery(&wanted);
}
static void test_recovery_gated(void **state) {
    (void)state;
    const struct wanted wanted = {.architecture = FATHOM_TRAIN_GATED, .fve = 0.8, .l0_tolerance = 0.1};
    check_recovery(&wanted);
}
static void test_recovery_jumprelu(void **state) {
    (void)state;
    const struct wanted wanted = {.architecture = FATHOM_TRAIN_JUMPRELU, .fve = 0.8, .l0_tolerance = 0.1};
    check_recovery(&wanted);
}
static void test_recovery_jumprelu_tanh(void **state) {
    (void)state;
    const struct wanted wanted = {.architecture = FATHOM_TRAIN_JUMPRELU_TANH, .fve = 0.8, .l0_tolerance = 0.2};
    check_recovery(&wanted);
}

/* A transcoder: features that are read along one direction and written along another. Both must be found. */
static void check_transcoder(enum fathom_trainer_architecture architecture) {
    static float read[TRUE_FEATURES * TRUE_D], written[TRUE_FEATURES * TRUE_D], inputs[BATCH * TRUE_D],
        outputs[BATCH * TRUE_D], rows[2 * BATCH * TRUE_D];
    const struct fathom_trainer_options options = {.architecture = architecture,
                                                   .d_in = TRUE_D,
                                                   .d_out = TRUE_D,
                                                   .n_features = LEARNED,
                                                   .k = TRUE_ACTIVE,
                                                   .batch = BATCH,
                                                   .n_threads = 2,
                                                   .seed = 1,
                                                   .learning_rate = 3e-3,
                                                   .total_steps = STEPS,
                                                   .dead_after = 20 * BATCH};
    fathom_trainer *trainer = NULL;
    struct fathom__random by_read, by_written;
    struct fathom_trainer_evaluation evaluation;
    make_truth(read);
    for (int f = 0; f < TRUE_FEATURES; f++) /* another feature's direction, mirrored: along none of those read */
        for (int j = 0; j < TRUE_D; j++)
            written[f * TRUE_D + j] = read[(f + 1) % TRUE_FEATURES * TRUE_D + TRUE_D - 1 - j];
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    const double before = recovered(written, trainer->decoder.value, trainer->stride);
    fathom__random_seed(&by_read, 5);
    fathom__random_seed(&by_written, 5); /* the same features with the same strengths */
    for (int step = 0; step < STEPS; step++) {
        true_rows(inputs, read, &by_read);
        true_rows(outputs, written, &by_written);
        for (int r = 0; r < BATCH; r++) {
            memcpy(rows + 2 * r * TRUE_D, inputs + r * TRUE_D, TRUE_D * sizeof *rows);
            memcpy(rows + (2 * r + 1) * TRUE_D, outputs + r * TRUE_D, TRUE_D * sizeof *rows);
        }
        assert_int_equal(fathom_trainer_step(NULL, trainer, rows, BATCH), 0);
    }
    const double after = recovered(written, trainer->decoder.value, trainer->stride);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, BATCH), 0);
    print_message("%s transcoder recovered %.2f of what is written (random directions: %.2f); FVE %.3f, L0 %.2f\n",
                  fathom_trainer_architecture_name(architecture), after, before, evaluation.fve, evaluation.l0);
    assert_true(before < 0.05);
    assert_true(after > 0.9);
    assert_true(evaluation.fve > 0.8);
    fathom_trainer_close(trainer);
}

static void test_recovery_transcoder(void **state) {
    (void)state;
    check_transcoder(FATHOM_TRAIN_TOPK);
    check_transcoder(FATHOM_TRAIN_GATED);
}

/* Dead features: without the auxiliary loss they stay dead, with it they come back. */
static void check_revival(enum fathom_trainer_architecture architecture) {
    static float directions[TRUE_FEATURES * TRUE_D], rows[BATCH * TRUE_D];
    const float bias = architecture == FATHOM_TRAIN_TOPK ? -3 : -5;
    double dead[2];
    make_truth(directions);
    for (int with = 0; with < 2; with++) {
        const struct fathom_trainer_options options = {.architecture = architecture,
                                                       .d_in = TRUE_D,
                                                       .n_features = LEARNED,
                                                       .k = TRUE_ACTIVE,
                                                       .batch = BATCH,
                                                       .n_threads = 1,
                                                       .seed = 1,
                                                       .learning_rate = 3e-3,
                                                       .dead_after = 5 * BATCH,
                                                       .auxiliary_coefficient = with ? 0.25 : -1};
        fathom_trainer *trainer = NULL;
        struct fathom__random random;
        struct fathom_trainer_metrics metrics;
        fathom__random_seed(&random, 5);
        assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
        true_rows(rows, directions, &random);
        assert_int_equal(fathom_trainer_prepare(trainer, rows, BATCH), 0);
        for (int f = 0; f < LEARNED / 2; f++) { /* half of them cannot fire */
            trainer->encoder_bias.value[f] = bias;
            if (architecture == FATHOM_TRAIN_GATED) trainer->scalar[0].value[f] = bias;
        }
        for (int step = 0; step < 300; step++) {
            true_rows(rows, directions, &random);
            assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, BATCH), 0);
            if (step == 10) assert_true(metrics.dead_fraction > 0.4);
        }
        dead[with] = metrics.dead_fraction;
        fathom_trainer_close(trainer);
    }
    print_message("%s: dead without the auxiliary loss %.2f, with it %.2f\n",
                  fathom_trainer_architecture_name(architecture), dead[0], dead[1]);
    assert_true(dead[0] > 0.4);
    assert_true(dead[1] < dead[0] / 2);
}

static void test_auxiliary_revives(void **state) {
    (void)state;
    check_revival(FATHOM_TRAIN_TOPK);
    check_revival(FATHOM_TRAIN_STANDARD);
    check_revival(FATHOM_TRAIN_GATED);
    check_revival(FATHOM_TRAIN_JUMPRELU);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovery_topk),          cmocka_unit_test(test_recovery_batchtopk),
        cmocka_unit_test(test_recovery_matryoshka),    cmocka_unit_test(test_recovery_standard),
        cmocka_unit_test(test_recovery_gated),         cmocka_unit_test(test_recovery_jumprelu),
        cmocka_unit_test(test_recovery_jumprelu_tanh), cmocka_unit_test(test_recovery_transcoder),
        cmocka_unit_test(test_auxiliary_revives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
