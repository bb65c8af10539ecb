#include "catalogue/statistics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_near(double value, double wanted, double tolerance) {
    if (fabs(value - wanted) > tolerance) fail_msg("%.12g is not %.12g", value, wanted);
}

/* All subsets counted by hand for a small urn: 10 balls, 4 marked, 3 drawn; C(10, 3) = 120. */
static void tails_agree_with_counting(void **state) {
    (void)state;
    assert_near(exp(fathom__log_hypergeometric_tail(1, 3, 4, 10)), 100.0 / 120, 1e-12);
    assert_near(exp(fathom__log_hypergeometric_tail(2, 3, 4, 10)), 40.0 / 120, 1e-12);
    assert_near(exp(fathom__log_hypergeometric_tail(3, 3, 4, 10)), 4.0 / 120, 1e-12);
}

static void impossible_and_certain_tails(void **state) {
    (void)state;
    assert_true(fathom__log_hypergeometric_tail(0, 3, 4, 10) == 0);
    assert_true(fathom__log_hypergeometric_tail(4, 3, 4, 10) == -HUGE_VAL);
    assert_true(fathom__log_hypergeometric_tail(2, 5, 7, 10) == 0); /* two of five must be marked */
    assert_true(fathom__log_hypergeometric_tail(1, 3, 0, 10) == -HUGE_VAL);
}

/* Where the population is vast, the tail is the binomial's: P(X >= 5 of 10) at p = 0.01 is 2.4e-8. */
static void a_vast_population_is_binomial(void **state) {
    (void)state;
    double wanted = 0;
    const double choose[] = {252, 210, 120, 45, 10, 1};
    for (int i = 0; i < 6; i++)
        wanted += choose[i] * pow(0.01, 5 + i) * pow(0.99, 5 - i);
    assert_near(fathom__log_hypergeometric_tail(5, 10, 10000000, 1000000000), log(wanted), 1e-4);
}

static void information_prefers_special_and_covering(void **state) {
    (void)state;
    assert_near(fathom__information(0.5, 0.25), 0.5 * log(2), 1e-15);
    assert_true(fathom__information(0, 0.1) == 0);
    assert_true(fathom__information(0.6, 0.005) > fathom__information(0.9, 0.15)); /* athletes before people */
    assert_true(fathom__information(0.6, 0.005) > fathom__information(0.1, 0.0005));
    assert_true(fathom__information(0.2, 0.4) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tails_agree_with_counting),
        cmocka_unit_test(impossible_and_certain_tails),
        cmocka_unit_test(a_vast_population_is_binomial),
        cmocka_unit_test(information_prefers_special_and_covering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
