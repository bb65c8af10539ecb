#include <base/machine.h>
#include <tests/support/check.h>

static void test_memory_is_plausible(void **state) {
    (void)state;
    assert_true(fathom__machine_memory() > (uint64_t)16 << 20);
    assert_true(fathom__machine_memory() < (uint64_t)1 << 50);
}

static void test_more_than_there_is(void **state) {
    (void)state;
    check_ok(fathom__machine_check(1e6, "a little"));
    check_ok(fathom__machine_check((double)fathom__machine_memory(), "all"));
    check_status(fathom__machine_check(1e18, "much"), FATHOM_ERROR_MEMORY,
                 "much: 1000000000.0 GB of memory are needed");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_plausible),
        cmocka_unit_test(test_more_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
