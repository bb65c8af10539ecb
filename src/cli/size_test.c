#include "size.h"
#include "tests/support/check.h"

static void sizes_have_one_decimal(void **state) {
    (void)state;
    char text[CLI_SIZE_TEXT];
    assert_string_equal(cli_size(text, 0), "0 B");
    assert_string_equal(cli_size(text, 999), "999 B");
    assert_string_equal(cli_size(text, 1000), "1.0 kB");
    assert_string_equal(cli_size(text, 98362432), "98.4 MB");
    assert_string_equal(cli_size(text, 999960000), "1.0 GB");
    assert_string_equal(cli_size(text, UINT64_MAX), "18446744.1 TB");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes_have_one_decimal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
