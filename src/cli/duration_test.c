#include "duration.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

static double read_as(const char *text) {
    double seconds = -1;
    assert_true(duration_read(&seconds, text));
    return seconds;
}

static void test_units(void **state) {
    (void)state;
    assert_true(read_as("90") == 90);
    assert_true(read_as("90s") == 90);
    assert_true(read_as("1.5m") == 90);
    assert_true(read_as("2min") == 120);
    assert_true(read_as("8h") == 28800);
    assert_true(read_as("2d") == 172800);
}

static void test_what_is_no_time(void **state) {
    (void)state;
    double seconds = 7;
    const char *const texts[] = {"", "m", "0", "-1h", "nan", "inf", "5 m", "5x", "1h30m"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(duration_read(&seconds, texts[i]));
    assert_true(seconds == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_units), cmocka_unit_test(test_what_is_no_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
