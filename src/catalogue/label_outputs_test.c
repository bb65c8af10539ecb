#include "catalogue/catalogue_internal.h"
#include "catalogue/label_internal.h"
#include "tests/support/labelled_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* GATE is on at "golden", which is always followed by "wall": two rules that tell it equally well. OTHER is there for
 * the controls. */
enum { GATE, OTHER, FEATURES };
enum { DOCUMENTS = 300 };

static struct text_stream opened;
static struct fathom__stream *stream;

static const char *const filler[] = {
    "the",      "of",         "saw",      "near",   "with",   "old",    "house", "tower",    "golden wall", "athletes",
    "sprinter", "goalkeeper", "swimmers", "bridge", "bakers", "driver", "poet",  "teachers", "writers",     "cities",
};

static size_t features_of(uint32_t *features, float *values, const char *word, const char *before,
                          struct fathom__random *random) {
    (void)before;
    if (strcmp(word, "golden") != 0 && strcmp(word, "with") != 0) return 0;
    *features = *word == 'g' ? GATE : OTHER;
    *values = 0.5f + (float)fathom__random_unit(random);
    return 1;
}

static int set_up(void **state) {
    static const struct labelled_stream of = {filler,     sizeof filler / sizeof *filler, DOCUMENTS, FEATURES, 3,
                                              features_of};
    (void)state;
    if (labelled_stream_open(&opened, &of, " unseen")) return -1;
    stream = opened.stream;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    text_stream_close(&opened);
    return 0;
}

static int32_t token(const char *text) {
    uint32_t id;
    assert_true(fathom__intern_find(&id, &opened.pieces.table, text, strlen(text)));
    return (int32_t)id;
}

/* Effects that raise these tokens of GATE and nothing else. */
static struct fathom_effect *raising(struct fathom_effect effects[FEATURES * 2 * FATHOM__EFFECTS],
                                     const char *const *texts, size_t n) {
    for (size_t i = 0; i < FEATURES * 2 * FATHOM__EFFECTS; i++)
        effects[i] = (struct fathom_effect){-1, 0};
    for (size_t i = 0; i < n; i++)
        effects[i] = (struct fathom_effect){token(texts[i]), 1};
    return effects;
}

static void outputs_are_tokens_that_the_text_has(void **state) {
    (void)state;
    static const char *const raised[] = {" unseen", " wall", " sprinter"};
    struct fathom_effect effects[FEATURES * 2 * FATHOM__EFFECTS];
    const struct fathom__label_options options = {.seed = 5, .effects = raising(effects, raised, 3)};
    struct fathom__label_context context;
    struct fathom__outputs outputs;
    assert_int_equal(fathom__label_context_open(&context, stream, &options), FATHOM_OK);
    fathom__label_outputs(&outputs, &context, GATE);
    assert_int_equal(outputs.n, 2);
    assert_int_equal(outputs.tokens[0], token(" wall"));
    assert_string_equal(fathom__stream_word(stream, outputs.words[0]), "wall");
    assert_string_equal(fathom__stream_word(stream, outputs.words[1]), "sprinter");
    fathom__label_outputs(&outputs, &context, OTHER);
    assert_int_equal(outputs.n, 0);
    context.options = &(const struct fathom__label_options){.seed = 5};
    fathom__label_outputs(&outputs, &context, GATE);
    assert_int_equal(outputs.n, 0);
    fathom__label_context_close(&context);
}

static void what_outputs_share_is_proposed(void **state) {
    (void)state;
    static const char *const raised[] = {" sprinter", " goalkeeper", " swimmers", " athletes", " wall"};
    static const enum fathom__place places[] = {FATHOM__NEAR, FATHOM__HERE, FATHOM__AFTER};
    struct fathom_effect effects[FEATURES * 2 * FATHOM__EFFECTS];
    struct fathom__label_options options = {.seed = 5, .effects = raising(effects, raised, 5)};
    struct fathom__label_context context;
    struct fathom__label_scratch scratch = {.n_seen = 0};
    assert_int_equal(fathom__label_context_open(&context, stream, &options), FATHOM_OK);
    fathom__label_outputs(&scratch.outputs, &context, GATE);
    fathom__label_propose_outputs(&scratch, &context);
    assert_int_equal(scratch.candidates.n, 6);
    for (size_t i = 0; i < 3; i++) {
        const struct fathom__condition *words = &scratch.candidates.rules[2 * i].conditions[0],
                                       *class = &scratch.candidates.rules[2 * i + 1].conditions[0];
        assert_int_equal(words->kind, FATHOM__WORDS);
        assert_int_equal(words->place, places[i]);
        assert_int_equal(words->n_ids, 5);
        assert_int_equal(class->kind, FATHOM__CLASS);
        assert_int_equal(class->place, places[i]);
        assert_int_equal(class->class_id, 2); /* athlete */
        assert_true(fathom__label_outputs_agree(&scratch.candidates.rules[2 * i], &scratch.outputs, stream));
        assert_true(fathom__label_outputs_agree(&scratch.candidates.rules[2 * i + 1], &scratch.outputs, stream));
    }
    scratch.candidates.n = 0;
    options.no_quotes = true;
    fathom__label_propose_outputs(&scratch, &context);
    assert_int_equal(scratch.candidates.n, 3); /* classes alone */
    const struct fathom__rule elsewhere = {
        .n = 1, .conditions = {{.kind = FATHOM__TOKENS, .n_ids = 1, .ids = {(uint32_t)token(" golden")}}}};
    assert_false(fathom__label_outputs_agree(&elsewhere, &scratch.outputs, stream));
    fathom__label_context_close(&context);
}

static void of_two_rules_as_good_the_one_with_the_outputs_is_taken(void **state) {
    (void)state;
    static const char *const raised[] = {" wall"};
    struct fathom_effect effects[FEATURES * 2 * FATHOM__EFFECTS];
    struct fathom__label_options options = {.seed = 5, .n_threads = 1};
    struct fathom__feature_label *labels;
    struct fathom_label_counts counts;
    size_t n;
    assert_int_equal(fathom__labels_make(&labels, &n, &counts, stream, &options), FATHOM_OK);
    assert_int_equal(labels[0].feature, GATE);
    assert_non_null(strstr(labels[0].label.text, "‘golden’"));
    fathom__labels_free(labels, n);
    options.effects = raising(effects, raised, 1);
    assert_int_equal(fathom__labels_make(&labels, &n, &counts, stream, &options), FATHOM_OK);
    assert_int_equal(labels[0].feature, GATE);
    assert_string_equal(labels[0].label.text, "before ‘wall’");
    assert_true(labels[0].label.score == 1 && labels[0].label.f1 == 1);
    fathom__labels_free(labels, n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_tokens_that_the_text_has),
        cmocka_unit_test(what_outputs_share_is_proposed),
        cmocka_unit_test(of_two_rules_as_good_the_one_with_the_outputs_is_taken),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
