#include "base/scratch.h"
#include "catalogue/stream.h"
#include "tests/support/text_stream.h"
#include "tests/support/tiny_wordnet.h"

#include <fathom/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static const char *folder;

static void read_texts(struct text_stream *read, const char *const *texts, size_t n) {
    assert_int_equal(text_stream_open(read, texts, n, folder), 0);
}

static const char *word_at(const struct text_stream *read, uint32_t row) {
    return fathom__stream_word(read->stream, read->stream->words[row]);
}

static bool row_in_class(const struct text_stream *read, uint32_t row, uint32_t synset) {
    return fathom__entry_in_class(read->stream, read->stream->entries[row], synset);
}

static int set_up(void **state) {
    (void)state;
    folder = scratch_root();
    return tiny_wordnet_write(folder);
}

static void rows_get_their_words(void **state) {
    (void)state;
    struct text_stream read;
    const char *texts[] = {"The Bridge, in 1937!\nNBA"};
    read_texts(&read, texts, 1);
    /* The| Bridge|,| in| 1937|!|\n|NBA */
    assert_string_equal(word_at(&read, 0), "the");
    assert_string_equal(word_at(&read, 1), "bridge");
    assert_int_equal(read.stream->words[2], 0);
    assert_string_equal(word_at(&read, 4), "1937");
    assert_string_equal(word_at(&read, 7), "nba");
    const uint8_t whole = FATHOM__WORD_FIRST | FATHOM__WORD_LAST;
    assert_int_equal(read.stream->flags[0], whole); /* a capital only because the sentence begins */
    assert_int_equal(read.stream->flags[1], whole | FATHOM__CAPITAL);
    assert_int_equal(read.stream->flags[2], FATHOM__PUNCTUATION);
    assert_int_equal(read.stream->flags[4], whole | FATHOM__NUMBER | FATHOM__YEAR);
    assert_int_equal(read.stream->flags[6], FATHOM__LINE_BREAK);
    assert_int_equal(read.stream->flags[7], whole | FATHOM__ALL_CAPITALS);
    assert_int_equal(read.stream->n_background, 8);
    assert_int_equal(read.stream->word_counts[read.stream->words[1]], 1);
    assert_int_equal(read.stream->word_counts[0], 3);
    text_stream_close(&read);
}

static void words_of_several_tokens_are_one(void **state) {
    (void)state;
    struct text_stream read = {0};
    int32_t tokens[] = {0, 1, 2, 3};
    const char *pieces[] = {" Stri", "k", "ers", " \xe2\x80\x9cun"};
    bool covered[] = {true, true, true, true};
    size_t offsets[5] = {0};
    uint32_t id;
    const struct fathom_sparse nothing = {.n_rows = 4, .offsets = offsets};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(fathom__intern_add(&id, &read.pieces.table, pieces[i], strlen(pieces[i])), FATHOM_OK);
    assert_int_equal(fathom__evidence_open(&read.evidence, 1, 1, 0), FATHOM_OK);
    assert_int_equal(fathom__evidence_add(read.evidence, tokens, covered, 4, 0, &nothing, 0), FATHOM_OK);
    assert_int_equal(word_vocabulary(&read.pieces), 0);
    assert_int_equal(fathom__lexicon_open(&read.lexicon, folder), FATHOM_OK);
    assert_int_equal(fathom__stream_open(&read.stream, read.evidence, &read.pieces.vocabulary, read.lexicon),
                     FATHOM_OK);
    for (uint32_t row = 0; row < 3; row++)
        assert_string_equal(word_at(&read, row), "strikers");
    assert_string_equal(word_at(&read, 3), "un");
    assert_int_equal(read.stream->flags[0], FATHOM__WORD_FIRST);
    assert_int_equal(read.stream->flags[1], 0);
    assert_int_equal(read.stream->flags[2], FATHOM__WORD_LAST);
    assert_true(row_in_class(&read, 1, 2));
    text_stream_close(&read);
}

static void the_longest_entry_is_taken(void **state) {
    (void)state;
    struct text_stream read;
    const char *texts[] = {"on the Golden Gate Bridge and a bridge", "golden,gate bridge"};
    read_texts(&read, texts, 2);
    /* on| the| Golden| Gate| Bridge| and| a| bridge */
    for (uint32_t row = 2; row <= 4; row++) {
        assert_true(row_in_class(&read, row, 11)); /* suspension_bridge */
        assert_true(row_in_class(&read, row, 12)); /* and its own synset */
    }
    assert_true(row_in_class(&read, 7, 10));
    assert_false(row_in_class(&read, 7, 11));
    assert_false(row_in_class(&read, 1, 10)); /* "the" is an article and nothing else */
    /* golden|,|gate| bridge: not one entry across the comma */
    assert_int_equal(read.stream->entries[8], 0);
    assert_true(row_in_class(&read, 11, 10));
    text_stream_close(&read);
}

static void capitals_tell_names_from_things(void **state) {
    (void)state;
    struct text_stream read;
    const char *texts[] = {"We saw Baker and Owens and a baker and owens. Baker"};
    read_texts(&read, texts, 1);
    /* We| saw| Baker| and| Owens| and| a| baker| and| owens|.| Baker */
    assert_int_equal(read.stream->entries[2], 0); /* no person's trade */
    assert_true(row_in_class(&read, 4, 2));       /* Jesse Owens: an athlete */
    assert_false(row_in_class(&read, 4, 9));
    assert_true(row_in_class(&read, 7, 16));
    assert_true(row_in_class(&read, 9, 9)); /* in small letters the other sense */
    assert_false(row_in_class(&read, 9, 2));
    assert_true(row_in_class(&read, 11, 16)); /* a sentence begins: may be the trade */
    text_stream_close(&read);
}

static void tokens_outside_the_vocabulary_are_refused(void **state) {
    (void)state;
    struct text_stream read = {0};
    int32_t tokens[] = {5};
    bool covered[] = {true};
    size_t offsets[2] = {0};
    const struct fathom_sparse nothing = {.n_rows = 1, .offsets = offsets};
    assert_int_equal(fathom__evidence_open(&read.evidence, 1, 1, 0), FATHOM_OK);
    assert_int_equal(fathom__evidence_add(read.evidence, tokens, covered, 1, 0, &nothing, 0), FATHOM_OK);
    assert_int_equal(word_vocabulary(&read.pieces), 0);
    assert_int_equal(fathom__stream_open(&read.stream, read.evidence, &read.pieces.vocabulary, NULL),
                     FATHOM_ERROR_FORMAT);
    assert_string_equal(fathom_error_message(), "token 5 is outside the vocabulary of 0");
    read.stream = NULL;
    text_stream_close(&read);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_get_their_words),
        cmocka_unit_test(words_of_several_tokens_are_one),
        cmocka_unit_test(the_longest_entry_is_taken),
        cmocka_unit_test(capitals_tell_names_from_things),
        cmocka_unit_test(tokens_outside_the_vocabulary_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
