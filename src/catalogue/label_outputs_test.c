#include "base/scratch.h"
#include "catalogue/catalogue_internal.h"
#include "catalogue/label_internal.h"
#include "tests/support/tiny_wordnet.h"
#include "tests/support/word_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* GATE is on at "golden", which is always followed by "wall": two rules that tell it equally well. OTHER is there for
 * the controls. */
enum { GATE, OTHER, FEATURES };
enum { DOCUMENTS = 300, WORDS = 40, MOST_ROWS = 128 };

static struct word_pieces pieces;
static struct fathom__evidence *evidence;
static fathom__lexicon *lexicon;
static struct fathom__stream *stream;

static const char *const filler[] = {
    "the",      "of",         "saw",      "near",   "with",   "old",    "house", "tower",    "golden wall", "athletes",
    "sprinter", "goalkeeper", "swimmers", "bridge", "bakers", "driver", "poet",  "teachers", "writers",     "cities",
};

static void add_document(uint64_t number, struct fathom__random *random) {
    char text[MOST_ROWS * 16] = "";
    for (int i = 0; i < WORDS; i++) {
        strcat(text, " ");
        strcat(text, filler[fathom__random_below(random, sizeof filler / sizeof *filler)]);
    }
    int32_t tokens[MOST_ROWS];
    bool covered[MOST_ROWS];
    size_t offsets[MOST_ROWS + 1] = {0}, n_values = 0;
    uint32_t features[MOST_ROWS];
    float values[MOST_ROWS];
    const size_t n = word_tokens(tokens, MOST_ROWS, &pieces, text);
    for (size_t row = 0; row < n; row++) {
        const char *word = fathom__intern_text(NULL, &pieces.table, (uint32_t)tokens[row]) + 1;
        covered[row] = true;
        if (strcmp(word, "golden") == 0 || strcmp(word, "with") == 0) {
            features[n_values] = *word == 'g' ? GATE : OTHER;
            values[n_values++] = 0.5f + (float)fathom__random_unit(random);
        }
        offsets[row + 1] = n_values;
    }
    const struct fathom_sparse sparse = {.n_rows = n, .offsets = offsets, .features = features, .values = values};
    assert_int_equal(fathom__evidence_add(evidence, tokens, covered, n, number, &sparse, 0), FATHOM_OK);
}

static int set_up(void **state) {
    (void)state;
    struct fathom__random random;
    const char *folder = scratch_root();
    int32_t unseen;
    fathom__random_seed(&random, 3);
    if (tiny_wordnet_write(folder) || fathom__evidence_open(&evidence, FEATURES, 5, 1)) return -1;
    for (uint64_t i = 0; i < DOCUMENTS; i++)
        add_document(i, &random);
    if (word_tokens(&unseen, 1, &pieces, " unseen") != 1) return -1;
    return fathom__evidence_seal(evidence) || word_vocabulary(&pieces) || fathom__lexicon_open(&lexicon, folder) ||
           fathom__stream_open(&stream, evidence, &pieces.vocabulary, lexicon);
}

static int tear_down(void **state) {
    (void)state;
    fathom__stream_close(stream);
    fathom__lexicon_close(lexicon);
    fathom__evidence_close(evidence);
    word_pieces_free(&pieces);
    return 0;
}

static int32_t token(const char *text) {
    uint32_t id;
    assert_true(fathom__intern_find(&id, &pieces.table, text, strlen(text)));
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
