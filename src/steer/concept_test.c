#include "steer/concept.h"
#include "tests/support/open_model.h"
#include <math.h>

static size_t mentions(const fathom_model *model, const char *const *words, size_t n, const char *text) {
    fathom_concept *concept = NULL;
    assert_int_equal(fathom_concept_open(&concept, model, words, n), FATHOM_OK);
    size_t found = fathom_concept_mentions(concept, text);
    fathom_concept_close(concept);
    return found;
}

static void phrases_are_whole_words(void **state) {
    const char *const words[] = {"Golden Gate", "bridge", "Golden Gate Bridge"};
    assert_int_equal(mentions(*state, words, 3, "The golden  gate BRIDGE, a bridge."),
                     2); /* the longest at a place, once */
    assert_int_equal(mentions(*state, words, 3, "A footbridge abridged; bridges and drawbridge"), 0);
    assert_int_equal(mentions(*state, words, 3, "bridge-building bridge"), 2);
    assert_int_equal(mentions(*state, words, 3, "golden\ngate"), 1);
    assert_int_equal(mentions(*state, words, 3, "golden gates, goldengate"), 0);
    assert_int_equal(mentions(*state, words, 3,
                              "br\xc3\xbc"
                              "bridge"),
                     0); /* a letter of two bytes before it */
    assert_int_equal(mentions(*state, words, 3, ""), 0);
}

static void slashes_make_expressions(void **state) {
    const char *const words[] = {"/bridges?/", "sea"};
    assert_int_equal(mentions(*state, words, 2, "Bridges and a bridge by the sea"), 3);
    const char *const empty[] = {"/x*/"};
    assert_int_equal(mentions(*state, empty, 1, "axxbx"), 2); /* an empty match is no mention */
    const char *const start[] = {"/^the/"};
    assert_int_equal(mentions(*state, start, 1, "the the the"), 1);
}

static void bad_words_are_refused(void **state) {
    fathom_concept *concept = NULL;
    const char *const broken[] = {"sea", "/(open/"}, *const empty[] = {""};
    assert_int_equal(fathom_concept_open(&concept, *state, broken, 2), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "/(open/"));
    assert_int_equal(fathom_concept_open(&concept, *state, empty, 1), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_concept_open(&concept, *state, NULL, 0), FATHOM_ERROR_ARGUMENT);
    assert_null(concept);
}

static void mass_is_the_probability_of_the_first_tokens(void **state) {
    const fathom_model *model = *state;
    const char *const words[] = {"bridge", "bridge", "/gate/"};
    size_t n_vocab = fathom_model_describe(model)->n_vocab, n = 0, n_spaced = 0;
    float *logits = test_calloc(n_vocab, sizeof *logits);
    fathom_concept *concept = NULL;
    int32_t *spaced = NULL;
    assert_int_equal(fathom_concept_open(&concept, model, words, 3), FATHOM_OK);
    const int32_t *tokens = fathom__concept_tokens(&n, concept);
    assert_int_equal(fathom_tokenize(&spaced, &n_spaced, model, " bridge", 7, false, false), FATHOM_OK);
    assert_int_equal(n, 2); /* " bridge" and "b…": a repeated word adds none, an expression has none */
    assert_int_equal(n_spaced, 1);
    assert_true(tokens[0] == spaced[0] && tokens[1] != tokens[0]);
    /* All logits alike: 2 of n_vocab. One of the two raised by ln 10: 11 of n_vocab + 9. */
    assert_true(fabs(fathom__concept_log_mass(concept, logits, n_vocab) - log(2.0 / (double)n_vocab)) < 1e-6);
    logits[tokens[1]] = logf(10);
    assert_true(fabs(fathom__concept_log_mass(concept, logits, n_vocab) - log(11.0 / (double)(n_vocab + 9))) < 1e-6);
    fathom_concept_close(concept);
    const char *const only[] = {"/gate/"};
    assert_int_equal(fathom_concept_open(&concept, model, only, 1), FATHOM_OK);
    assert_true(isinf(fathom__concept_log_mass(concept, logits, n_vocab)));
    fathom_concept_close(concept);
    fathom_free(spaced);
    test_free(logits);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phrases_are_whole_words),
        cmocka_unit_test(slashes_make_expressions),
        cmocka_unit_test(bad_words_are_refused),
        cmocka_unit_test(mass_is_the_probability_of_the_first_tokens),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
