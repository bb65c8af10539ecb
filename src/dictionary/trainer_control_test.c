/* Control brings L0 to k within a short run, where thresholds that moved by the learning rate alone would not get there. */
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

enum {
    WIDTH = 64,
    TRUE_FEATURES = 512,
    TRUE_ACTIVE = 12,
    LEARNED = 1024,
    K = 16,
    BATCH = 512,
    STEPS = 200,
    SETTLED = 100
};

/* Some directions, each by a positive amount, and a common offset that all rows have. */
static void make_rows(float *rows, const float *directions, struct fathom__random *random) {
    for (size_t r = 0; r < BATCH; r++) {
        float *row = rows + r * WIDTH;
        for (int j = 0; j < WIDTH; j++)
            row[j] = 0.5F + 0.05F * (float)fathom__random_normal(random);
        for (int a = 0; a < TRUE_ACTIVE; a++) {
            const double place = fathom__random_unit(random); /* some are frequent, most are rare */
            const size_t f = (size_t)(place * place * TRUE_FEATURES);
            const float amount = 1 + fabsf((float)fathom__random_normal(random));
            for (int j = 0; j < WIDTH; j++)
                row[j] += amount * directions[f * WIDTH + j];
        }
    }
}

static void test_jumprelu(void **state) {
    (void)state;
    static float directions[TRUE_FEATURES * WIDTH], rows[BATCH * WIDTH];
    const struct fathom_trainer_options options = {.architecture = FATHOM_TRAIN_JUMPRELU,
                                                   .d_in = WIDTH,
                                                   .n_features = LEARNED,
                                                   .k = K,
                                                   .batch = BATCH,
                                                   .n_threads = 1,
                                                   .seed = 1,
                                                   .learning_rate = 1.2e-3,
                                                   .total_steps = STEPS};
    fathom_trainer *trainer = NULL;
    struct fathom__random random;
    struct fathom_trainer_metrics metrics;
    struct fathom_trainer_evaluation evaluation;
    double sum = 0, furthest = 0;
    fathom__random_seed(&random, 3);
    fathom__truth_directions(directions, TRUE_FEATURES, WIDTH, 5);
    assert_int_equal(fathom_trainer_open(&trainer, &options), 0);
    for (int step = 0; step < STEPS; step++) {
        make_rows(rows, directions, &random);
        assert_int_equal(fathom_trainer_step(&metrics, trainer, rows, BATCH), 0);
        if (step < SETTLED) continue;
        sum += metrics.l0 / (STEPS - SETTLED);
        furthest = fmax(furthest, fabs(metrics.l0 / K - 1));
    }
    make_rows(rows, directions, &random);
    assert_int_equal(fathom_trainer_evaluate(&evaluation, trainer, rows, BATCH), 0);
    print_message("L0 for k %d over the last steps: %.2f on average, furthest by %.2f; held out %.2f, FVE %.3f\n", K,
                  sum, furthest, evaluation.l0, evaluation.fve);
    assert_true(fabs(sum / K - 1) < 0.12);
    assert_true(furthest < 0.25);
    assert_true(fabs(evaluation.l0 / K - 1) < 0.1);
    fathom_trainer_close(trainer);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jumprelu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
