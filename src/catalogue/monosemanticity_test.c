/* Two labels of known scores over three alive features; and a catalogue without labels. */
#include "tests/support/tiny_catalogue.h"

#include <fathom/monosemanticity.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct tiny_catalogue tiny;

static int set_up(void **state) {
    (void)state;
    return tiny_catalogue_open(&tiny);
}

static int tear_down(void **state) {
    (void)state;
    tiny_catalogue_close(&tiny);
    return 0;
}

static struct fathom_monosemanticity measure(void) {
    fathom_catalogue *catalogue = NULL;
    struct fathom_monosemanticity found = {0};
    if (tiny_catalogue_write(&tiny) || fathom_catalogue_open(&catalogue, tiny.path, tiny.dictionary) ||
        fathom_catalogue_monosemanticity(&found, catalogue))
        fail_msg("%s", fathom_error_message());
    fathom_catalogue_close(catalogue);
    return found;
}

static void scores_by_hand(void **state) {
    (void)state;
    const struct fathom_monosemanticity found = measure();
    assert_true(found.n_features == TINY_FEATURES && found.n_alive == 3 && found.n_labelled == 2);
    assert_float_equal(found.score, (0.8 + 0.42) / 3, 1e-6); /* 2 · 0.9 - 1 and 2 · 0.71 - 1, and nothing */
    assert_float_equal(found.told, 1.0 / 3, 1e-12);
    assert_float_equal(found.accuracy, (0.9 + 0.71) / 2, 1e-6);
    assert_float_equal(found.f1, 0.4, 1e-6);
    assert_float_equal(found.single_token, 0.375, 1e-6);
    assert_float_equal(found.shuffled, 0.25, 1e-6);
}

/* A label below chance takes nothing away, and one by a person has no score. */
static void what_does_not_count(void **state) {
    (void)state;
    fathom_catalogue *catalogue = NULL;
    struct fathom_monosemanticity found = {0};
    tiny.labels[1].label.score = 0.3f;
    found = measure();
    assert_float_equal(found.score, 0.8 / 3, 1e-6);
    assert_int_equal(fathom_catalogue_open(&catalogue, tiny.path, tiny.dictionary), 0);
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 1, "an article", "user"), 0);
    assert_int_equal(fathom_catalogue_monosemanticity(&found, catalogue), 0);
    assert_int_equal(found.n_labelled, 2);
    fathom_catalogue_close(catalogue);
    tiny.content.n_labels = 0;
    found = measure();
    assert_true(found.n_labelled == 0 && found.score == 0 && found.told == 0 && found.accuracy == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_by_hand),
        cmocka_unit_test(what_does_not_count),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
