#include "steer/fluency.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void repetition_counts_grams_seen_before(void **state) {
    (void)state;
    const int32_t fresh[] = {1, 2, 3, 4, 5, 6}, stuck[] = {7, 7, 7, 7, 7, 7, 7, 7}, twice[] = {1, 2, 3, 4, 1, 2, 3, 4};
    assert_true(fathom__repetition(fresh, 6, 4) == 0);
    assert_true(fathom__repetition(stuck, 8, 4) == 0.8); /* 5 grams, all but the first repeated */
    assert_true(fathom__repetition(twice, 8, 4) == 0.2); /* 1234 once more among 5 */
    assert_true(fathom__repetition(fresh, 4, 4) == 0);
    assert_true(fathom__repetition(fresh, 3, 4) == 0);
    assert_true(fathom__repetition(NULL, 0, 4) == 0);
    assert_true(fathom__distinct(twice, 8, 1) == 0.5);
    assert_true(fabs(fathom__distinct(twice, 8, 2) - 4.0 / 7.0) < 1e-15);
    assert_true(fathom__distinct(stuck, 1, 1) == 1);
}

static void words_are_runs_without_space(void **state) {
    (void)state;
    assert_int_equal(fathom__count_words(""), 0);
    assert_int_equal(fathom__count_words("  one\ntwo\t three, four "), 4);
}

static void the_harmonic_mean_forgives_nothing(void **state) {
    (void)state;
    const double parts[] = {0.5, 1, 0.25}, one_missing[] = {NAN, 0.5, 1}, zero[] = {1, 0, 1}, none[] = {NAN};
    assert_true(fabs(fathom__harmonic_mean(parts, 3) - 3.0 / 7.0) < 1e-15);
    assert_true(fabs(fathom__harmonic_mean(one_missing, 3) - 2.0 / 3.0) < 1e-15);
    assert_true(fathom__harmonic_mean(zero, 3) == 0);
    assert_true(fathom__harmonic_mean(none, 1) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repetition_counts_grams_seen_before),
        cmocka_unit_test(words_are_runs_without_space),
        cmocka_unit_test(the_harmonic_mean_forgives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
