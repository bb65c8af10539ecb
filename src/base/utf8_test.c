#include <base/error.h>
#include <base/memory.h>
#include <base/utf8.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const good[] = {
    "",
    "plain",
    "\xc2\x80",
    "\xdf\xbf",
    "\xe0\xa0\x80",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbf",
    "\xf0\x90\x80\x80",
    "\xf4\x8f\xbf\xbf",
    "a\342\200\250b",
};

static const struct {
    const char *text;
    size_t offset;
} wrong[] = {
    {"\x80", 0},     /* a continuation byte alone */
    {"ab\xff", 2},   /* a byte that never occurs */
    {"\xc0\x80", 0}, /* overlong forms */
    {"\xc1\xbf", 0},
    {"x\xe0\x9f\xbf", 1},
    {"\xf0\x8f\xbf\xbf", 0},
    {"\xed\xa0\x80", 0},     /* a surrogate */
    {"\xf4\x90\x80\x80", 0}, /* over U+10FFFF */
    {"\xf5\x80\x80\x80", 0},
    {"ok\xe2\x82", 2},   /* ends inside a character */
    {"\xe2\x28\xa1", 0}, /* the second byte is no continuation */
    {"\xf0\x9f\x98z", 0},
};

static void test_valid(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(fathom__utf8_valid(NULL, good[i], strlen(good[i])));
    assert_true(fathom__utf8_valid(NULL, "a\0b", 3));
}

static void test_invalid(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        size_t offset = SIZE_MAX;
        assert_false(fathom__utf8_valid(&offset, wrong[i].text, strlen(wrong[i].text)));
        assert_int_equal(offset, wrong[i].offset);
        assert_false(fathom__utf8_valid(NULL, wrong[i].text, strlen(wrong[i].text)));
    }
}

static void test_whole(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t whole;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"a\xc3\xa9", 3},
        {"a\xc3", 1},
        {"a\xe2\x82", 1},
        {"a\xf0\x9f\x98", 1},
        {"a\xf0\x9f\x98\x80", 5},
        {"a\xe0\x80", 3},    /* can no longer become a character */
        {"\x80\x80\x80", 3}, /* plainly invalid */
        {"\x80\x80\x80\x80", 4},
        {"a\xff", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(fathom__utf8_whole(cases[i].text, strlen(cases[i].text)), cases[i].whole);
}

static void test_clean(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"a\377\376b", "a\357\277\275\357\277\275b"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = NULL;
        assert_int_equal(fathom__utf8_clean(&text, cases[i][0], strlen(cases[i][0])), FATHOM_OK);
        assert_string_equal(text, cases[i][1]);
        fathom_free(text);
    }
}

static void test_line(void **state) {
    (void)state;
    char *text = NULL;
    const char name[] = "na\xc3\xafve\n\x1b[31m\x7f\xff \xc2\x9b"
                        "0m\xc2\xa0.";
    assert_int_equal(fathom__utf8_line(&text, name, sizeof name - 1), FATHOM_OK);
    assert_string_equal(text, "na\xc3\xafve??[31m?\xef\xbf\xbd ?0m\xc2\xa0.");
    fathom_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid), cmocka_unit_test(test_invalid), cmocka_unit_test(test_whole),
        cmocka_unit_test(test_clean), cmocka_unit_test(test_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
