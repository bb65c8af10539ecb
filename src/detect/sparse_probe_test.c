/* Sparse probing: a feature that was planted is found first and tells the classes apart; shuffled labels find nothing
 * that holds. */
#include "base/random.h"
#include "base/scratch.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"
#include <fathom/sparse_probe.h>
#include <math.h>

static const char *const sea[] = {"bridge", "gate", "golden", "sea", "ship", "river"};
static const char *const court[] = {"music", "king", "war", "team", "points", "game"};
static const char *const small[] = {"the", "of", "and", "to", "in", "is", "was", "for", "on", "with"};
enum { WORDS = 14, TEXTS = 200, WIDTH = 64, FEATURES = 24, PLANTED = 7 };

static void make_texts(struct fathom_texts *texts, size_t n, uint64_t seed) {
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (size_t t = 0; t < n; t++) {
        char text[256] = "";
        for (int w = 0; w < WORDS; w++) {
            const char *word = small[fathom__random_below(&random, 10)];
            if (fathom__random_below(&random, 2) == 0) word = (t % 2 ? sea : court)[fathom__random_below(&random, 6)];
            strcat(strcat(text, w ? " " : ""), word);
        }
        check_ok(fathom_texts_append(texts, text, strlen(text), (enum fathom_text_label)(t % 2)));
    }
}

struct fixture {
    fathom_model *model;
    fathom_dictionary *dictionary;
    struct fathom_texts texts;
};

/* Random features, but for one that is a probe's direction. */
static void write_dictionary(const char *path, const fathom_model *model, const struct fathom_texts *texts) {
    static float encoder[FEATURES * WIDTH], biases[FEATURES], zeros[WIDTH], row[WIDTH];
    const struct fathom_probe_options options = {.hook = "resid_post.2", .seed = 1};
    struct fathom__random random;
    fathom_probe *probe = NULL;
    fathom__random_seed(&random, 3);
    for (int i = 0; i < FEATURES * WIDTH; i++)
        encoder[i] = (float)fathom__random_normal(&random) / 8;
    check_ok(fathom_probe_train(&probe, model, texts, &options));
    const double none = fathom_probe_row_score(probe, row);
    for (int j = 0; j < WIDTH; j++) {
        row[j] = 1;
        encoder[PLANTED * WIDTH + j] = (float)(fathom_probe_row_score(probe, row) - none);
        row[j] = 0;
    }
    biases[PLANTED] = (float)none;
    fathom_probe_close(probe);
    const struct fathom_dictionary_parts parts = {.info = {.name = "planted",
                                                           .architecture = "standard",
                                                           .hook_in = "blocks.2.hook_resid_post",
                                                           .hook_out = "blocks.2.hook_resid_post",
                                                           .model_identity = "",
                                                           .model_name = "",
                                                           .d_in = WIDTH,
                                                           .d_out = WIDTH,
                                                           .n_features = FEATURES,
                                                           .input_scale = 1,
                                                           .skip_positions = 1,
                                                           .max_norm = INFINITY},
                                                  .encoder = encoder,
                                                  .encoder_bias = biases,
                                                  .decoder = encoder,
                                                  .decoder_bias = zeros};
    check_ok(fathom_dictionary_write(path, &parts, "f32"));
}

static int setup(void **state) {
    static struct fixture fixture;
    struct fathom_texts others = FATHOM_TEXTS_INIT;
    check_ok(fathom_test_tiny_model(scratch("model.gguf"), "llama", 5));
    check_ok(fathom_model_open(&fixture.model, scratch("model.gguf"), NULL));
    make_texts(&others, TEXTS, 1);
    make_texts(&fixture.texts, TEXTS, 2);
    write_dictionary(scratch("planted.gguf"), fixture.model, &others);
    check_ok(fathom_dictionary_open(&fixture.dictionary, scratch("planted.gguf")));
    fathom_texts_free(&others);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    fathom_texts_free(&fixture->texts);
    fathom_dictionary_close(fixture->dictionary);
    fathom_model_close(fixture->model);
    return 0;
}

static void a_planted_feature_is_found(void **state) {
    struct fixture *fixture = *state;
    struct fathom_sparse_probe_report report, again;
    check_ok(fathom_sparse_probe(&report, fixture->model, fixture->dictionary, &fixture->texts, 1));
    assert_true(report.n_train[0] == 80 && report.n_train[1] == 80 && report.n_test[0] == 20 && report.n_test[1] == 20);
    assert_true(report.k[0] == 1 && report.k[1] == 2 && report.k[2] == 5 && report.n_features == 5);
    assert_int_equal(report.features[0], PLANTED);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            assert_true(report.features[i] != report.features[j] && report.neurons[i] != report.neurons[j]);
    assert_true(report.feature_probes[0].auroc > 0.95 && report.feature_probes[0].accuracy > 0.85);
    assert_true(report.feature_probes[2].auroc > 0.95 && report.whole.auroc > 0.95);
    assert_true(report.neuron_probes[0].auroc < report.feature_probes[0].auroc);
    for (int s = 0; s < FATHOM_SPARSE_PROBE_SIZES; s++)
        assert_true(report.shuffled[s].auroc > 0.15 && report.shuffled[s].auroc < 0.85);
    check_ok(fathom_sparse_probe(&again, fixture->model, fixture->dictionary, &fixture->texts, 1));
    assert_memory_equal(&report, &again, sizeof report);
}

static void unfit_texts_are_refused(void **state) {
    struct fixture *fixture = *state;
    struct fathom_sparse_probe_report report;
    struct fathom_texts few = FATHOM_TEXTS_INIT;
    make_texts(&few, 18, 1);
    check_status(fathom_sparse_probe(&report, fixture->model, fixture->dictionary, &few, 1), FATHOM_ERROR_ARGUMENT,
                 "at least 10 texts of each class; got 9 and 9");
    make_texts(&few, 20, 4);
    check_ok(fathom_texts_append(&few, "neither", strlen("neither"), FATHOM_LABEL_NONE));
    check_status(fathom_sparse_probe(&report, fixture->model, fixture->dictionary, &few, 1), FATHOM_ERROR_ARGUMENT,
                 "1 of 39 texts carry no label");
    fathom_texts_free(&few);
}

static void a_dictionary_of_another_model_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct fathom_sparse_probe_report report;
    fathom_model *other = NULL;
    check_ok(fathom_test_tiny_model(scratch("gemma3.gguf"), "gemma3", 1));
    check_ok(fathom_model_open(&other, scratch("gemma3.gguf"), NULL));
    fathom_dictionary *named = NULL;
    static float matrix[WIDTH], zeros[WIDTH];
    const struct fathom_dictionary_parts parts = {
        .info = {.name = "other",
                 .architecture = "standard",
                 .hook_in = "blocks.2.hook_resid_post",
                 .hook_out = "blocks.2.hook_resid_post",
                 .model_identity = fathom_model_describe(fixture->model)->source_identity,
                 .model_name = "tiny",
                 .d_in = WIDTH,
                 .d_out = WIDTH,
                 .n_features = 1,
                 .input_scale = 1,
                 .max_norm = INFINITY},
        .encoder = matrix,
        .encoder_bias = zeros,
        .decoder = matrix,
        .decoder_bias = zeros};
    check_ok(fathom_dictionary_write(scratch("named.gguf"), &parts, "f32"));
    check_ok(fathom_dictionary_open(&named, scratch("named.gguf")));
    check_status(fathom_sparse_probe(&report, other, named, &fixture->texts, 1), FATHOM_ERROR_MISMATCH, "");
    fathom_dictionary_close(named);
    fathom_model_close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_planted_feature_is_found),
        cmocka_unit_test(unfit_texts_are_refused),
        cmocka_unit_test(a_dictionary_of_another_model_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
