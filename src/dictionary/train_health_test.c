/* Warnings come when they should, once, and not otherwise. */
#include <base/error.h>
#include <dictionary/train_internal.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { K = 10, WARMUP = 5 };

static int open_learner(void **state) {
    static struct fathom__learner learner;
    const struct fathom_trainer_options options = {
        .d_in = 16, .n_features = 32, .k = K, .batch = 8, .n_threads = 1, .warmup_steps = WARMUP};
    memset(&learner, 0, sizeof learner);
    *state = &learner;
    return fathom_trainer_open(&learner.trainer, &options);
}

static int close_learner(void **state) {
    fathom_trainer_close(((struct fathom__learner *)*state)->trainer);
    return 0;
}

static const char *next(struct fathom__learner *learner, struct fathom_trainer_evaluation evaluation) {
    const struct fathom_trainer_evaluation before = learner->evaluation;
    learner->evaluation = evaluation;
    learner->last.step += WARMUP + 1;
    fathom__health_of_evaluation(learner, &before);
    learner->evaluated = true;
    return learner->warning;
}

static void expect(const char *warning, const char *part) {
    if (!strstr(warning, part)) fail_msg("\"%s\" does not hold \"%s\"", warning, part);
}

static void test_falling(void **state) {
    const double fve[] = {0.5, 0.6, 0.59, 0.58};
    for (size_t i = 0; i < sizeof fve / sizeof *fve; i++)
        assert_string_equal(next(*state, (struct fathom_trainer_evaluation){.fve = fve[i], .l0 = K}), "");
    expect(next(*state, (struct fathom_trainer_evaluation){.fve = 0.57, .l0 = K}), "fallen 3");
    /* still falling: told before */
    assert_string_equal(next(*state, (struct fathom_trainer_evaluation){.fve = 0.56, .l0 = K}), "");
    assert_string_equal(next(*state, (struct fathom_trainer_evaluation){.fve = 0.6, .l0 = K}), "");
    for (int i = 0; i < 2; i++)
        assert_string_equal(next(*state, (struct fathom_trainer_evaluation){.fve = 0.5 - 0.01 * i, .l0 = K}), "");
    expect(next(*state, (struct fathom_trainer_evaluation){.fve = 0.4, .l0 = K}), "fallen 3");
}

/* As features become fewer, they reconstruct less: that is no warning. */
static void test_falling_with_l0(void **state) {
    for (int i = 0; i < 6; i++)
        assert_string_equal(
            next(*state, (struct fathom_trainer_evaluation){.fve = 0.9 - 0.05 * i, .l0 = 4 * K - 5 * i}), "");
}

static void test_limits(void **state) {
    assert_string_equal(next(*state, (struct fathom_trainer_evaluation){.l0 = K, .dead_fraction = 0.5}), "");
    expect(next(*state, (struct fathom_trainer_evaluation){.l0 = K, .dead_fraction = 0.51}), "51 % of the features");
    assert_string_equal(next(*state, (struct fathom_trainer_evaluation){.l0 = K, .dense_share = 0.5}), "");
    expect(next(*state, (struct fathom_trainer_evaluation){.l0 = K, .dense_share = 0.6, .n_dense = 7}), "(7 features)");
    assert_string_equal(next(*state, (struct fathom_trainer_evaluation){.l0 = 0.1 * K}), "");
    expect(next(*state, (struct fathom_trainer_evaluation){.l0 = 0.09 * K}), "collapsed");
    expect(next(*state, (struct fathom_trainer_evaluation){.l0 = K, .fve = -0.01}), "worse than the mean");
}

static void test_diverged(void **state) {
    struct fathom__learner *learner = *state;
    learner->last = (struct fathom_trainer_metrics){.step = 7, .loss = 0.5, .gradient_norm = 1};
    assert_int_equal(fathom__health_of_step(learner), 0);
    learner->last.gradient_norm = INFINITY;
    assert_int_equal(fathom__health_of_step(learner), FATHOM_ERROR_NUMERIC);
    expect(fathom_error_message(), "step 7");
    learner->last = (struct fathom_trainer_metrics){.step = 8, .loss = NAN, .gradient_norm = 1};
    assert_int_equal(fathom__health_of_step(learner), FATHOM_ERROR_NUMERIC);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_falling, open_learner, close_learner),
        cmocka_unit_test_setup_teardown(test_falling_with_l0, open_learner, close_learner),
        cmocka_unit_test_setup_teardown(test_limits, open_learner, close_learner),
        cmocka_unit_test_setup_teardown(test_diverged, open_learner, close_learner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
