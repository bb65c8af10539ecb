#include <base/error.h>
#include <base/memory.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_alloc_zeroes(void **state) {
    (void)state;
    uint32_t *items = NULL;
    assert_int_equal(fathom__alloc(&items, 100, sizeof *items), FATHOM_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(items[i], 0);
    fathom_free(items);
}

static void test_nothing_is_still_a_pointer(void **state) {
    (void)state;
    char *plain = NULL, *aligned = NULL;
    assert_int_equal(fathom__alloc(&plain, 0, 8), FATHOM_OK);
    assert_int_equal(fathom__alloc_aligned(&aligned, 0, 8), FATHOM_OK);
    assert_non_null(plain);
    assert_non_null(aligned);
    fathom_free(plain);
    fathom_free(aligned);
}

static void test_sizes_that_overflow(void **state) {
    (void)state;
    char mark, *pointer = &mark;
    size_t capacity = 0;
    assert_int_equal(fathom__alloc(&pointer, SIZE_MAX / 2, 4), FATHOM_ERROR_MEMORY);
    assert_int_equal(fathom__alloc_aligned(&pointer, SIZE_MAX, SIZE_MAX), FATHOM_ERROR_MEMORY);
    assert_ptr_equal(pointer, &mark);
    pointer = NULL;
    assert_int_equal(fathom__grow(&pointer, &capacity, SIZE_MAX / 2, 4), FATHOM_ERROR_MEMORY);
    assert_int_equal(capacity, 0);
    assert_non_null(strstr(fathom_error_message(), "out of memory"));
}

static void test_alignment(void **state) {
    (void)state;
    for (size_t n = 1; n < 2000; n = n * 3 + 1) {
        float *values = NULL;
        assert_int_equal(fathom__alloc_aligned(&values, n, sizeof *values), FATHOM_OK);
        assert_int_equal((uintptr_t)values % 64, 0);
        memset(values, 1, n * sizeof *values);
        fathom_free(values);
    }
}

static void test_grow_keeps_and_doubles(void **state) {
    (void)state;
    int *items = NULL;
    size_t capacity = 0, grown = 0, before = 0;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(fathom__grow(&items, &capacity, (size_t)i + 1, sizeof *items), FATHOM_OK);
        if (capacity != before) grown++;
        before = capacity;
        items[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    assert_in_range(grown, 2, 8);
    assert_in_range(capacity, 1000, 2000);
    fathom_free(items);
}

static void test_copies_and_format(void **state) {
    (void)state;
    char *text = NULL;
    assert_int_equal(fathom__copy_string(&text, "abc"), FATHOM_OK);
    assert_string_equal(text, "abc");
    fathom_free(text);
    assert_int_equal(fathom__copy_bytes(&text, "a\0bc", 3), FATHOM_OK);
    assert_memory_equal(text, "a\0b\0", 4);
    fathom_free(text);
    assert_int_equal(fathom__copy_bytes(&text, NULL, 0), FATHOM_OK);
    assert_string_equal(text, "");
    fathom_free(text);
    assert_int_equal(fathom__format(&text, "%s-%03d", "x", 7), FATHOM_OK);
    assert_string_equal(text, "x-007");
    fathom_free(text);
    fathom_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_zeroes),           cmocka_unit_test(test_nothing_is_still_a_pointer),
        cmocka_unit_test(test_sizes_that_overflow),    cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_grow_keeps_and_doubles), cmocka_unit_test(test_copies_and_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
