/* Absorption: the criteria by hand; words whose absorption and splitting were built in; a vocabulary without words. */
#include "base/random.h"
#include "base/scratch.h"
#include "detect/absorption_internal.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"
#include <math.h>

static void the_fraction_by_hand(void **state) {
    (void)state;
    /* The letter's features carry all of it. */
    assert_float_equal(fathom__absorbed_fraction(&(struct fathom__projection){.whole = 2, .mains = 2, .others = {3}}),
                       0, 0);
    /* Others carry less than two fifths. */
    assert_float_equal(
        fathom__absorbed_fraction(&(struct fathom__projection){.whole = 2, .mains = 1, .others = {0.5, 0.2}}), 0, 0);
    /* The letter's features carry nothing. */
    assert_float_equal(fathom__absorbed_fraction(&(struct fathom__projection){.whole = 2, .others = {0.4, 0.3, 0.2}}),
                       1, 0);
    /* Others carry 1.5, of which 1 is missing: 1 / (1 + 1). */
    assert_float_equal(
        fathom__absorbed_fraction(&(struct fathom__projection){.whole = 2, .mains = 1, .others = {1, 0.5}}), 0.5,
        1e-12);
    assert_float_equal(fathom__absorbed_fraction(&(struct fathom__projection){.whole = -1, .others = {0.1}}), 0, 0);
}

static void full_absorption_by_hand(void **state) {
    (void)state;
    struct fathom__projection projection = {.whole = 2, .silent = true, .best = 0.9, .cosine = 0.5};
    assert_true(fathom__absorbed_fully(&projection));
    projection.silent = false;
    assert_false(fathom__absorbed_fully(&projection));
    projection = (struct fathom__projection){.whole = 2, .silent = true, .best = 0.7, .cosine = 0.5};
    assert_false(fathom__absorbed_fully(&projection));
    projection = (struct fathom__projection){.whole = 2, .silent = true, .best = 0.9, .cosine = 0.02};
    assert_false(fathom__absorbed_fully(&projection));
    projection = (struct fathom__projection){.whole = -2, .silent = true, .best = 0.9, .cosine = 0.5};
    assert_false(fathom__absorbed_fully(&projection));
}

/* Words of three letters: "a" lies along axis 0, "b" along axis 1 or 2, "c" along axis 3. Every tenth word of "a" has an
 * axis of its own besides, and a feature that carries both, while the feature of "a" is silent on it. */
enum { WIDTH = 32, EACH = 100, TRAIN = 80, LETTERS = 3, ABSORBED = EACH / 10, OWN = 4, FEATURES = OWN + ABSORBED };

static void write_dictionary(const char *path) {
    static float encoder[FEATURES * WIDTH], decoder[FEATURES * WIDTH], biases[FEATURES], zeros[WIDTH];
    memset(encoder, 0, sizeof encoder);
    memset(decoder, 0, sizeof decoder);
    for (int f = 0; f < OWN; f++)
        encoder[f * WIDTH + f] = decoder[f * WIDTH + f] = 1;
    for (int i = 0; i < ABSORBED; i++) {
        encoder[0 * WIDTH + OWN + i] = -1;
        encoder[(OWN + i) * WIDTH + OWN + i] = 1;
        decoder[(OWN + i) * WIDTH + OWN + i] = 1;
        decoder[(OWN + i) * WIDTH + 0] = 0.75F;
    }
    for (int f = 0; f < FEATURES; f++)
        biases[f] = -0.5F;
    const struct fathom_dictionary_parts parts = {.info = {.name = "absorbing",
                                                           .architecture = "standard",
                                                           .hook_in = "blocks.2.hook_resid_post",
                                                           .hook_out = "blocks.2.hook_resid_post",
                                                           .model_identity = "",
                                                           .model_name = "",
                                                           .d_in = WIDTH,
                                                           .d_out = WIDTH,
                                                           .n_features = FEATURES,
                                                           .input_scale = 1,
                                                           .max_norm = INFINITY},
                                                  .encoder = encoder,
                                                  .encoder_bias = biases,
                                                  .decoder = decoder,
                                                  .decoder_bias = zeros};
    check_ok(fathom_dictionary_write(path, &parts, "f32"));
}

/* Word `number` of a letter; a little noise on the first axes. */
static void make_row(float *row, int letter, int number, struct fathom__random *random) {
    static const int axes[LETTERS] = {0, 1, 3};
    for (int j = 0; j < OWN; j++)
        row[j] = (float)fathom__random_normal(random) / 50;
    row[axes[letter] + (letter == 1 && number % 2)] += 3;
    if (letter == 0 && number % 10 == 0) row[OWN + number / 10] = 4;
}

static void built_in_absorption_is_found(void **state) {
    (void)state;
    static float rows[LETTERS * EACH * WIDTH];
    static uint8_t letters[LETTERS * EACH];
    struct fathom__words words = {.letters = letters, .rows = rows, .n_train = LETTERS * TRAIN, .d = WIDTH};
    struct fathom_absorption_report report, again;
    const struct fathom_absorption_options options = {.seed = 1};
    struct fathom__random random;
    fathom_dictionary *dictionary = NULL;
    fathom__random_seed(&random, 1);
    for (int testing = 0; testing < 2; testing++)
        for (int number = 0; number < EACH; number++)
            for (int letter = 0; letter < LETTERS; letter++) {
                if ((number >= TRAIN) != (testing == 1)) continue;
                make_row(rows + words.n * WIDTH, letter, number, &random);
                letters[words.n++] = (uint8_t)letter;
            }
    write_dictionary(scratch("absorbing.gguf"));
    check_ok(fathom_dictionary_open(&dictionary, scratch("absorbing.gguf")));
    check_ok(fathom__absorption_measure(&report, &words, dictionary, &options));
    assert_int_equal(report.n_words, LETTERS * EACH);
    assert_int_equal(report.n_evaluated, LETTERS);
    assert_true(report.probe_f1 == 1 && report.shuffled_f1 < 0.9); /* of few letters chance may well find one */
    const struct fathom_absorption_letter *a = &report.letters[0], *b = &report.letters[1], *c = &report.letters[2];
    for (int letter = 0; letter < LETTERS; letter++) {
        assert_true(report.letters[letter].n_train == TRAIN && report.letters[letter].n_test == EACH - TRAIN);
        assert_float_equal(report.letters[letter].probe_f1, 1, 1e-12);
        assert_int_equal(report.letters[letter].n_true_positives, EACH - TRAIN);
    }
    /* Words 80 and 90 of the twenty are silent in the letter's feature: recall 0.9, and all of it in another one. */
    assert_true(a->n_features == 1 && a->features[0] == 0);
    assert_float_equal(a->best_f1, 2 * 18.0 / (20 + 18), 1e-12);
    assert_float_equal(a->full_absorption, 0.1, 1e-12);
    assert_float_equal(a->absorbed_fraction, 0.1, 1e-12);
    /* Two features, each for half of the words. */
    assert_true(b->n_features == 2 && b->features[0] + b->features[1] == 1 + 2);
    assert_float_equal(b->best_f1, 2.0 / 3, 1e-12);
    assert_float_equal(b->split_f1, 1, 1e-12);
    assert_true(b->full_absorption == 0 && c->full_absorption == 0);
    assert_true(c->n_features == 1 && c->features[0] == 3 && c->absorbed_fraction == 0);
    assert_float_equal(report.full_absorption, 0.1 / 3, 1e-12);
    assert_float_equal(report.n_split, 4.0 / 3, 1e-12);
    assert_float_equal(report.full_deviation, 0.1 / sqrt(3), 1e-12);
    check_ok(fathom__absorption_measure(&again, &words, dictionary, &options));
    assert_memory_equal(&report, &again, sizeof report);
    fathom_dictionary_close(dictionary);
}

/* The tiny model's few words are too few. */
static void a_vocabulary_without_words_is_refused(void **state) {
    (void)state;
    struct fathom_absorption_report report;
    const struct fathom_absorption_options options = {.seed = 1, .n_threads = 1};
    static float matrix[64], zeros[64];
    const struct fathom_dictionary_parts parts = {.info = {.name = "one",
                                                           .architecture = "standard",
                                                           .hook_in = "blocks.2.hook_resid_post",
                                                           .hook_out = "blocks.2.hook_resid_post",
                                                           .model_identity = "",
                                                           .model_name = "",
                                                           .d_in = 64,
                                                           .d_out = 64,
                                                           .n_features = 1,
                                                           .input_scale = 1,
                                                           .max_norm = INFINITY},
                                                  .encoder = matrix,
                                                  .encoder_bias = zeros,
                                                  .decoder = matrix,
                                                  .decoder_bias = zeros};
    fathom_dictionary *dictionary = NULL;
    fathom_model *model = NULL;
    check_ok(fathom_test_tiny_model(scratch("model.gguf"), "llama", 1));
    check_ok(fathom_model_open(&model, scratch("model.gguf"), NULL));
    check_ok(fathom_dictionary_write(scratch("one.gguf"), &parts, "f32"));
    check_ok(fathom_dictionary_open(&dictionary, scratch("one.gguf")));
    check_status(fathom_absorption(&report, model, dictionary, &options), FATHOM_ERROR_LIMIT, "absorption: the vocab");
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fraction_by_hand),
        cmocka_unit_test(full_absorption_by_hand),
        cmocka_unit_test(built_in_absorption_is_found),
        cmocka_unit_test(a_vocabulary_without_words_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
