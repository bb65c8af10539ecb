#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/scratch.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_message_has(const char *part) {
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" lacks \"%s\"", fathom_error_message(), part);
}

static void test_read(void **state) {
    (void)state;
    char *bytes = NULL;
    size_t length = 0;
    const char *path = scratch_file("read", "ab\0c", 4);
    assert_int_equal(fathom__file_read(&bytes, &length, path, 4), FATHOM_OK);
    assert_int_equal(length, 4);
    assert_memory_equal(bytes, "ab\0c\0", 5);
    fathom_free(bytes);
    assert_int_equal(fathom__file_read(&bytes, &length, path, 3), FATHOM_ERROR_LIMIT);
    assert_message_has(path);
    assert_int_equal(fathom__file_read(&bytes, &length, scratch_text("empty", ""), 0), FATHOM_OK);
    assert_int_equal(length, 0);
    assert_string_equal(bytes, "");
    fathom_free(bytes);
}

static void test_read_what_has_no_size(void **state) {
    (void)state;
    char *bytes = NULL;
    size_t length = 0;
    assert_int_equal(fathom__file_read(&bytes, &length, "/dev/null", 10), FATHOM_OK);
    assert_int_equal(length, 0);
    fathom_free(bytes);
    assert_int_equal(fathom__file_read(&bytes, &length, "/dev/zero", 100000), FATHOM_ERROR_LIMIT);
}

static void test_missing_and_folders(void **state) {
    (void)state;
    char *bytes = NULL;
    size_t length = 0;
    struct fathom__mapping mapping;
    assert_int_equal(fathom__file_read(&bytes, &length, scratch("none"), 10), FATHOM_ERROR_IO);
    assert_message_has("none: cannot open: No such file");
    assert_int_equal(fathom__file_map(&mapping, scratch("none")), FATHOM_ERROR_IO);
    assert_int_equal(fathom__file_read(&bytes, &length, "/", 10), FATHOM_ERROR_IO);
    assert_message_has("is a folder");
    assert_int_equal(fathom__file_map(&mapping, "/dev/null"), FATHOM_ERROR_IO);
    assert_message_has("a regular file was expected");
}

static void test_map(void **state) {
    (void)state;
    struct fathom__mapping mapping;
    assert_int_equal(fathom__file_map(&mapping, scratch_text("map", "hello")), FATHOM_OK);
    assert_int_equal(mapping.length, 5);
    assert_memory_equal(mapping.bytes, "hello", 5);
    fathom__file_unmap(&mapping);
    assert_null(mapping.bytes);
    assert_int_equal(fathom__file_map(&mapping, scratch_text("empty", "")), FATHOM_OK);
    assert_int_equal(mapping.length, 0);
    fathom__file_unmap(&mapping);
}

static void test_folders_and_existence(void **state) {
    (void)state;
    const char *deep = scratch("x/y//z/");
    assert_int_equal(fathom__make_folders(deep), FATHOM_OK);
    assert_int_equal(fathom__make_folders(deep), FATHOM_OK);
    assert_true(fathom__file_exists(scratch("x/y/z")));
    assert_false(fathom__file_exists(scratch("x/y/w")));
    assert_false(fathom__file_filled(scratch("x/y/w")));
    scratch_text("plain", "");
    assert_false(fathom__file_filled(scratch("plain")));
    assert_true(fathom__file_filled(scratch_text("filled", "x")));
    assert_int_equal(fathom__make_folders(scratch("plain/below")), FATHOM_ERROR_IO);
    assert_message_has("plain: cannot make the folder: Not a directory");
}

static void test_join(void **state) {
    (void)state;
    char *path = NULL;
    assert_int_equal(fathom__path_join(&path, "a", "b"), FATHOM_OK);
    assert_string_equal(path, "a/b");
    fathom_free(path);
    assert_int_equal(fathom__path_join(&path, "/", "b"), FATHOM_OK);
    assert_string_equal(path, "/b");
    fathom_free(path);
}

static void assert_path(int status, char *path, const char *expected) {
    assert_int_equal(status, FATHOM_OK);
    assert_string_equal(path, expected);
    fathom_free(path);
}

static void test_user_folders(void **state) {
    (void)state;
    char *path = NULL, expected[3 * SCRATCH_PATH];
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    snprintf(expected, sizeof expected, "%s/fathom/models/a.gguf", scratch("cache"));
    int status = fathom__cache_path(&path, "models/a.gguf");
    assert_path(status, path, expected);
    assert_true(fathom__file_exists(scratch("cache/fathom/models")));
    setenv("XDG_DATA_HOME", "relative", 1);
    setenv("HOME", scratch("home"), 1);
    snprintf(expected, sizeof expected, "%s/.local/share/fathom", scratch("home"));
    status = fathom__data_path(&path, NULL);
    assert_path(status, path, expected);
    assert_true(fathom__file_exists(scratch("home/.local/share")));
    unsetenv("HOME");
    unsetenv("XDG_DATA_HOME");
    assert_int_equal(fathom__data_path(&path, NULL), FATHOM_ERROR_IO);
    assert_message_has("XDG_DATA_HOME");
}

static void test_stems(void **state) {
    (void)state;
    assert_int_equal(fathom__stem_length("a/resid_post.11.gguf"), strlen("a/resid_post.11"));
    assert_int_equal(fathom__stem_length("a.gguf/resid_post.11"), strlen("a.gguf/resid_post.11"));
    assert_int_equal(fathom__stem_length("a/.gguf"), strlen("a/.gguf"));
    assert_int_equal(fathom__stem_length(".gguf"), strlen(".gguf"));
    assert_int_equal(fathom__stem_length(""), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_what_has_no_size),
        cmocka_unit_test(test_missing_and_folders),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_folders_and_existence),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_stems),
        cmocka_unit_test(test_user_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
