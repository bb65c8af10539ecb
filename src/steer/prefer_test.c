/* Samples that are chosen by feature levels, against levels read anew. */
#include "tests/support/edited_rows.h"
#include <fathom/prefer.h>

enum { SAMPLES = 4, MOST = 6, PROMPT = 3 };

/* Levels of a feature in rows of the text: sums what toy_level says from `first` on. */
struct reading {
    uint32_t feature, first;
    double sum, peak;
    size_t n;
};

static int read_rows(const struct fathom_block *block, void *payload) {
    struct reading *reading = payload;
    for (size_t r = 0; r < block->n_rows; r++) {
        if (block->positions[r] >= (int32_t)reading->first) {
            double level = toy_level(block->rows + r * block->width, reading->feature, (double)ROWS_SCALE);
            reading->sum += level;
            reading->peak = fmax(reading->peak, level);
            reading->n++;
        }
    }
    return 0;
}

static struct reading read_again(struct edited_rows *fixture, const struct fathom_sample *sample, uint32_t feature) {
    struct reading reading = {.feature = feature, .first = PROMPT};
    int32_t tokens[PROMPT + MOST];
    int id = 0;
    memcpy(tokens, fixture->tokens, PROMPT * sizeof *tokens);
    for (size_t i = 0; i < sample->n; i++) {
        tokens[PROMPT + i] = sample->tokens[i];
    }
    fathom_session_forget(fixture->session, -1, 0);
    assert_int_equal(fathom_session_tap(&id, fixture->session, (struct fathom_hook){FATHOM_HOOK_RESID_POST, ROWS_LAYER},
                                        read_rows, &reading),
                     FATHOM_OK);
    /* One that its length ended was not read to its last token. */
    size_t n = sample->n < MOST ? sample->n : MOST - 1;
    assert_int_equal(fathom_session_feed(fixture->session, tokens, PROMPT + n, 0, 0, true), FATHOM_OK);
    fathom_session_unhook(fixture->session, id);
    return reading;
}

static void scores_are_mean_levels(void **state) {
    struct edited_rows *fixture = *state;
    const struct fathom_preference preferences[] = {
        {.dictionary = fixture->dictionary, .feature = 3, .unit = 2},
        {.dictionary = fixture->dictionary, .feature = 5, .unit = 0.5f, .avoid = true}};
    const struct fathom_sampling sampling = {.seed = 7, .temperature = 1.5f};
    struct fathom_samples samples = FATHOM_SAMPLES_INIT;
    assert_int_equal(fathom_samples_draw(&samples, fixture->session, fixture->tokens, PROMPT, MOST, &sampling, SAMPLES,
                                         preferences, 2),
                     FATHOM_OK);
    assert_int_equal(samples.n, SAMPLES);
    size_t read = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct fathom_sample *sample = &samples.samples[i];
        read += sample->n > 1;
        struct reading wanted = read_again(fixture, sample, 3);
        struct reading avoided = read_again(fixture, sample, 5);
        double rows = fmax(1, (double)wanted.n);
        double score = wanted.sum / rows / 2 - avoided.sum / rows / 0.5;
        assert_true(fabs(sample->score - score) < 1e-3);
        assert_true(fabs((double)sample->peaks[0] - wanted.peak / 2) < 1e-3);
        assert_true(sample->score <= samples.samples[samples.best].score);
        /* It is the model's own sample of that seed. */
        struct fathom_sampling own = sampling;
        char *text = NULL;
        own.seed += i;
        assert_int_equal(fathom_generate(&text, fixture->session, fixture->tokens, PROMPT, MOST, &own, NULL, NULL),
                         FATHOM_OK);
        assert_string_equal(text, sample->text);
        fathom_free(text);
    }
    assert_true(read >= 2); /* not all of them end at once */
    fathom_samples_free(&samples);
}

static void wrong_preferences_are_refused(void **state) {
    struct edited_rows *fixture = *state;
    struct fathom_preference preference = {.dictionary = fixture->dictionary, .feature = 3, .unit = 1};
    struct fathom_sampling sampling = {.seed = 7, .temperature = 1};
    struct fathom_samples samples = FATHOM_SAMPLES_INIT;
    assert_int_equal(
        fathom_samples_draw(&samples, fixture->session, fixture->tokens, PROMPT, MOST, &sampling, 0, &preference, 1),
        FATHOM_ERROR_ARGUMENT);
    assert_int_equal(
        fathom_samples_draw(&samples, fixture->session, fixture->tokens, PROMPT, MOST, &sampling, 2, NULL, 0),
        FATHOM_ERROR_ARGUMENT);
    preference.unit = 0;
    assert_int_equal(
        fathom_samples_draw(&samples, fixture->session, fixture->tokens, PROMPT, MOST, &sampling, 2, &preference, 1),
        FATHOM_ERROR_ARGUMENT);
    preference.unit = 1;
    preference.feature = TOY_FEATURES;
    assert_int_equal(
        fathom_samples_draw(&samples, fixture->session, fixture->tokens, PROMPT, MOST, &sampling, 2, &preference, 1),
        FATHOM_ERROR_NOT_FOUND);
    preference.feature = 3;
    sampling.temperature = 0;
    assert_int_equal(
        fathom_samples_draw(&samples, fixture->session, fixture->tokens, PROMPT, MOST, &sampling, 2, &preference, 1),
        FATHOM_ERROR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_mean_levels),
        cmocka_unit_test(wrong_preferences_are_refused),
    };
    return cmocka_run_group_tests(tests, edited_rows_setup, edited_rows_teardown);
}
