#include <base/error.h>
#include <base/memory.h>
#include <base/scratch.h>
#include <fathom/corpus.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_parse(void **state) {
    (void)state;
    static const struct {
        const char *text, *path, *field;
        double weight;
        bool repeat;
    } cases[] = {
        {"a.txt", "a.txt", NULL, 0, false},
        {"-", "-", NULL, 0, false},
        {"a.jsonl:body", "a.jsonl", "body", 0, false},
        {"a=2", "a", NULL, 2, false},
        {"a:body=0.25*", "a", "body", 0.25, true},
        {"dir:x/a", "dir:x/a", NULL, 0, false},
        {"a=b", "a=b", NULL, 0, false},
        {"a=", "a=", NULL, 0, false},
        {"a=2x", "a=2x", NULL, 0, false},
        {"a:", "a:", NULL, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fathom_corpus_source source = {0};
        char *storage = NULL;
        assert_int_equal(fathom_corpus_source_parse(&source, &storage, cases[i].text), FATHOM_OK);
        assert_string_equal(source.path, cases[i].path);
        if (cases[i].field)
            assert_string_equal(source.field, cases[i].field);
        else
            assert_null(source.field);
        assert_true(source.weight == cases[i].weight);
        assert_int_equal(source.repeat, cases[i].repeat);
        fathom_free(storage);
    }
}

static void test_names_that_exist_are_taken_whole(void **state) {
    (void)state;
    static const char *const names[] = {"x=3", "x:y", "x:y=3*"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct fathom_corpus_source source = {0};
        char *storage = NULL, text[2 * SCRATCH_PATH];
        const char *path = scratch_text(names[i], "");
        assert_int_equal(fathom_corpus_source_parse(&source, &storage, path), FATHOM_OK);
        assert_string_equal(source.path, path);
        assert_null(source.field);
        fathom_free(storage);
        snprintf(text, sizeof text, "%s=7", path);
        assert_int_equal(fathom_corpus_source_parse(&source, &storage, text), FATHOM_OK);
        assert_string_equal(source.path, path);
        assert_true(source.weight == 7);
        fathom_free(storage);
    }
}

static void test_bad_texts(void **state) {
    (void)state;
    static const char *const texts[] = {"", "=2", ":field", "a=0", "a=-1", "a=inf", "a=nan"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fathom_corpus_source source;
        char *storage = NULL;
        assert_int_equal(fathom_corpus_source_parse(&source, &storage, texts[i]), FATHOM_ERROR_ARGUMENT);
        assert_null(storage);
    }
    assert_non_null(strstr(fathom_error_message(), "corpus \"a=nan\": a weight over 0 was expected"));
}

static void test_hash_sees_what_matters(void **state) {
    (void)state;
    const char *path = scratch_text("a", "one"), *same = scratch_text("b", "one"), *other = scratch_text("c", "two");
    const struct fathom_corpus_source base = {.path = path}, copy = {.path = same, .weight = 1},
                                      content = {.path = other}, field = {.path = path, .field = "x"},
                                      weight = {.path = path, .weight = 2}, repeat = {.path = path, .repeat = true},
                                      none = {.path = scratch("none")}, joined[] = {{.path = path}, {.path = other}},
                                      swapped[] = {{.path = other}, {.path = path}};
    char expected[33], hash[33];
    assert_int_equal(fathom_corpus_hash(expected, &base, 1, 5), FATHOM_OK);
    assert_int_equal(strlen(expected), 32);
    assert_int_equal(fathom_corpus_hash(hash, &copy, 1, 5), FATHOM_OK);
    assert_string_equal(hash, expected);
    assert_int_equal(fathom_corpus_hash(hash, &base, 1, 6), FATHOM_OK);
    assert_string_not_equal(hash, expected);
    const struct fathom_corpus_source *const different[] = {&content, &field, &weight, &repeat};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(fathom_corpus_hash(hash, different[i], 1, 5), FATHOM_OK);
        assert_string_not_equal(hash, expected);
    }
    assert_int_equal(fathom_corpus_hash(expected, joined, 2, 5), FATHOM_OK);
    assert_int_equal(fathom_corpus_hash(hash, swapped, 2, 5), FATHOM_OK);
    assert_string_not_equal(hash, expected);
    assert_int_equal(fathom_corpus_hash(hash, &none, 1, 5), FATHOM_ERROR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_names_that_exist_are_taken_whole),
        cmocka_unit_test(test_bad_texts),
        cmocka_unit_test(test_hash_sees_what_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
