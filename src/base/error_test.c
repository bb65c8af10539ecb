#include <base/error.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_fail_sets_message(void **state) {
    (void)state;
    assert_int_equal(fathom__fail(FATHOM_ERROR_FORMAT, "%s: %d", "a.gguf", 7), FATHOM_ERROR_FORMAT);
    assert_string_equal(fathom_error_message(), "a.gguf: 7");
}

static void test_wrap_adds_in_front(void **state) {
    (void)state;
    fathom__fail(FATHOM_ERROR_IO, "inner");
    assert_int_equal(fathom__wrap(FATHOM_ERROR_IO, "file %d", 3), FATHOM_ERROR_IO);
    assert_string_equal(fathom_error_message(), "file 3: inner");
}

static void test_message_may_be_an_argument(void **state) {
    (void)state;
    fathom__fail(FATHOM_ERROR_IO, "abc");
    fathom__fail(FATHOM_ERROR_IO, "%s%s", fathom_error_message(), fathom_error_message());
    assert_string_equal(fathom_error_message(), "abcabc");
}

static void test_message_is_one_printable_line(void **state) {
    (void)state;
    fathom__fail(FATHOM_ERROR_IO, "a\nb\x1b[31mc\x7f");
    assert_string_equal(fathom_error_message(), "a b?[31mc?");
}

static void test_long_message_is_cut_between_characters(void **state) {
    (void)state;
    char text[4096] = {0};
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    for (int shift = 0; shift < 3; shift++) {
        fathom__fail(FATHOM_ERROR_IO, "%.*s%s", shift, "xx", text);
        size_t length = strlen(fathom_error_message());
        assert_in_range(length, 1019, 1023);
        assert_int_equal((length - (size_t)shift) % 3, 0);
    }
    fathom__fail(FATHOM_ERROR_IO, "%s", text);
    fathom__wrap(FATHOM_ERROR_IO, "front");
    assert_memory_equal(fathom_error_message(), "front: \xe2\x82\xac", 10);
}

static void test_errno_is_told(void **state) {
    (void)state;
    errno = ENOENT;
    assert_int_equal(fathom__fail_errno("/no/such", "open"), FATHOM_ERROR_IO);
    assert_string_equal(fathom_error_message(), "/no/such: cannot open: No such file or directory");
    errno = ENOSPC;
    assert_int_equal(fathom__fail_errno("file", "write"), FATHOM_ERROR_LIMIT);
    assert_string_equal(fathom_error_message(), "file: cannot write: No space left on device");
}

static void test_callback_statuses(void **state) {
    (void)state;
    assert_int_equal(fathom__callback_status(0), FATHOM_OK);
    assert_int_equal(fathom__callback_status(FATHOM_ERROR_IO), FATHOM_ERROR_IO);
    assert_int_equal(fathom__callback_status(1), FATHOM_ERROR_STOPPED);
    assert_int_equal(fathom__callback_status(-1000), FATHOM_ERROR_STOPPED);
    assert_int_equal(fathom__callback_status(FATHOM_ERROR_STOPPED), FATHOM_ERROR_STOPPED);
    assert_string_equal(fathom_error_message(), "stopped by the caller");
}

static void test_names(void **state) {
    (void)state;
    assert_string_equal(fathom_error_name(FATHOM_OK), "ok");
    assert_string_equal(fathom_error_name(FATHOM_ERROR_FORMAT), "format");
    assert_string_equal(fathom_error_name(FATHOM_ERROR_STOPPED), "stopped");
    assert_string_equal(fathom_error_name(1), "unknown");
    assert_string_equal(fathom_error_name(-12), "unknown");
    for (int status = FATHOM_ERROR_STOPPED; status <= FATHOM_OK; status++)
        assert_string_not_equal(fathom_error_name(status), "unknown");
}

static void *other_thread(void *payload) {
    char *seen = payload;
    strcpy(seen, fathom_error_message());
    fathom__fail(FATHOM_ERROR_IO, "of the other thread");
    return NULL;
}

static void test_each_thread_has_its_own_message(void **state) {
    (void)state;
    char seen[64] = "unset";
    pthread_t thread;
    fathom__fail(FATHOM_ERROR_IO, "of this thread");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, seen), 0);
    pthread_join(thread, NULL);
    assert_string_equal(seen, "");
    assert_string_equal(fathom_error_message(), "of this thread");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_sets_message),
        cmocka_unit_test(test_wrap_adds_in_front),
        cmocka_unit_test(test_message_may_be_an_argument),
        cmocka_unit_test(test_message_is_one_printable_line),
        cmocka_unit_test(test_long_message_is_cut_between_characters),
        cmocka_unit_test(test_errno_is_told),
        cmocka_unit_test(test_callback_statuses),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_each_thread_has_its_own_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
