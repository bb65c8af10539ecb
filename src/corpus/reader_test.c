#include <base/error.h>
#include <base/scratch.h>
#include <corpus/reader.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Reads a file to its end or first error, and compares the documents with `expected`, which ends with NULL. */
static int read_documents(const char *path, const char *field, const char *const *expected) {
    fathom__reader *reader = NULL;
    size_t n = 0;
    int status = fathom__reader_open(&reader, path, field);
    for (bool more = true; !status && more;) {
        const char *text = NULL;
        size_t length = 0;
        status = fathom__reader_next(&text, &length, &more, reader);
        if (status || !more) break;
        if (!expected[n]) fail_msg("one document too many: \"%.*s\"", (int)length, text);
        if (strlen(expected[n]) != length || memcmp(expected[n], text, length) != 0)
            fail_msg("document %zu is \"%.*s\", \"%s\" was expected", n, (int)length, text, expected[n]);
        n++;
    }
    if (expected[n]) fail_msg("document %zu, \"%s\", is missing", n, expected[n]);
    fathom__reader_close(reader);
    return status;
}

#define DOCUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_DOCUMENTS ((const char *const[]){NULL})

static void assert_message(const char *expected) {
    if (!strstr(fathom_error_message(), expected)) fail_msg("\"%s\" lacks \"%s\"", fathom_error_message(), expected);
}

static void test_text(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *documents[4]; /* NULL-ended */
    } cases[] = {
        {"", {NULL}},
        {"\n \n\t\r\n\f\n", {NULL}},
        {"one", {"one"}},
        {"one\ntwo\n", {"one\ntwo"}},
        {"one\n\ntwo\n", {"one\n\ntwo"}},
        {"\n\n\n  one\n\n\ntwo\n\n\n\n\nthree\n\n\n", {"  one", "two", "three"}},
        {"one\n \t\n\r\ntwo", {"one", "two"}},
        {"one\n\f\ntwo\n\f\r\n\f\nthree\n\f\n", {"one", "two", "three"}},
        {"one\n\n\f\n\ntwo", {"one", "two"}},
        {"a\fb\n", {"a\fb"}},
        {"x\xe2\x80\xa8y\xc2\x85z\n", {"x\xe2\x80\xa8y\xc2\x85z"}},
        {"\xef\xbb\xbfmarked", {"marked"}},
        {"{ not JSON\n", {"{ not JSON"}},
        {"[1,2]\n", {"[1,2]"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(read_documents(scratch_text("a.txt", cases[i].text), NULL, cases[i].documents), FATHOM_OK);
}

static void test_jsonl(void **state) {
    (void)state;
    const char *lines = "{\"text\":\"one\",\"n\":1}\r\n\n  {\"n\":2,\"text\":\"x\xe2\x80\xa8y\xe2\x80\xa9z\xc2\x85\"}\n"
                        "{\"text\":\"\"}\n{\"text\":\"a\\nb\\u00e9\"}";
    const char *const *documents = DOCUMENTS("one", "x\xe2\x80\xa8y\xe2\x80\xa9z\xc2\x85", "a\nb\xc3\xa9");
    assert_int_equal(read_documents(scratch_text("by content", lines), NULL, documents), FATHOM_OK);
    assert_int_equal(read_documents(scratch_text("a.jsonl", lines), NULL, documents), FATHOM_OK);
    assert_int_equal(read_documents(scratch_text("b.txt", lines), "text", documents), FATHOM_OK);
    const char *other = "{\"body\":\"one\"}\n{\"body\":\"two\"}\n";
    assert_int_equal(read_documents(scratch_text("c.txt", other), "body", DOCUMENTS("one", "two")), FATHOM_OK);
}

static void test_jsonl_with_zeros(void **state) {
    (void)state;
    fathom__reader *reader = NULL;
    const char *text = NULL;
    size_t length = 0;
    bool more = false;
    assert_int_equal(fathom__reader_open(&reader, scratch_text("z.jsonl", "{\"text\":\"a\\u0000b\"}"), NULL),
                     FATHOM_OK);
    assert_int_equal(fathom__reader_next(&text, &length, &more, reader), FATHOM_OK);
    assert_true(more);
    assert_int_equal(length, 3);
    assert_memory_equal(text, "a\0b", 3);
    fathom__reader_close(reader);
}

static void test_bad_jsonl_names_the_line(void **state) {
    (void)state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"{\"text\":", "a.jsonl: line 3: not valid JSON: "},
        {"{\"text\":\"x\"} y", "a.jsonl: line 3: not valid JSON: "},
        {"[\"x\"]", "a.jsonl: line 3: an object with the key \"text\" was expected"},
        {"{\"body\":\"x\"}", "a.jsonl: line 3: the key \"text\" is missing, a string was expected"},
        {"{\"text\":[\"x\"]}", "a.jsonl: line 3: the key \"text\" has another type, a string was expected"},
        {"{\"text\":null}", "a.jsonl: line 3: the key \"text\" has another type, a string was expected"},
        {"{\"text\":\"x\",\"text\":\"y\"}", "a.jsonl: line 3: not valid JSON: duplicate"},
        {"{\"text\":\"\\ud800\"}", "a.jsonl: line 3: not valid JSON: "},
        {"{\"text\":\"x\xff\"}", "a.jsonl: line 3: invalid UTF-8 at byte 32 of the text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char lines[256];
        snprintf(lines, sizeof lines, "{\"text\":\"first one\"}\n\n%s\n{\"text\":\"later\"}\n", cases[i].line);
        assert_int_equal(read_documents(scratch_text("a.jsonl", lines), NULL, DOCUMENTS("first one")),
                         FATHOM_ERROR_FORMAT);
        assert_message(cases[i].message);
    }
    assert_int_equal(read_documents(scratch_text("a.jsonl", "text\n"), NULL, NO_DOCUMENTS), FATHOM_ERROR_FORMAT);
    assert_message("a.jsonl: line 1: not valid JSON");
}

static void test_invalid_utf8_names_the_byte(void **state) {
    (void)state;
    assert_int_equal(read_documents(scratch_text("a.txt", "good\n\n\nb\303\251d\n\342\202\n"), NULL, DOCUMENTS("good")),
                     FATHOM_ERROR_FORMAT);
    assert_message("a.txt: line 5: invalid UTF-8 at byte 12 of the text");
}

/* Lines longer than the reader's pieces, and documents that begin in one piece and end in another. */
static void test_long_lines(void **state) {
    (void)state;
    enum { LONG = 200000, N = 5 };
    char *file = malloc((LONG + 3) * N), *expected[N + 1] = {NULL};
    size_t length = 0;
    assert_non_null(file);
    for (int i = 0; i < N; i++) {
        expected[i] = calloc(1, LONG + 1);
        assert_non_null(expected[i]);
        memset(expected[i], 'a' + i, LONG);
        memcpy(file + length, expected[i], LONG);
        memset(file + length + LONG, '\n', 3);
        length += LONG + 3;
    }
    assert_int_equal(read_documents(scratch_file("long", file, length), NULL, (const char *const *)expected),
                     FATHOM_OK);
    for (int i = 0; i < N; i++)
        free(expected[i]);
    free(file);
}

static void test_limits(void **state) {
    (void)state;
    enum { LIMIT = 64 << 20 };
    char *bytes = malloc(LIMIT + 100);
    assert_non_null(bytes);
    memset(bytes, 'x', LIMIT + 100);
    assert_int_equal(read_documents(scratch_file("line", bytes, LIMIT + 100), NULL, NO_DOCUMENTS), FATHOM_ERROR_LIMIT);
    assert_message("line: line 1");
    for (size_t i = 1000; i < LIMIT + 100; i += 1000)
        bytes[i] = '\n';
    assert_int_equal(read_documents(scratch_file("document", bytes, LIMIT + 100), NULL, NO_DOCUMENTS),
                     FATHOM_ERROR_LIMIT);
    assert_message("document: line 67");
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_jsonl_with_zeros),
        cmocka_unit_test(test_bad_jsonl_names_the_line),
        cmocka_unit_test(test_invalid_utf8_names_the_byte),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
