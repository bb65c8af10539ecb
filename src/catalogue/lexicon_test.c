#include "base/file.h"
#include "base/scratch.h"
#include "catalogue/closed_words.h"
#include "catalogue/lexicon.h"
#include "tests/support/tiny_wordnet.h"

#include <fathom/error.h>
#include <fathom/model.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *folder;

static int set_up(void **state) {
    (void)state;
    folder = scratch_root();
    return tiny_wordnet_write(folder);
}

/* Whether a word has a class that reads so. */
static bool has(const fathom__lexicon *lexicon, const char *word, enum fathom__sense sense, const char *wanted) {
    uint32_t classes[FATHOM__LEXICON_MOST], base;
    const size_t n = fathom__lexicon_classes(classes, &base, lexicon, word, strlen(word), sense);
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        struct fathom__buffer text = FATHOM__BUFFER_INIT(1024);
        assert_true(classes[i] < fathom__lexicon_class_count(lexicon));
        assert_true(!i || classes[i] > classes[i - 1]);
        assert_int_equal(fathom__lexicon_class_text(&text, lexicon, classes[i], true), FATHOM_OK);
        found |= strcmp(text.bytes, wanted) == 0;
        fathom__buffer_free(&text);
    }
    return found;
}

static uint32_t base_of(const fathom__lexicon *lexicon, const char *word) {
    uint32_t classes[FATHOM__LEXICON_MOST], base;
    assert_true(fathom__lexicon_classes(classes, &base, lexicon, word, strlen(word), FATHOM__SENSE_THING) > 0);
    return base;
}

static void grammar_needs_no_database(void **state) {
    (void)state;
    fathom__lexicon *lexicon;
    uint32_t classes[FATHOM__LEXICON_MOST], base;
    assert_int_equal(fathom__lexicon_open(&lexicon, NULL), FATHOM_OK);
    assert_null(fathom__lexicon_nouns(lexicon));
    assert_int_equal(fathom__lexicon_class_count(lexicon), fathom__closed_class_count + 15);
    assert_true(has(lexicon, "they", FATHOM__SENSE_THING, "personal pronouns"));
    assert_true(has(lexicon, "under", FATHOM__SENSE_EITHER, "prepositions of place"));
    assert_false(has(lexicon, "they", FATHOM__SENSE_THING, "prepositions"));
    assert_int_equal(fathom__lexicon_classes(classes, &base, lexicon, "athlete", 7, FATHOM__SENSE_THING), 0);
    assert_int_equal(fathom__lexicon_words_from(lexicon, "golden", 6), 1);
    fathom__lexicon_close(lexicon);
}

static void names_and_things_differ(void **state) {
    (void)state;
    fathom__lexicon *lexicon;
    assert_int_equal(fathom__lexicon_open(&lexicon, folder), FATHOM_OK);
    assert_true(has(lexicon, "owens", FATHOM__SENSE_NAME, "athletes"));
    assert_false(has(lexicon, "owens", FATHOM__SENSE_THING, "athletes"));
    assert_true(has(lexicon, "golden_gate_bridge", FATHOM__SENSE_EITHER, "suspension bridges"));
    assert_true(has(lexicon, "may", FATHOM__SENSE_NAME, "months"));
    assert_false(has(lexicon, "may", FATHOM__SENSE_THING, "months"));
    assert_true(has(lexicon, "may", FATHOM__SENSE_THING, "modal verbs"));
    assert_true(has(lexicon, "i", FATHOM__SENSE_NAME, "personal pronouns"));
    assert_false(has(lexicon, "us", FATHOM__SENSE_NAME, "personal pronouns")); /* the country */
    assert_true(has(lexicon, "cities", FATHOM__SENSE_THING, "forms of ‘city’"));
    assert_int_equal(base_of(lexicon, "cities"), base_of(lexicon, "city"));
    assert_int_not_equal(base_of(lexicon, "cities"), base_of(lexicon, "bridge"));
    assert_int_equal(fathom__lexicon_words_from(lexicon, "golden", 6), 3);
    fathom__lexicon_close(lexicon);
}

static void a_missing_or_damaged_folder_is_refused(void **state) {
    (void)state;
    fathom__lexicon *lexicon = NULL;
    assert_int_equal(fathom__lexicon_open(&lexicon, "/nonexistent"), FATHOM_ERROR_IO);
    char path[2 * SCRATCH_PATH];
    snprintf(path, sizeof path, "%s/index.verb", folder);
    assert_int_equal(fathom__file_write(path, "go", 2), FATHOM_OK);
    assert_int_equal(fathom__lexicon_open(&lexicon, folder), FATHOM_ERROR_IO); /* data.verb is not there */
    assert_non_null(strstr(fathom_error_message(), "data.verb"));
    snprintf(path, sizeof path, "%s/data.verb", folder);
    assert_int_equal(fathom__file_write(path, "00000000 38 v 01 go 0 000 01 + 02 00 | move  \n", 46), FATHOM_OK);
    assert_int_equal(fathom__lexicon_open(&lexicon, folder), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "index.verb: line 1"));
    assert_null(lexicon);
    snprintf(path, sizeof path, "%s/index.verb", folder);
    assert_int_equal(fathom__file_write(path, "go v 1 0 1 0 00000000  \n", 24), FATHOM_OK);
    assert_int_equal(fathom__lexicon_open(&lexicon, folder), FATHOM_OK);
    assert_true(has(lexicon, "going", FATHOM__SENSE_THING, "verbs of motion"));
    assert_true(has(lexicon, "goes", FATHOM__SENSE_THING, "forms of ‘go’"));
    assert_true(has(lexicon, "goes", FATHOM__SENSE_THING, "verbs like ‘go’"));
    fathom__lexicon_close(lexicon);
    assert_int_equal(unlink(path), 0);
}

/* A noun and a verb that is derived from it, each in a file of one line. */
static void derived_words_share_forms_and_ideas(void **state) {
    (void)state;
    static const struct {
        const char *name, *text;
    } files[] = {
        {"data.noun", "00000000 22 n 02 mirroring 0 reflection 0 001 + 00000000 v 0201 | casting back  \n"},
        {"index.noun", "mirroring n 1 0 1 0 00000000  \nreflection n 1 1 + 1 0 00000000  \n"},
        {"data.verb", "00000000 39 v 01 reflect 0 001 + 00000000 n 0102 01 + 02 00 | cast back  \n"},
        {"index.verb", "reflect v 1 1 + 1 0 00000000  \n"},
    };
    char own[SCRATCH_PATH], path[2 * SCRATCH_PATH];
    fathom__lexicon *lexicon;
    snprintf(own, sizeof own, "%s/derived", folder);
    assert_int_equal(mkdir(own, 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", own, files[i].name);
        assert_int_equal(fathom__file_write(path, files[i].text, strlen(files[i].text)), FATHOM_OK);
    }
    assert_int_equal(fathom__lexicon_open(&lexicon, own), FATHOM_OK);
    assert_true(has(lexicon, "reflected", FATHOM__SENSE_THING, "forms of ‘reflection’"));
    assert_true(has(lexicon, "reflections", FATHOM__SENSE_THING, "forms of ‘reflect’"));
    assert_false(has(lexicon, "mirroring", FATHOM__SENSE_THING, "forms of ‘reflect’")); /* another word of the synset */
    assert_true(has(lexicon, "reflected", FATHOM__SENSE_THING, "words for ‘mirroring’"));
    assert_true(has(lexicon, "mirroring", FATHOM__SENSE_THING, "words for ‘mirroring’"));
    fathom__lexicon_close(lexicon);
    /* Words' numbers are four hexadecimal digits. */
    static const char *const damaged[] = {"00x1", "001"};
    for (size_t i = 0; i < 2; i++) {
        char text[128];
        snprintf(text, sizeof text, "00000000 39 v 01 reflect 0 001 + 00000000 n %s 01 + 02 00 | cast back  \n",
                 damaged[i]);
        snprintf(path, sizeof path, "%s/data.verb", own);
        assert_int_equal(fathom__file_write(path, text, strlen(text)), FATHOM_OK);
        assert_int_equal(fathom__lexicon_open(&lexicon, own), FATHOM_ERROR_FORMAT);
        assert_non_null(strstr(fathom_error_message(), "four hexadecimal digits"));
    }
}

static void the_installed_database_knows_words_of_all_kinds(void **state) {
    (void)state;
    fathom__lexicon *lexicon;
    if (!fathom__file_exists("/usr/share/wordnet/index.noun")) skip();
    assert_int_equal(fathom__lexicon_open(&lexicon, "/usr/share/wordnet"), FATHOM_OK);
    assert_true(has(lexicon, "babe_ruth", FATHOM__SENSE_EITHER, "athletes"));
    assert_true(has(lexicon, "golden_gate_bridge", FATHOM__SENSE_EITHER, "suspension bridges"));
    assert_true(has(lexicon, "chicago", FATHOM__SENSE_NAME, "cities"));
    assert_true(has(lexicon, "touchdown", FATHOM__SENSE_THING, "words of American football"));
    if (fathom__file_exists("/usr/share/wordnet/index.verb")) {
        assert_true(has(lexicon, "ran", FATHOM__SENSE_THING, "forms of ‘run’"));
        assert_true(has(lexicon, "creation", FATHOM__SENSE_THING, "forms of ‘create’"));
        assert_true(has(lexicon, "began", FATHOM__SENSE_THING, "words for ‘beginning’"));
        assert_true(has(lexicon, "started", FATHOM__SENSE_THING, "words for ‘beginning’"));
        assert_false(has(lexicon, "began", FATHOM__SENSE_THING, "people")); /* though a beginner is one */
        assert_true(has(lexicon, "walked", FATHOM__SENSE_THING, "verbs of motion"));
        assert_true(has(lexicon, "was", FATHOM__SENSE_THING, "forms of ‘be’"));
        assert_int_equal(base_of(lexicon, "went"), base_of(lexicon, "goes"));
    }
    if (fathom__file_exists("/usr/share/wordnet/index.adj")) {
        assert_true(has(lexicon, "larger", FATHOM__SENSE_THING, "adjectives of size"));
        assert_true(has(lexicon, "huge", FATHOM__SENSE_THING, "adjectives like ‘large’"));
        assert_true(has(lexicon, "seven", FATHOM__SENSE_THING, "number words"));
    }
    fathom__lexicon_close(lexicon);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar_needs_no_database),
        cmocka_unit_test(names_and_things_differ),
        cmocka_unit_test(a_missing_or_damaged_folder_is_refused),
        cmocka_unit_test(derived_words_share_forms_and_ideas),
        cmocka_unit_test(the_installed_database_knows_words_of_all_kinds),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
