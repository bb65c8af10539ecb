#include "base/scratch.h"
#include "catalogue/wordnet.h"
#include "tests/support/tiny_wordnet.h"

#include "base/file.h"
#include "base/random.h"

#include <fathom/error.h>
#include <fathom/model.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static const char *folder;

static int set_up(void **state) {
    (void)state;
    folder = scratch_root();
    return tiny_wordnet_write(folder);
}

static uint32_t first_sense(const fathom__wordnet *wordnet, const char *text) {
    uint32_t lemma;
    const uint32_t *senses;
    assert_true(fathom__wordnet_find_inflected(&lemma, wordnet, text, strlen(text)));
    assert_true(fathom__wordnet_senses(&senses, wordnet, lemma) > 0);
    return senses[0];
}

static bool is_a(const fathom__wordnet *wordnet, const char *text, const char *class_name) {
    uint32_t closure[FATHOM__WORDNET_CLOSURE];
    const size_t n = fathom__wordnet_closure(closure, wordnet, first_sense(wordnet, text));
    const uint32_t class_synset = first_sense(wordnet, class_name);
    for (size_t i = 0; i < n; i++)
        if (closure[i] == class_synset) return true;
    return false;
}

static void entries_senses_and_classes_are_read(void **state) {
    (void)state;
    fathom__wordnet *wordnet;
    assert_int_equal(fathom__wordnet_open(&wordnet, folder, FATHOM__NOUNS), FATHOM_OK);
    assert_int_equal(fathom__wordnet_synset_count(wordnet), TINY_SYNSETS);
    assert_int_equal(first_sense(wordnet, "athlete"), 2);
    assert_true(is_a(wordnet, "golden_gate_bridge", "suspension_bridge"));
    assert_true(is_a(wordnet, "golden_gate_bridge", "entity"));
    assert_false(is_a(wordnet, "golden_gate_bridge", "athlete"));
    assert_true(is_a(wordnet, "jesse_owens", "athlete"));
    assert_true(fathom__wordnet_is_name(wordnet, 12));
    assert_false(fathom__wordnet_is_name(wordnet, 11));
    size_t length;
    const char *name = fathom__wordnet_name(&length, wordnet, 12);
    assert_int_equal(length, 18);
    assert_memory_equal(name, "Golden_Gate_Bridge", 18);
    uint32_t lemma;
    const uint32_t *senses;
    assert_true(fathom__wordnet_find(&lemma, wordnet, "owens", 5));
    assert_int_equal(fathom__wordnet_senses(&senses, wordnet, lemma), 2);
    assert_int_equal(senses[0], 8);
    assert_int_equal(senses[1], 24);
    fathom__wordnet_close(wordnet);
}

static void inflected_words_find_their_base(void **state) {
    (void)state;
    fathom__wordnet *wordnet;
    assert_int_equal(fathom__wordnet_open(&wordnet, folder, FATHOM__NOUNS), FATHOM_OK);
    assert_int_equal(first_sense(wordnet, "athletes"), 2);
    assert_int_equal(first_sense(wordnet, "cities"), 13);
    assert_int_equal(first_sense(wordnet, "children"), 23);
    assert_int_equal(first_sense(wordnet, "suspension_bridges"), 11);
    uint32_t lemma;
    assert_false(fathom__wordnet_find(&lemma, wordnet, "athletes", 8));
    assert_false(fathom__wordnet_find_inflected(&lemma, wordnet, "quarterback", 11));
    assert_false(fathom__wordnet_find_inflected(&lemma, wordnet, "s", 1));
    assert_false(fathom__wordnet_find_inflected(&lemma, wordnet, "", 0));
    assert_int_equal(fathom__wordnet_words_from(wordnet, "golden", 6), 3);
    assert_int_equal(fathom__wordnet_words_from(wordnet, "bridges", 7), 1);
    assert_int_equal(fathom__wordnet_words_from(wordnet, "curry", 5), 0);
    fathom__wordnet_close(wordnet);
}

static void class_names_get_their_plural(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"athlete", "athletes"},
                                           {"suspension_bridge", "suspension bridges"},
                                           {"city", "cities"},
                                           {"person", "people"},
                                           {"church", "churches"},
                                           {"day", "days"},
                                           {"unit_of_measurement", "units of measurement"},
                                           {"human", "humans"}};
    fathom__wordnet *wordnet;
    assert_int_equal(fathom__wordnet_open(&wordnet, folder, FATHOM__NOUNS), FATHOM_OK);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char out[64];
        fathom__wordnet_plural(out, sizeof out, wordnet, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(out, pairs[i][1]);
    }
    fathom__wordnet_close(wordnet);
}

static void missing_and_damaged_files_are_refused(void **state) {
    (void)state;
    fathom__wordnet *wordnet = NULL;
    assert_int_equal(fathom__wordnet_open(&wordnet, "/nonexistent", FATHOM__NOUNS), FATHOM_ERROR_IO);
    assert_non_null(strstr(fathom_error_message(), "/nonexistent/data.noun"));
    char path[2 * SCRATCH_PATH];
    snprintf(path, sizeof path, "%s/index.noun", folder);
    static const char bad[] = "athlete n 1 1 @ 1 0 00000007  \n";
    assert_int_equal(fathom__file_write(path, bad, sizeof bad - 1), FATHOM_OK);
    assert_int_equal(fathom__wordnet_open(&wordnet, folder, FATHOM__NOUNS), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "index.noun: line 1: no synset is at offset 7"));
    static const char count[] = "athlete n 99999999999 1 @ 1 0 00000007  \n";
    assert_int_equal(fathom__file_write(path, count, sizeof count - 1), FATHOM_OK);
    assert_int_equal(fathom__wordnet_open(&wordnet, folder, FATHOM__NOUNS), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "the number of synsets should be a number of base 10 up to 1000"));
    assert_null(wordnet);
    assert_int_equal(tiny_wordnet_write(folder), 0);
}

/* Whatever bytes are changed, cut off or repeated, opening either works or says why, and what was opened can be walked.
 */
static void damaged_bytes_never_break_the_reader(void **state) {
    (void)state;
    enum { ROUNDS = 1500 };
    struct fathom__random random;
    fathom__random_seed(&random, 7);
    const char *names[] = {"data.noun", "index.noun", "noun.exc"};
    unsigned refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char path[2 * SCRATCH_PATH], *bytes;
        size_t length;
        assert_int_equal(tiny_wordnet_write(folder), 0);
        snprintf(path, sizeof path, "%s/%s", folder, names[fathom__random_below(&random, 3)]);
        assert_int_equal(fathom__file_read(&bytes, &length, path, 1 << 20), FATHOM_OK);
        const uint64_t changes = 1 + fathom__random_below(&random, 4);
        for (uint64_t i = 0; i < changes; i++)
            bytes[fathom__random_below(&random, length)] = " 0n@\n9a_\xff"[fathom__random_below(&random, 9)];
        if (fathom__random_below(&random, 4) == 0) length = fathom__random_below(&random, length);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, length, file), length);
        assert_int_equal(fclose(file), 0);
        fathom_free(bytes);
        fathom__wordnet *wordnet;
        const int status = fathom__wordnet_open(&wordnet, folder, FATHOM__NOUNS);
        if (status) {
            assert_int_equal(status, FATHOM_ERROR_FORMAT);
            refused++;
            continue;
        }
        for (uint32_t synset = 0; synset < fathom__wordnet_synset_count(wordnet); synset++) {
            uint32_t closure[FATHOM__WORDNET_CLOSURE];
            char plural[32];
            size_t n;
            const char *name = fathom__wordnet_name(&n, wordnet, synset);
            fathom__wordnet_plural(plural, sizeof plural, wordnet, name, n);
            assert_true(strlen(plural) < sizeof plural);
            assert_in_range(fathom__wordnet_closure(closure, wordnet, synset), 1, TINY_SYNSETS);
        }
        fathom__wordnet_close(wordnet);
    }
    assert_in_range(refused, ROUNDS / 4, ROUNDS - 1);
    assert_int_equal(tiny_wordnet_write(folder), 0);
}

static void the_installed_database_knows_the_bridge(void **state) {
    (void)state;
    fathom__wordnet *wordnet;
    if (!fathom__file_exists("/usr/share/wordnet/index.noun")) skip();
    assert_int_equal(fathom__wordnet_open(&wordnet, "/usr/share/wordnet", FATHOM__NOUNS), FATHOM_OK);
    assert_in_range(fathom__wordnet_synset_count(wordnet), 80000, 90000);
    assert_in_range(fathom__wordnet_lemma_count(wordnet), 110000, 130000);
    assert_true(is_a(wordnet, "golden_gate_bridge", "suspension_bridge"));
    assert_true(is_a(wordnet, "quarterback", "athlete"));
    assert_true(is_a(wordnet, "forwards", "person") || is_a(wordnet, "sprinters", "athlete"));
    assert_int_equal(fathom__wordnet_words_from(wordnet, "golden", 6), 3);
    fathom__wordnet_close(wordnet);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_senses_and_classes_are_read),
        cmocka_unit_test(inflected_words_find_their_base),
        cmocka_unit_test(class_names_get_their_plural),
        cmocka_unit_test(missing_and_damaged_files_are_refused),
        cmocka_unit_test(damaged_bytes_never_break_the_reader),
        cmocka_unit_test(the_installed_database_knows_the_bridge),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
