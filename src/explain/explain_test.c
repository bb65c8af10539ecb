#include <fathom/explain.h>
#include <tests/support/tiny_model.h>

#include "variants.h"
#include <base/file.h>
#include <base/scratch.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_PROMPT = 9, N_ANSWER = 2, N_FEATURES = 32 };

static const int32_t prompt[N_PROMPT] = {40, 41, 42, 43, 44, 45, 46, 47, 48};
static const int32_t corrupt[N_PROMPT] = {40, 41, 42, 90, 44, 45, 46, 47, 48};
static const int32_t answer[N_ANSWER] = {50, 51};

struct fixture {
    char model_path[2 * SCRATCH_PATH], dictionary_path[2 * SCRATCH_PATH];
    fathom_model *model;
    fathom_dictionary *dictionary;
};

/* Features along single coordinates: what each of them takes away is plain to see. */
static int write_dictionary(const char *path, const fathom_model *model) {
    size_t d = fathom_model_describe(model)->d_model;
    float *encoder = calloc(N_FEATURES * d, sizeof *encoder), *zeros = calloc(d, sizeof *zeros);
    float bias[N_FEATURES] = {0}, threshold[N_FEATURES] = {0};
    for (size_t i = 0; i < N_FEATURES; i++)
        encoder[i * d + i] = 1;
    struct fathom_dictionary_parts parts = {
        .info = {.name = "axes",
                 .architecture = "jumprelu",
                 .hook_in = "blocks.1.hook_resid_post",
                 .hook_out = "blocks.1.hook_resid_post",
                 .model_identity = fathom_model_describe(model)->source_identity,
                 .model_name = "tiny",
                 .training = "{}",
                 .d_in = (uint32_t)d,
                 .d_out = (uint32_t)d,
                 .n_features = N_FEATURES,
                 .has_threshold = true,
                 .input_scale = 2,
                 .skip_positions = 1,
                 .max_norm = INFINITY},
        .encoder = encoder,
        .encoder_bias = bias,
        .decoder = encoder,
        .decoder_bias = zeros,
        .threshold = threshold,
    };
    int status = fathom_dictionary_write(path, &parts, "f32");
    free(encoder);
    free(zeros);
    return status;
}

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    snprintf(fixture->model_path, sizeof fixture->model_path, "%s", scratch("tiny.gguf"));
    snprintf(fixture->dictionary_path, sizeof fixture->dictionary_path, "%s", scratch("dictionary.gguf"));
    *state = fixture;
    return fathom_test_tiny_model(fixture->model_path, "llama", 7) ||
           fathom_model_open(&fixture->model, fixture->model_path, NULL) ||
           write_dictionary(fixture->dictionary_path, fixture->model) ||
           fathom_dictionary_open(&fixture->dictionary, fixture->dictionary_path);
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    fathom_dictionary_close(fixture->dictionary);
    fathom_model_close(fixture->model);
    free(fixture);
    return 0;
}

static int keep_row(const struct fathom_block *block, void *payload) {
    memcpy(payload, block->rows + (block->n_rows - 1) * block->width, block->width * sizeof *block->rows);
    return 0;
}

/* The lens at the last layer is the model's own output. */
static void test_lens_at_the_last_layer_is_the_model(void **state) {
    struct fixture *fixture = *state;
    const struct fathom_model_info *info = fathom_model_describe(fixture->model);
    struct fathom_session_options options = {.exact = true};
    fathom_session *session = NULL;
    fathom_lens *lens = NULL;
    struct fathom_lens_reading reading;
    float *row = calloc(info->d_model, sizeof *row);
    double sum = 0;
    int32_t best = 0;
    assert_int_equal(fathom_session_open(&session, fixture->model, &options), FATHOM_OK);
    assert_int_equal(fathom_session_tap(NULL, session,
                                        (struct fathom_hook){FATHOM_HOOK_RESID_POST, (int32_t)info->n_layers - 1},
                                        keep_row, row),
                     FATHOM_OK);
    assert_int_equal(fathom_session_feed(session, prompt, N_PROMPT, 0, 0, true), FATHOM_OK);
    const float *logits = fathom_session_logits(session, N_PROMPT - 1);
    assert_non_null(logits);
    for (uint32_t v = 0; v < info->n_vocab; v++) {
        if (logits[v] > logits[best]) best = (int32_t)v;
        sum += exp((double)logits[v]);
    }
    assert_int_equal(fathom_lens_open(&lens, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_lens_read(&reading, lens, row, 1, &answer[0], 1), FATHOM_OK);
    assert_int_equal(reading.top[0].token, best);
    assert_float_equal(reading.target_probability, exp((double)logits[answer[0]]) / sum, 1e-5);
    fathom_lens_close(lens);
    fathom_session_close(session);
    free(row);
}

/* Direct contributions of two parts add up to that of their sum, and a vocabulary-wide shift contributes nothing. */
static void test_contributions_are_linear(void **state) {
    struct fixture *fixture = *state;
    size_t d = fathom_model_describe(fixture->model)->d_model;
    fathom_lens *lens = NULL;
    float *a = calloc(d, sizeof *a), *b = calloc(d, sizeof *b), *both = calloc(d, sizeof *both);
    assert_int_equal(fathom_lens_open(&lens, fixture->model), FATHOM_OK);
    for (size_t i = 0; i < d; i++) {
        a[i] = (float)i;
        b[i] = 1 - (float)(i % 3);
        both[i] = a[i] + b[i];
    }
    double of_a = fathom_lens_contribution(lens, a, 2, 5), of_b = fathom_lens_contribution(lens, b, 2, 5);
    assert_float_equal(fathom_lens_contribution(lens, both, 2, 5), of_a + of_b, 1e-6 * (1 + fabs(of_a)));
    double total = 0;
    for (uint32_t v = 0; v < fathom_model_describe(fixture->model)->n_vocab; v++)
        total += fathom_lens_contribution(lens, a, 2, (int32_t)v);
    assert_float_equal(total, 0, 1e-2);
    fathom_lens_close(lens);
    free(a);
    free(b);
    free(both);
}

static double plain_log_probability(const fathom_model *model) {
    int32_t tokens[N_PROMPT + N_ANSWER];
    double parts[N_PROMPT + N_ANSWER - 1];
    struct fathom_session_options options = {.exact = true};
    fathom_session *session = NULL;
    memcpy(tokens, prompt, sizeof prompt);
    memcpy(tokens + N_PROMPT, answer, sizeof answer);
    assert_int_equal(fathom_session_open(&session, model, &options), FATHOM_OK);
    assert_int_equal(fathom_log_probabilities(parts, session, tokens, N_PROMPT + N_ANSWER), FATHOM_OK);
    fathom_session_close(session);
    return parts[N_PROMPT - 1] + parts[N_PROMPT];
}

/* Every effect is what a run of its own gives: here one feature, edited by hand. */
struct by_hand {
    const fathom_dictionary *dictionary;
    uint32_t feature;
};

static int ablate_by_hand(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const struct by_hand *by_hand = payload;
    /* The dictionary's features are coordinates at scale 2: a positive one becomes zero, whatever the scale. */
    for (size_t r = 0; r < block->n_rows; r++)
        if (block->positions[r] >= 1 && block->positions[r] < N_PROMPT &&
            rows[r * block->width + by_hand->feature] > 0) {
            rows[r * block->width + by_hand->feature] = 0;
            *changed = true;
        }
    return 0;
}

static void test_explanation(void **state) {
    struct fixture *fixture = *state;
    fathom_explanation *e = NULL;
    struct fathom_explain_options options = {.n_features = 5, .n_controls = 4, .seed = 3};
    assert_int_equal(
        fathom_explain(&e, fixture->model, fixture->dictionary, prompt, N_PROMPT, answer, N_ANSWER, &options),
        FATHOM_OK);
    assert_float_equal(e->log_probability, plain_log_probability(fixture->model), 1e-4);
    assert_int_equal(e->n_layers, fathom_model_describe(fixture->model)->n_layers);
    assert_int_equal(e->n_tokens, N_PROMPT);
    assert_int_equal(e->n_features, 5);
    assert_true(e->n_features_measured > 5);
    assert_float_equal(e->layers[e->n_layers - 1].reading.target_probability, e->first_probability, 1e-5);
    assert_false(e->tokens[0].has_unseen);
    assert_true(e->tokens[1].has_unseen);
    assert_false(e->tokens[N_PROMPT - 1].has_unseen);
    assert_true(e->tokens[3].erased.effect != 0);
    assert_int_equal(e->tokens[3].erased.n_controls, 4);
    for (size_t i = 1; i < e->n_features; i++)
        assert_true(fabs(e->features[i - 1].ablated.effect) >= fabs(e->features[i].ablated.effect));

    int32_t tokens[N_PROMPT + N_ANSWER];
    double parts[N_PROMPT + N_ANSWER - 1];
    struct by_hand by_hand = {fixture->dictionary, e->features[0].feature};
    struct fathom_session_options exact = {.exact = true};
    fathom_session *session = NULL;
    memcpy(tokens, prompt, sizeof prompt);
    memcpy(tokens + N_PROMPT, answer, sizeof answer);
    assert_int_equal(fathom_session_open(&session, fixture->model, &exact), FATHOM_OK);
    assert_int_equal(
        fathom_session_edit(NULL, session, (struct fathom_hook){FATHOM_HOOK_RESID_POST, 1}, ablate_by_hand, &by_hand),
        FATHOM_OK);
    assert_int_equal(fathom_log_probabilities(parts, session, tokens, N_PROMPT + N_ANSWER), FATHOM_OK);
    assert_float_equal(parts[N_PROMPT - 1] + parts[N_PROMPT] - e->log_probability, e->features[0].ablated.effect, 1e-4);
    fathom_session_close(session);
    fathom_explanation_free(e);
}

/* With as little text as there can be, a batch has room for more variants than the engine has sequences. */
static void test_one_token(void **state) {
    const struct fixture *fixture = *state;
    fathom_explanation *e = NULL;
    assert_int_equal(fathom_explain(&e, fixture->model, fixture->dictionary, prompt, 1, answer, 1, NULL), 0);
    assert_int_equal(e->n_tokens, 1);
    assert_true(e->log_probability < 0 && isfinite(e->log_probability));
    fathom_explanation_free(e);
}

static void test_same_seed_same_explanation(void **state) {
    struct fixture *fixture = *state;
    fathom_explanation *a = NULL, *b = NULL;
    struct fathom_explain_options options = {.seed = 5, .n_threads = 1};
    assert_int_equal(fathom_explain(&a, fixture->model, fixture->dictionary, prompt, N_PROMPT, answer, 1, &options),
                     FATHOM_OK);
    assert_int_equal(fathom_explain(&b, fixture->model, fixture->dictionary, prompt, N_PROMPT, answer, 1, &options),
                     FATHOM_OK);
    for (size_t i = 0; i < a->n_features; i++) {
        assert_int_equal(a->features[i].feature, b->features[i].feature);
        assert_true(a->features[i].ablated.control == b->features[i].ablated.control);
    }
    fathom_explanation_free(a);
    fathom_explanation_free(b);
}

static void test_patching(void **state) {
    struct fixture *fixture = *state;
    struct fathom_patching patching = {0};
    size_t n_layers = fathom_model_describe(fixture->model)->n_layers;
    int status = fathom_patch(&patching, fixture->model, prompt, corrupt, N_PROMPT, answer, N_ANSWER, 1, NULL, NULL);
    const int32_t *clean = prompt, *other = corrupt;
    if (status ==
        FATHOM_ERROR_ARGUMENT) { /* random weights may prefer the other prompt: then that one is the clean one */
        clean = corrupt;
        other = prompt;
        status = fathom_patch(&patching, fixture->model, clean, other, N_PROMPT, answer, N_ANSWER, 1, NULL, NULL);
    }
    assert_int_equal(status, FATHOM_OK);
    assert_int_equal(patching.n_layers, n_layers);
    for (size_t l = 0; l < n_layers; l++)
        for (size_t p = 0; p < 3; p++)
            assert_true(patching.recovered[l * N_PROMPT + p] == 0);
    /* At the last layer only the last prompt row matters for the answer's first token; one token of answer is then
     * wholly recovered. */
    fathom_free(patching.recovered);
    status = fathom_patch(&patching, fixture->model, clean, other, N_PROMPT, answer, 1, 1, NULL, NULL);
    if (status == FATHOM_OK) {
        assert_float_equal(patching.recovered[n_layers * N_PROMPT - 1], 1, 1e-4);
        assert_float_equal(patching.recovered[n_layers * N_PROMPT - 2], 0, 1e-4);
        fathom_free(patching.recovered);
    }
    assert_int_equal(fathom_patch(&patching, fixture->model, prompt, prompt, N_PROMPT, answer, 1, 1, NULL, NULL),
                     FATHOM_ERROR_ARGUMENT);
}

static void test_report_is_whole(void **state) {
    struct fixture *fixture = *state;
    fathom_explanation *e = NULL;
    const char *path = scratch("report.html");
    char *page = NULL;
    size_t length = 0;
    assert_int_equal(fathom_explain(&e, fixture->model, fixture->dictionary, prompt, N_PROMPT, answer, 1, NULL),
                     FATHOM_OK);
    assert_int_equal(
        fathom_report_write(path, e, fixture->model, fixture->dictionary, NULL, NULL, "fathom <explain> & more"),
        FATHOM_OK);
    assert_int_equal(fathom__file_read(&page, &length, path, 1 << 24), FATHOM_OK);
    assert_non_null(strstr(page, "<!doctype html>"));
    assert_non_null(strstr(page, "</html>"));
    assert_non_null(strstr(page, "fathom &lt;explain&gt; &amp; more"));
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "http"));
    assert_int_equal(fathom_report_write("/nowhere/report.html", e, fixture->model, NULL, NULL, NULL, NULL),
                     FATHOM_ERROR_IO);
    fathom_free(page);
    fathom_explanation_free(e);
}

static void test_bad_questions(void **state) {
    struct fixture *fixture = *state;
    fathom_explanation *e = NULL;
    const int32_t beyond = (int32_t)fathom_model_describe(fixture->model)->n_vocab;
    assert_int_equal(fathom_explain(&e, fixture->model, NULL, prompt, 0, answer, 1, NULL), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_explain(&e, fixture->model, NULL, prompt, N_PROMPT, answer, 0, NULL),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_explain(&e, fixture->model, NULL, prompt, N_PROMPT, &beyond, 1, NULL),
                     FATHOM_ERROR_ARGUMENT);
    assert_null(e);
}

static int stop(const struct fathom_progress *progress, void *payload) {
    (void)progress;
    (void)payload;
    return FATHOM_ERROR_STOPPED;
}

static void test_stops(void **state) {
    struct fixture *fixture = *state;
    fathom_explanation *e = NULL;
    struct fathom_explain_options options = {.progress = stop};
    assert_int_equal(fathom_explain(&e, fixture->model, NULL, prompt, N_PROMPT, answer, 1, &options),
                     FATHOM_ERROR_STOPPED);
    assert_null(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lens_at_the_last_layer_is_the_model),
        cmocka_unit_test(test_contributions_are_linear),
        cmocka_unit_test(test_explanation),
        cmocka_unit_test(test_one_token),
        cmocka_unit_test(test_same_seed_same_explanation),
        cmocka_unit_test(test_patching),
        cmocka_unit_test(test_report_is_whole),
        cmocka_unit_test(test_bad_questions),
        cmocka_unit_test(test_stops),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
