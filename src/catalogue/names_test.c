#include "base/scratch.h"
#include "catalogue/names.h"
#include "tests/support/text_stream.h"
#include "tests/support/tiny_wordnet.h"

#include <fathom/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { PERSON = 1, ATHLETE = 2, LOCATION = 27 };

static struct text_stream opened;
static struct fathom__stream *stream;

static const char *const texts[] = {
    /* What the lexicon knows. */
    "and then Jesse Owens scored ten points",
    "and then Babe Ruth scored six points",
    "and then Willie Mays scored nine points",
    "that day Jesse Owens scored ten points",
    "that day Babe Ruth scored six points",
    "that day Willie Mays scored nine points",
    "so we drove to Green Bay by night",
    "so we drove to New York by night",
    "so we drove to Red Hill by night",
    "so they drove to Green Bay by train",
    "so they drove to New York by train",
    "so they drove to Red Hill by train",
    /* What it does not. */
    "and then Kobe Bryant scored ten points",
    "that day Kobe Bryant scored six points",
    "Bryant scored nine points",
    "so we drove to Oak Town by night",
    "so they drove to Oak Town by train",
    "and then Zorn scored ten points",
    "so we drove to Zorn by night",
    "and then Quill scored ten points",
    /* The tower is no name, whoever scores. */
    "and then tower scored ten points",
    "that day tower scored six points",
};
enum { TEXTS = sizeof texts / sizeof *texts };

static int set_up(void **state) {
    (void)state;
    if (tiny_wordnet_write(scratch_root()) || text_stream_open(&opened, texts, TEXTS, scratch_root())) return -1;
    stream = opened.stream;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    text_stream_close(&opened);
    return 0;
}

/* Whether the word, where it stands in a text, belongs to a class. */
static bool is_a(size_t text, const char *word, uint32_t class_id) {
    const struct fathom__sequence *sequence = &stream->evidence->sequences[text];
    for (uint32_t row = sequence->first_row; row < fathom__evidence_sequence_end(stream->evidence, sequence); row++)
        if (strcmp(fathom__stream_word(stream, stream->words[row]), word) == 0)
            return fathom__entry_in_class(stream, stream->entries[row], class_id);
    fail_msg("“%s” is not in text %zu", word, text);
    return false;
}

static void names_are_told_by_their_company(void **state) {
    (void)state;
    assert_true(is_a(12, "kobe", ATHLETE));
    assert_true(is_a(13, "bryant", ATHLETE));
    assert_true(is_a(13, "bryant", PERSON));
    assert_false(is_a(13, "bryant", LOCATION));
    assert_true(is_a(15, "oak", LOCATION));
    assert_true(is_a(16, "town", LOCATION));
    assert_false(is_a(15, "oak", PERSON));
}

static void a_known_name_begins_sentences_too(void **state) {
    (void)state;
    assert_true(is_a(14, "bryant", ATHLETE));
}

static void nothing_is_told_on_thin_or_mixed_evidence(void **state) {
    (void)state;
    assert_false(is_a(17, "zorn", PERSON));
    assert_false(is_a(18, "zorn", LOCATION));
    assert_false(is_a(19, "quill", PERSON)); /* seen once */
}

static void words_that_are_no_names_stay_what_they_are(void **state) {
    (void)state;
    assert_false(is_a(20, "tower", PERSON));
    assert_true(is_a(20, "tower", 9));
    assert_true(is_a(0, "jesse", ATHLETE)); /* known before */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_told_by_their_company),
        cmocka_unit_test(a_known_name_begins_sentences_too),
        cmocka_unit_test(nothing_is_told_on_thin_or_mixed_evidence),
        cmocka_unit_test(words_that_are_no_names_stay_what_they_are),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
