#include "server/job_text.h"
#include "tests/support/check.h"

enum { LIMIT = 64 };

static bool add(struct fathom__job_text *text, const char *bytes) {
    bool stopped = false;
    check_ok(fathom__job_text_add(&stopped, text, bytes, strlen(bytes)));
    return stopped;
}

static void characters_are_shown_whole(void **state) {
    (void)state;
    struct fathom__job_text text;
    fathom__job_text_start(&text, NULL, 0, LIMIT);
    assert_false(add(&text, "a\xe2"));
    assert_int_equal(fathom__job_text_showable(&text, 0, 2, false), 1);
    assert_false(add(&text, "\x82"));
    assert_int_equal(fathom__job_text_showable(&text, 1, 3, false), 1);
    assert_false(add(&text, "\xac!"));
    assert_int_equal(fathom__job_text_showable(&text, 1, 5, false), 5);
    assert_int_equal(fathom__job_text_showable(&text, 1, 4, false), 4);
    /* What never becomes whole is shown at the end. */
    assert_false(add(&text, "\xe2\x82"));
    assert_int_equal(fathom__job_text_showable(&text, 5, 7, false), 5);
    assert_int_equal(fathom__job_text_showable(&text, 5, 7, true), 7);
    fathom__job_text_free(&text);
}

static void stop_texts_cut_and_are_never_shown(void **state) {
    (void)state;
    static const char *const stops[] = {"END", "\n\n"};
    struct fathom__job_text text;
    fathom__job_text_start(&text, stops, 2, LIMIT);
    assert_false(add(&text, "one E"));
    assert_int_equal(fathom__job_text_showable(&text, 0, 5, false), 4);
    assert_false(add(&text, "NTRY\n"));
    assert_int_equal(fathom__job_text_showable(&text, 4, 10, false), 9);
    assert_false(add(&text, "E"));
    assert_int_equal(fathom__job_text_showable(&text, 9, 11, false), 10);
    assert_true(add(&text, "ND\n\n"));
    assert_int_equal(text.cut, 10);
    assert_int_equal(fathom__job_text_showable(&text, 10, 15, false), 10);
    assert_int_equal(fathom__job_text_showable(&text, 10, 15, true), 10);
    fathom__job_text_free(&text);
}

static void the_first_of_two_stop_texts_counts(void **state) {
    (void)state;
    static const char *const stops[] = {"cd", "bcde"};
    struct fathom__job_text text;
    fathom__job_text_start(&text, stops, 2, LIMIT);
    assert_true(add(&text, "abcdef"));
    assert_int_equal(text.cut, 1);
    fathom__job_text_free(&text);
}

static void texts_have_a_limit(void **state) {
    (void)state;
    char long_text[LIMIT + 2];
    bool stopped = false;
    struct fathom__job_text text;
    memset(long_text, 'x', sizeof long_text);
    fathom__job_text_start(&text, NULL, 0, LIMIT);
    check_status(fathom__job_text_add(&stopped, &text, long_text, LIMIT + 1), FATHOM_ERROR_LIMIT, "");
    fathom__job_text_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_shown_whole),
        cmocka_unit_test(stop_texts_cut_and_are_never_shown),
        cmocka_unit_test(the_first_of_two_stop_texts_counts),
        cmocka_unit_test(texts_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
