#include "base/scratch.h"
#include "catalogue/topics.h"
#include "tests/support/text_stream.h"

#include "base/file.h"
#include "base/random.h"

#include <fathom/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { DOCUMENTS = 200, WORDS = 12, SPORTS = 4 /* one document of so many */ };

static struct text_stream opened;
static struct fathom__stream *stream;

/* sport, and athletes under it in name alone; things that no subject has. */
static const char *const nouns[] = {"sport", "athlete", "striker", "sprinter", "swimmer", "medal", "table", "house"};
static const int above[] = {-1, -1, 1, 1, 1, -1, -1, -1};
enum { NOUNS = sizeof nouns / sizeof *nouns };

static int noun_line(char *line, size_t size, const unsigned *offsets, int i) {
    return above[i] < 0 ? snprintf(line, size, "%08u 04 n 01 %s 0 000 | a gloss  \n", offsets[i], nouns[i])
                        : snprintf(line, size, "%08u 18 n 01 %s 0 001 @ %08u n 0000 | a gloss  \n", offsets[i],
                                   nouns[i], offsets[above[i]]);
}

static int write_nouns(const char *folder) {
    char data[2048] = "", index[2048] = "", line[256], path[2 * SCRATCH_PATH];
    unsigned offsets[NOUNS] = {0};
    for (int round = 0; round < 2; round++) {
        unsigned at = 0;
        for (int i = 0; i < NOUNS; i++) {
            offsets[i] = at;
            at += (unsigned)noun_line(line, sizeof line, offsets, i);
        }
    }
    for (int i = 0; i < NOUNS; i++) {
        noun_line(line, sizeof line, offsets, i);
        strcat(data, line);
        snprintf(line, sizeof line, "%s n 1 0 1 0 %08u  \n", nouns[i], offsets[i]);
        strcat(index, line);
    }
    snprintf(path, sizeof path, "%s/data.noun", folder);
    if (fathom__file_write(path, data, strlen(data))) return -1;
    snprintf(path, sizeof path, "%s/index.noun", folder);
    return fathom__file_write(path, index, strlen(index));
}

/* Medals are given where three athletes are; tables stand everywhere; one athlete alone makes no text about sport. */
static void write_document(char *text, size_t size, unsigned number, struct fathom__random *random) {
    static const char *const plain[] = {"table", "house", "and", "old"};
    const bool sport = number % SPORTS == 0;
    int n = snprintf(text, size, "the");
    for (int i = 0; i < WORDS; i++)
        n += snprintf(text + n, size - (size_t)n, " %s", plain[fathom__random_below(random, 4)]);
    snprintf(text + n, size - (size_t)n, "%s",
             sport             ? " striker sprinter swimmer medal"
             : number % 7 == 0 ? " striker"
                               : " old");
}

static int set_up(void **state) {
    (void)state;
    static char documents[DOCUMENTS][256];
    const char *texts[DOCUMENTS];
    struct fathom__random random;
    fathom__random_seed(&random, 3);
    for (unsigned i = 0; i < DOCUMENTS; i++) {
        write_document(documents[i], sizeof documents[i], i, &random);
        texts[i] = documents[i];
    }
    if (write_nouns(scratch_root()) || text_stream_open(&opened, texts, DOCUMENTS, scratch_root())) return -1;
    stream = opened.stream;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    text_stream_close(&opened);
    return 0;
}

static bool is_sport(const char *text) {
    uint32_t word;
    assert_true(fathom__intern_find(&word, &stream->word_table, text, strlen(text)));
    const uint32_t entry = stream->word_entries[word];
    assert_int_not_equal(entry, 0);
    return fathom__entry_in_class(stream, entry,
                                  fathom__lexicon_topic_class(stream->lexicon, 0)); /* the first noun: sport */
}

static void words_of_text_about_a_subject_belong_to_it(void **state) {
    (void)state;
    assert_true(is_sport("medal"));
    assert_true(is_sport("sprinter"));
    assert_false(is_sport("table"));
    assert_false(is_sport("house"));
    assert_true(is_sport("striker")); /* a seed, more often than not where the others are */
}

static void classes_stay_in_order_and_what_was_there_stays(void **state) {
    (void)state;
    for (uint32_t e = 1; e < stream->entry_table.keys.count; e++) {
        const uint32_t *classes;
        const size_t n = fathom__entry_classes(&classes, stream, e);
        for (size_t i = 1; i < n; i++)
            assert_true(classes[i] > classes[i - 1]);
    }
    uint32_t word;
    assert_true(fathom__intern_find(&word, &stream->word_table, "swimmer", 7));
    assert_true(fathom__entry_in_class(stream, stream->word_entries[word], 1)); /* still an athlete */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_text_about_a_subject_belong_to_it),
        cmocka_unit_test(classes_stay_in_order_and_what_was_there_stays),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
