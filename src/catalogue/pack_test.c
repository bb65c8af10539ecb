#include "catalogue/pack.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void integers_and_floats_come_back(void **state) {
    (void)state;
    const uint64_t values[] = {0, 1, 127, 128, 300, 49151, UINT32_MAX, UINT64_MAX};
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(1024);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_int_equal(fathom__pack_integer(&buffer, values[i]), 0);
    assert_int_equal(fathom__pack_byte(&buffer, 200), 0);
    assert_int_equal(fathom__pack_float(&buffer, -1.5f), 0);
    struct fathom__unpack in;
    fathom__unpack_begin(&in, buffer.bytes, buffer.length);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_true(fathom__unpack_integer(&in, UINT64_MAX) == values[i]);
    assert_int_equal(fathom__unpack_byte(&in), 200);
    assert_true(fathom__unpack_float(&in) == -1.5f);
    assert_true(fathom__unpack_done(&in));
    fathom__buffer_free(&buffer);
}

static void small_integers_take_one_byte(void **state) {
    (void)state;
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(16);
    assert_int_equal(fathom__pack_integer(&buffer, 127), 0);
    assert_int_equal(buffer.length, 1);
    assert_int_equal(fathom__pack_integer(&buffer, 128), 0);
    assert_int_equal(buffer.length, 3);
    fathom__buffer_free(&buffer);
}

static void reading_past_the_end_fails_for_good(void **state) {
    (void)state;
    const unsigned char bytes[] = {0x85};
    struct fathom__unpack in;
    fathom__unpack_begin(&in, bytes, sizeof bytes);
    assert_int_equal(fathom__unpack_integer(&in, UINT64_MAX), 0);
    assert_false(in.ok);
    assert_int_equal(fathom__unpack_byte(&in), 0);
    assert_false(fathom__unpack_done(&in));
    fathom__unpack_begin(&in, NULL, 0);
    assert_true(fathom__unpack_done(&in));
    assert_true(fathom__unpack_float(&in) == 0);
    assert_false(in.ok);
}

static void values_out_of_range_fail(void **state) {
    (void)state;
    const unsigned char over[] = {0xac, 0x02};
    struct fathom__unpack in;
    fathom__unpack_begin(&in, over, sizeof over);
    fathom__unpack_integer(&in, 299);
    assert_false(in.ok);
    const unsigned char huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    fathom__unpack_begin(&in, huge, sizeof huge);
    fathom__unpack_integer(&in, UINT64_MAX);
    assert_false(in.ok);
    const unsigned char nan_bytes[] = {0, 0, 0xc0, 0x7f};
    fathom__unpack_begin(&in, nan_bytes, sizeof nan_bytes);
    assert_true(fathom__unpack_float(&in) == 0);
    assert_false(in.ok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_and_floats_come_back),
        cmocka_unit_test(small_integers_take_one_byte),
        cmocka_unit_test(reading_past_the_end_fails_for_good),
        cmocka_unit_test(values_out_of_range_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
