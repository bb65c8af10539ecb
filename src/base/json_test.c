#include <base/error.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/scratch.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static json_t *parsed(const char *text) {
    json_t *value = NULL;
    assert_int_equal(fathom__json_parse(&value, text, strlen(text), "t.json"), FATHOM_OK);
    return value;
}

static void test_bad_texts(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "t.json: line 1: not valid JSON"},
        {"{\"a\":\n\n1,}", "t.json: line 3: not valid JSON"},
        {"{\"a\":1,\"a\":2}", "duplicate object key"},
        {"{\"a\":NaN}", "not valid JSON"},
        {"{\"a\":1e999}", "real number overflow"},
        {"{\"a\":99999999999999999999}", "too big integer"},
        {"{\"a\":\"\xff\"}", "unable to decode byte"},
        {"{\"a\":\"\\u0000\"}", "not valid JSON"},
        {"{} x", "end of file expected"},
        {"3", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value = NULL;
        assert_int_equal(fathom__json_parse(&value, cases[i].text, strlen(cases[i].text), "t.json"),
                         FATHOM_ERROR_FORMAT);
        assert_null(value);
        if (!strstr(fathom_error_message(), cases[i].message)) fail_msg("%zu: %s", i, fathom_error_message());
    }
}

static void test_depth_is_limited(void **state) {
    (void)state;
    static char deep[100000];
    json_t *value = NULL;
    memset(deep, '[', sizeof deep);
    assert_int_equal(fathom__json_parse(&value, deep, sizeof deep, "t.json"), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "maximum parsing depth"));
}

static void test_separators_inside_strings_survive(void **state) {
    (void)state;
    json_t *value = parsed("{\"a\":\"x\xe2\x80\xa8y\xe2\x80\xa9z\xc2\x85\"}");
    const char *text = NULL;
    assert_int_equal(fathom__json_get_string(&text, value, "a", true, "t.json"), FATHOM_OK);
    assert_string_equal(text, "x\xe2\x80\xa8y\xe2\x80\xa9z\xc2\x85");
    json_decref(value);
}

static void test_typed_members(void **state) {
    (void)state;
    json_t *value = parsed("{\"s\":\"text\",\"i\":-5,\"r\":2.5,\"b\":true,\"n\":null}");
    const char *text = NULL;
    int64_t integer = 0;
    double number = 0;
    bool truth = false;
    assert_int_equal(fathom__json_get_string(&text, value, "s", true, "w"), FATHOM_OK);
    assert_string_equal(text, "text");
    assert_int_equal(fathom__json_get_integer(&integer, value, "i", -5, 5, true, "w"), FATHOM_OK);
    assert_int_equal(integer, -5);
    assert_int_equal(fathom__json_get_number(&number, value, "r", true, "w"), FATHOM_OK);
    assert_true(number == 2.5);
    assert_int_equal(fathom__json_get_number(&number, value, "i", true, "w"), FATHOM_OK);
    assert_true(number == -5);
    assert_int_equal(fathom__json_get_bool(&truth, value, "b", true, "w"), FATHOM_OK);
    assert_true(truth);
    json_decref(value);
}

static void test_member_errors_name_key_and_expectation(void **state) {
    (void)state;
    json_t *value = parsed("{\"s\":\"text\",\"i\":-5,\"r\":2.5,\"n\":null}");
    const char *text = "untouched";
    int64_t integer = 77;
    double number = 77;
    bool truth = true;
    assert_int_equal(fathom__json_get_string(&text, value, "none", true, "w.json"), FATHOM_ERROR_FORMAT);
    assert_string_equal(fathom_error_message(), "w.json: the key \"none\" (a string) is missing");
    assert_int_equal(fathom__json_get_string(&text, value, "none", false, "w.json"), FATHOM_OK);
    assert_int_equal(fathom__json_get_string(&text, value, "i", false, "w.json"), FATHOM_ERROR_FORMAT);
    assert_string_equal(fathom_error_message(), "w.json: \"i\" is an integer, a string was expected");
    assert_int_equal(fathom__json_get_integer(&integer, value, "i", 0, 9, true, "w.json"), FATHOM_ERROR_FORMAT);
    assert_string_equal(fathom_error_message(), "w.json: \"i\" is -5, 0 to 9 was expected");
    assert_int_equal(fathom__json_get_integer(&integer, value, "r", 0, 9, true, "w.json"), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom__json_get_number(&number, value, "s", true, "w.json"), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom__json_get_bool(&truth, value, "n", true, "w.json"), FATHOM_ERROR_FORMAT);
    assert_string_equal(fathom_error_message(), "w.json: \"n\" is null, a boolean was expected");
    assert_string_equal(text, "untouched");
    assert_int_equal(integer, 77);
    assert_true(number == 77 && truth);
    json_decref(value);
    value = parsed("[1]");
    assert_int_equal(fathom__json_get_integer(&integer, value, "i", 0, 9, false, "w.json"), FATHOM_ERROR_FORMAT);
    assert_string_equal(fathom_error_message(), "w.json: an array where an object with the key \"i\" was expected");
    json_decref(value);
}

static void test_files(void **state) {
    (void)state;
    json_t *value = parsed("{\"z\":[1,0.1,\"\xc3\xa9\"],\"a\":null}"), *back = NULL;
    const char *path = scratch("out.json");
    assert_int_equal(fathom__json_write(path, value), FATHOM_OK);
    assert_int_equal(fathom__json_load(&back, path), FATHOM_OK);
    assert_true(json_equal(value, back));
    char *text = NULL;
    assert_int_equal(fathom__json_text(&text, back, false), FATHOM_OK);
    assert_string_equal(text, "{\"z\":[1,0.1,\"\xc3\xa9\"],\"a\":null}");
    fathom_free(text);
    json_decref(back);
    assert_int_equal(fathom__json_load(&back, scratch("none.json")), FATHOM_ERROR_IO);
    assert_int_equal(fathom__json_load(&back, scratch_text("bad.json", "{\n")), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "bad.json: line"));
    assert_int_equal(fathom__json_text(&text, NULL, false), FATHOM_ERROR_MEMORY);
    json_decref(value);
}

static void test_strings_of_any_bytes(void **state) {
    (void)state;
    json_t *string = fathom__json_string("a\xff\0b", 4);
    assert_int_equal(json_string_length(string), 6);
    assert_memory_equal(json_string_value(string), "a\xef\xbf\xbd\0b", 6);
    json_decref(string);
    string = fathom__json_string("", 0);
    assert_string_equal(json_string_value(string), "");
    json_decref(string);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_texts),
        cmocka_unit_test(test_depth_is_limited),
        cmocka_unit_test(test_separators_inside_strings_survive),
        cmocka_unit_test(test_typed_members),
        cmocka_unit_test(test_member_errors_name_key_and_expectation),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_strings_of_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
