#include "base/scratch.h"
#include "detect/texts.h"
#include <fathom/model.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void plain_text_is_a_text_a_line(void **state) {
    (void)state;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    const char *path = scratch_text("plain.txt", "first one\r\n\n   \nsecond\t\nlast without newline");
    assert_int_equal(fathom_texts_load(&texts, path, FATHOM_LABEL_POSITIVE), FATHOM_OK);
    assert_int_equal(texts.n, 3);
    assert_string_equal(texts.texts[0], "first one");
    assert_string_equal(texts.texts[1], "second");
    assert_string_equal(texts.texts[2], "last without newline");
    assert_int_equal(fathom_texts_count(&texts, FATHOM_LABEL_POSITIVE), 3);
    fathom_texts_free(&texts);
    assert_int_equal(texts.n, 0);
}

static void records_carry_labels(void **state) {
    (void)state;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    /* The second text holds U+2028, which ends no line. */
    const char *path = scratch_text("records.jsonl", "{\"text\": \"a\", \"label\": true}\n"
                                                     "{\"label\": 0, \"text\": \"b\xe2\x80\xa8 c\"}\n"
                                                     "{\"text\": \"d\"}\n"
                                                     "{\"text\": \"e\", \"label\": 1, \"more\": [1]}\n");
    assert_int_equal(fathom_texts_load(&texts, path, FATHOM_LABEL_NONE), FATHOM_OK);
    assert_int_equal(texts.n, 4);
    const int8_t expected[] = {1, 0, -1, 1};
    assert_memory_equal(texts.labels, expected, 4);
    assert_string_equal(texts.texts[1], "b\xe2\x80\xa8 c");
    fathom_texts_free(&texts);
}

static void check_refused(const char *name, const char *content, size_t length, const char *expected) {
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    const char *path = scratch_file(name, content, length);
    assert_int_equal(fathom_texts_load(&texts, path, FATHOM_LABEL_NONE), FATHOM_ERROR_FORMAT);
    if (strstr(fathom_error_message(), expected) == NULL || strstr(fathom_error_message(), name) == NULL) {
        fail_msg("\"%s\" does not name %s and \"%s\"", fathom_error_message(), name, expected);
    }
    fathom_texts_free(&texts);
}

static void bad_files_are_refused_by_line(void **state) {
    (void)state;
    check_refused("utf8.txt",
                  "fine\nb\xff"
                  "d\n",
                  8, "line 2");
    check_refused("cut.jsonl", "{\"text\": \"a\"}\n{\"text\": ", 23, "line 2");
    check_refused("key.jsonl", "{\"txt\": \"a\"}", 12, "text");
    check_refused("type.jsonl", "{\"text\": 3}", 11, "text");
    check_refused("label.jsonl", "{\"text\": \"a\", \"label\": 2}", 25, "label");
    check_refused("word.jsonl", "{\"text\": \"a\", \"label\": \"yes\"}", 29, "label");
    check_refused("list.jsonl", "[1]", 3, "line 1");
    check_refused("empty.txt", "\n \n", 3, "no text");
    check_refused("zero.txt", "a\0b\n", 4, "zero byte");
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    assert_int_equal(fathom_texts_load(&texts, scratch("missing.txt"), FATHOM_LABEL_NONE), FATHOM_ERROR_IO);
    fathom_texts_free(&texts);
}

static void add(struct fathom_texts *texts, const char *text, enum fathom_text_label label) {
    assert_int_equal(fathom_texts_append(texts, text, strlen(text), label), FATHOM_OK);
}

static void repeats_are_removed_and_counted(void **state) {
    (void)state;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    size_t removed = 99;
    add(&texts, "The pasta was cold.", FATHOM_LABEL_NEGATIVE);
    add(&texts, "!!!", FATHOM_LABEL_NEGATIVE);
    add(&texts, "the pasta, was COLD", FATHOM_LABEL_NEGATIVE);
    add(&texts, "The pasta was not cold.", FATHOM_LABEL_POSITIVE);
    add(&texts, "???", FATHOM_LABEL_POSITIVE); /* no words, but other bytes */
    add(&texts, "The pasta  was cold!", FATHOM_LABEL_NEGATIVE);
    assert_int_equal(fathom_texts_unique(&removed, &texts), FATHOM_OK);
    assert_int_equal(removed, 2);
    assert_int_equal(texts.n, 4);
    assert_string_equal(texts.texts[0], "The pasta was cold.");
    assert_string_equal(texts.texts[2], "The pasta was not cold.");
    assert_int_equal(texts.labels[2], FATHOM_LABEL_POSITIVE);
    add(&texts, "the pasta was cold", FATHOM_LABEL_POSITIVE);
    assert_int_equal(fathom_texts_unique(&removed, &texts), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "texts 1 and 5"));
    fathom_texts_free(&texts);
}

static double overlap(const char *a, const char *b) {
    uint32_t *pairs_a = NULL, *pairs_b = NULL;
    size_t n_a = 0, n_b = 0;
    uint64_t whole_a = 0, whole_b = 0;
    assert_int_equal(fathom__text_pairs(&pairs_a, &n_a, &whole_a, a), FATHOM_OK);
    assert_int_equal(fathom__text_pairs(&pairs_b, &n_b, &whole_b, b), FATHOM_OK);
    double share = fathom__pairs_overlap(pairs_a, n_a, pairs_b, n_b);
    assert_true((whole_a == whole_b) == (share == 1.0) || n_a == 0);
    fathom_free(pairs_a);
    fathom_free(pairs_b);
    return share;
}

static void overlap_is_shared_pairs_over_all(void **state) {
    (void)state;
    const char *twelve = "one two three four five six seven eight nine ten eleven twelve";
    assert_true(overlap(twelve, "One, two: three four five six seven eight nine ten eleven twelve?") == 1.0);
    /* 13 pairs each; two words exchanged inside take away 4: 9 shared of 17. */
    assert_true(overlap(twelve, "one two x four five six seven y nine ten eleven twelve") == 9.0 / 17.0);
    assert_true(overlap(twelve, "twelve eleven ten nine") == 0.0);
    assert_true(overlap("", "") == 0.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_a_text_a_line),      cmocka_unit_test(records_carry_labels),
        cmocka_unit_test(bad_files_are_refused_by_line),    cmocka_unit_test(repeats_are_removed_and_counted),
        cmocka_unit_test(overlap_is_shared_pairs_over_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
