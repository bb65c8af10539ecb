#include <base/buffer.h>
#include <base/error.h>
#include <base/memory.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_appending(void **state) {
    (void)state;
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(1000);
    assert_int_equal(fathom__buffer_text(&buffer, "ab"), FATHOM_OK);
    assert_int_equal(fathom__buffer_append(&buffer, "c\0d", 3), FATHOM_OK);
    assert_int_equal(fathom__buffer_format(&buffer, "[%5.2f]", 3.14159), FATHOM_OK);
    assert_int_equal(buffer.length, 12);
    assert_memory_equal(buffer.bytes, "abc\0d[ 3.14]", 13);
    fathom__buffer_clear(&buffer);
    assert_int_equal(buffer.length, 0);
    assert_string_equal(buffer.bytes, "");
    fathom__buffer_free(&buffer);
}

static void test_limit_is_exact(void **state) {
    (void)state;
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(4);
    assert_int_equal(fathom__buffer_text(&buffer, "abcd"), FATHOM_OK);
    assert_int_equal(fathom__buffer_text(&buffer, ""), FATHOM_OK);
    assert_int_equal(fathom__buffer_text(&buffer, "e"), FATHOM_ERROR_LIMIT);
    assert_int_equal(fathom__buffer_format(&buffer, "%d", 5), FATHOM_ERROR_LIMIT);
    assert_int_equal(fathom__buffer_append(&buffer, "", SIZE_MAX), FATHOM_ERROR_LIMIT);
    assert_string_equal(buffer.bytes, "abcd");
    fathom__buffer_free(&buffer);
}

static void test_html(void **state) {
    (void)state;
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(1000);
    const char *text = "<a href=\"x\">&'\xc3\xa9</a>";
    assert_int_equal(fathom__buffer_html(&buffer, text, strlen(text)), FATHOM_OK);
    assert_string_equal(buffer.bytes, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\xc3\xa9&lt;/a&gt;");
    fathom__buffer_free(&buffer);
}

static void test_take(void **state) {
    (void)state;
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(1000);
    char *text = NULL;
    assert_int_equal(fathom__buffer_take(&text, &buffer), FATHOM_OK);
    assert_string_equal(text, "");
    fathom_free(text);
    assert_int_equal(fathom__buffer_text(&buffer, "abc"), FATHOM_OK);
    assert_int_equal(fathom__buffer_take(&text, &buffer), FATHOM_OK);
    assert_string_equal(text, "abc");
    assert_null(buffer.bytes);
    assert_int_equal(buffer.length, 0);
    fathom_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appending),
        cmocka_unit_test(test_limit_is_exact),
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
