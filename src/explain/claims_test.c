#include "claims.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_effect_beside_controls(void **state) {
    const double controls[] = {-0.1, 0.1, -0.2, 0.2};
    struct fathom_effect_measure measure;
    (void)state;
    fathom__claim_set(&measure, log(0.1), log(0.5), controls, 4);
    assert_float_equal(measure.effect, log(0.2), 1e-12);
    assert_float_equal(measure.probability, 0.1, 1e-12);
    assert_float_equal(measure.control, 0, 1e-12);
    assert_float_equal(measure.control_deviation, sqrt(0.1 / 3), 1e-12);
    assert_int_equal(measure.n_controls, 4);
    assert_true(measure.holds);
}

static void test_effect_within_controls_does_not_hold(void **state) {
    const double controls[] = {-1, 1, -2, 2};
    struct fathom_effect_measure measure;
    (void)state;
    fathom__claim_set(&measure, log(0.1), log(0.5), controls, 4);
    assert_false(measure.holds);
}

static void test_tiny_effect_does_not_hold(void **state) {
    const double controls[] = {0, 0};
    struct fathom_effect_measure measure;
    (void)state;
    fathom__claim_set(&measure, -1 - FATHOM_EXPLAIN_LEAST / 2, -1, controls, 2);
    assert_false(measure.holds);
}

static void test_no_control_no_claim(void **state) {
    struct fathom_effect_measure measure;
    (void)state;
    fathom__claim_set(&measure, -9, -1, NULL, 0);
    assert_float_equal(measure.effect, -8, 1e-12);
    assert_int_equal(measure.n_controls, 0);
    assert_false(measure.holds);
}

static void test_draw_takes_distinct_candidates(void **state) {
    const double effects[] = {10, 11, 12, 13, 14, 15};
    uint32_t candidates[] = {1, 3, 5};
    double drawn[4];
    double sum = 0;
    struct fathom__random random;
    (void)state;
    fathom__random_seed(&random, 1);
    assert_int_equal(fathom__claim_draw(drawn, 4, effects, candidates, 3, &random), 3);
    for (int i = 0; i < 3; i++)
        sum += drawn[i];
    assert_float_equal(sum, 11 + 13 + 15, 1e-12);
    assert_int_equal(fathom__claim_draw(drawn, 2, effects, candidates, 3, &random), 2);
    assert_true(drawn[0] != drawn[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_effect_beside_controls),
        cmocka_unit_test(test_effect_within_controls_does_not_hold),
        cmocka_unit_test(test_tiny_effect_does_not_hold),
        cmocka_unit_test(test_no_control_no_claim),
        cmocka_unit_test(test_draw_takes_distinct_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
