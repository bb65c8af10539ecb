/* Runs whose dictionaries are crosscoders, of layers of one model and of two models, or cross-layer transcoders, on tiny
 * models. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/scratch.h>
#include <fathom/dictionary.h>
#include <fathom/layers.h>
#include <fathom/model.h>
#include <fathom/trainer.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tests/support/random_corpus.h>
#include <tests/support/tiny_model.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { TOKENS = 6000, BATCH = 256, FEATURES = 96, K = 4 };
#define LAYERS "resid_post.1+resid_post.2"
#define MODELS "resid_post.1+b:resid_post.1"

static int make_inputs(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    if (fathom_test_tiny_model(scratch("a.gguf"), "llama", 1)) return -1;
    if (fathom_test_tiny_model(scratch("b.gguf"), "llama", 2)) return -1;
    return random_corpus(scratch("corpus.jsonl"), 300, 60);
}

struct setting {
    struct fathom_corpus_source source;
    struct fathom_train_dictionary dictionary;
    struct fathom_train_options options;
};

static void fill_setting(struct setting *setting, const char *path, const char *hook, const char *model_b) {
    const struct fathom_trainer_options trainer = {.architecture = FATHOM_TRAIN_BATCHTOPK,
                                                   .n_features = FEATURES,
                                                   .k = K,
                                                   .batch = BATCH,
                                                   .seed = 3,
                                                   .learning_rate = 1e-3,
                                                   .dead_after = 2000};
    *setting = (struct setting){.source = {.path = scratch("corpus.jsonl")}};
    setting->dictionary =
        (struct fathom_train_dictionary){.path = path, .hook = hook, .dtype = "f32", .options = trainer};
    setting->options = (struct fathom_train_options){.model_path = scratch("a.gguf"),
                                                     .model_b_path = model_b,
                                                     .sources = &setting->source,
                                                     .n_sources = 1,
                                                     .tokens = TOKENS,
                                                     .seed = 5,
                                                     .context = 64,
                                                     .n_threads = 2,
                                                     .shuffle_rows = 2048,
                                                     .held_out_rows = 1000,
                                                     .evaluate_every = 10};
}

static int train(struct fathom_train_result *result, struct setting *setting) {
    return fathom_train(result, &setting->dictionary, 1, &setting->options);
}

static void check_identity(const struct fathom_dictionary_source *source, const char *path, const char *hook) {
    fathom_model *model = NULL;
    assert_int_equal(fathom_model_open(&model, path, NULL), 0);
    assert_string_equal(source->model_identity, fathom_model_describe(model)->source_identity);
    assert_string_equal(source->model_name, fathom_model_describe(model)->name);
    assert_string_equal(source->hook, hook);
    assert_true(source->scale > 0);
    fathom_model_close(model);
}

static void test_layers(void **state) {
    (void)state;
    struct setting setting;
    struct fathom_train_result result;
    fathom_dictionary *dictionary = NULL;
    fathom_model *model = NULL;
    fill_setting(&setting, scratch("layers.gguf"), LAYERS, NULL);
    assert_int_equal(train(&result, &setting), 0);
    assert_true(result.fve > 0.05 && result.fve < 1);
    assert_int_equal(fathom_dictionary_open(&dictionary, setting.dictionary.path), 0);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_int_equal(info->n_sources, 2);
    assert_int_equal(info->d_in, info->sources[0].width + info->sources[1].width);
    assert_string_equal(info->hook_in, "blocks.1.hook_resid_post+blocks.2.hook_resid_post");
    check_identity(&info->sources[0], scratch("a.gguf"), "blocks.1.hook_resid_post");
    check_identity(&info->sources[1], scratch("a.gguf"), "blocks.2.hook_resid_post");
    assert_int_equal(fathom_model_open(&model, scratch("a.gguf"), NULL), 0);
    assert_int_equal(fathom_dictionary_match(NULL, dictionary, model), FATHOM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(fathom_error_message(), "a crosscoder, which reads"));
    fathom_model_close(model);
    fathom_dictionary_close(dictionary);
}

static void check_same(const char *a, const char *b) {
    fathom_dictionary *first = NULL, *second = NULL;
    float *x = NULL, *y = NULL;
    assert_int_equal(fathom_dictionary_open(&first, a), 0);
    assert_int_equal(fathom_dictionary_open(&second, b), 0);
    const size_t d = fathom_dictionary_describe(first)->d_in;
    assert_int_equal(fathom__alloc(&x, d, sizeof *x), 0);
    assert_int_equal(fathom__alloc(&y, d, sizeof *y), 0);
    for (uint32_t f = 0; f < FEATURES; f++) {
        assert_int_equal(fathom_dictionary_direction(x, first, f), 0);
        assert_int_equal(fathom_dictionary_direction(y, second, f), 0);
        assert_memory_equal(x, y, d * sizeof *x);
    }
    fathom_free(x);
    fathom_free(y);
    fathom_dictionary_close(first);
    fathom_dictionary_close(second);
}

static int stop_when_stepped(const struct fathom_progress *progress, void *payload) {
    (void)payload;
    return progress->done > 0;
}

/* The second model's rows are its own, however many threads run it and wherever the run was interrupted. */
static void test_models(void **state) {
    (void)state;
    struct setting setting;
    fathom_dictionary *dictionary = NULL;
    fill_setting(&setting, scratch("models.gguf"), MODELS, scratch("b.gguf"));
    assert_int_equal(train(NULL, &setting), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, setting.dictionary.path), 0);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_int_equal(info->n_sources, 2);
    assert_string_equal(info->hook_in, "blocks.1.hook_resid_post+b:blocks.1.hook_resid_post");
    check_identity(&info->sources[0], scratch("a.gguf"), "blocks.1.hook_resid_post");
    check_identity(&info->sources[1], scratch("b.gguf"), "b:blocks.1.hook_resid_post");
    fathom_dictionary_close(dictionary);

    fill_setting(&setting, scratch("resumed.gguf"), MODELS, scratch("b.gguf"));
    setting.options.checkpoint = scratch("checkpoint");
    setting.options.progress = stop_when_stepped;
    assert_int_equal(train(NULL, &setting), FATHOM_ERROR_STOPPED);
    setting.options.progress = NULL;
    setting.options.resume = true;
    assert_int_equal(train(NULL, &setting), 0);
    check_same(scratch("models.gguf"), scratch("resumed.gguf"));
}

/* A crosscoder of a model and itself: both parts of every feature are the same. */
static void test_same_model(void **state) {
    (void)state;
    struct setting setting;
    fathom_dictionary *dictionary = NULL;
    float row[512];
    fill_setting(&setting, scratch("same.gguf"), MODELS, scratch("a.gguf"));
    assert_int_equal(train(NULL, &setting), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, setting.dictionary.path), 0);
    const uint32_t width = fathom_dictionary_describe(dictionary)->sources[0].width;
    assert_true(2 * width <= sizeof row / sizeof *row);
    for (uint32_t f = 0; f < FEATURES; f++) {
        assert_int_equal(fathom_dictionary_direction(row, dictionary, f), 0);
        assert_memory_equal(row, row + width, width * sizeof *row);
    }
    fathom_dictionary_close(dictionary);
}

#define READ "mlp_in.0+mlp_in.1+mlp_in.2"
#define WRITTEN "mlp_out.0+mlp_out.1+mlp_out.2"

/* Three layers' features and more of them, since outputs are new to the decoder at first. */
static void fill_cross_layer(struct setting *setting, const char *path) {
    fill_setting(setting, path, READ, NULL);
    setting->dictionary.hook_out = WRITTEN;
    setting->dictionary.options.k = 8 * K;
    setting->dictionary.options.learning_rate = 2e-2;
}

static void test_cross_layer(void **state) {
    (void)state;
    struct setting setting;
    struct fathom_train_result result;
    fathom_dictionary *dictionary = NULL;
    fathom_model *model = NULL;
    fill_cross_layer(&setting, scratch("cross.gguf"));
    assert_int_equal(train(&result, &setting), 0);
    assert_true(result.fve > 0.05 && result.fve < 1);
    assert_int_equal(fathom_dictionary_open(&dictionary, setting.dictionary.path), 0);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_int_equal(info->n_layers, 3);
    assert_int_equal(info->n_sources, 0);
    assert_string_equal(info->layers[1].hook_in, "blocks.1.mlp.hook_in");
    assert_string_equal(info->layers[2].hook_out, "blocks.2.hook_mlp_out");
    assert_true(info->layers[0].input_scale > 0 && info->layers[0].output_scale > 0);
    assert_int_equal(fathom_model_open(&model, scratch("a.gguf"), NULL), 0);
    assert_string_equal(info->model_identity, fathom_model_describe(model)->source_identity);
    assert_int_equal(info->d_in, 3 * fathom_model_describe(model)->d_model);
    assert_int_equal(fathom_dictionary_match(NULL, dictionary, model), FATHOM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(fathom_error_message(), "a cross-layer transcoder, which reads 3 layers at once"));
    fathom_model_close(model);
    fathom_dictionary_close(dictionary);

    fill_cross_layer(&setting, scratch("cross-resumed.gguf"));
    setting.options.checkpoint = scratch("cross-checkpoint");
    setting.options.progress = stop_when_stepped;
    assert_int_equal(train(NULL, &setting), FATHOM_ERROR_STOPPED);
    setting.options.progress = NULL;
    setting.options.resume = true;
    assert_int_equal(train(NULL, &setting), 0);
    check_same(scratch("cross.gguf"), scratch("cross-resumed.gguf"));
}

/* By layer: what its features and those of earlier layers explain. */
static void test_cross_layer_evaluation(void **state) {
    (void)state;
    struct setting setting;
    struct fathom_train_result result;
    struct fathom_layers_evaluation *evaluation = NULL;
    fathom_dictionary *dictionary = NULL, *crosscoder = NULL;
    fathom_model *model = NULL, *other = NULL;
    fill_cross_layer(&setting, scratch("evaluated.gguf"));
    assert_int_equal(train(&result, &setting), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, setting.dictionary.path), 0);
    assert_int_equal(fathom_model_open(&model, scratch("a.gguf"), NULL), 0);
    assert_int_equal(fathom_model_open(&other, scratch("b.gguf"), NULL), 0);
    struct fathom_evaluate_options options = {
        .sources = &setting.source, .n_sources = 1, .seed = 5, .tokens = 2000, .context = 64, .n_threads = 2};
    assert_int_equal(fathom_layers_evaluate(&evaluation, dictionary, model, &options), 0);
    const struct fathom_layer_evaluation *layers = evaluation->layers;
    double l0 = 0;
    assert_int_equal(evaluation->n_layers, 3);
    assert_int_equal(evaluation->rows, 1000);
    assert_true(evaluation->rows_left_out > 0);
    /* other rows of the same corpus, read by threshold */
    assert_true(fabs(evaluation->fve[FATHOM_LAYERS_WHOLE] - result.fve) < 0.1);
    assert_true(fabs(evaluation->l0 / result.l0 - 1) < 0.2);
    assert_true(evaluation->fve[FATHOM_LAYERS_OWN] < evaluation->fve[FATHOM_LAYERS_WHOLE]);
    assert_true(layers[0].quality[FATHOM_LAYERS_OWN].fve == layers[0].quality[FATHOM_LAYERS_WHOLE].fve);
    assert_true(layers[0].quality[FATHOM_LAYERS_TOKEN_MEAN].fve > 0.05);
    for (int l = 0; l < 3; l++) {
        assert_true(layers[l].quality[FATHOM_LAYERS_WHOLE].fve < 1);
        assert_true(layers[l].quality[FATHOM_LAYERS_TOKEN_MEAN].fve < layers[l].quality[FATHOM_LAYERS_WHOLE].fve);
        l0 += layers[l].l0;
    }
    assert_true(fabs(l0 / evaluation->l0 - 1) < 1e-6);
    fathom_layers_evaluation_free(evaluation);
    evaluation = NULL;

    assert_int_equal(fathom_layers_evaluate(&evaluation, dictionary, other, &options), FATHOM_ERROR_MISMATCH);
    options.tokens = 100;
    assert_int_equal(fathom_layers_evaluate(&evaluation, dictionary, model, &options), FATHOM_ERROR_LIMIT);
    assert_non_null(strstr(fathom_error_message(), "100 rows; 512 are needed"));
    fill_setting(&setting, scratch("sources.gguf"), LAYERS, NULL);
    assert_int_equal(train(NULL, &setting), 0);
    assert_int_equal(fathom_dictionary_open(&crosscoder, setting.dictionary.path), 0);
    assert_int_equal(fathom_layers_evaluate(&evaluation, crosscoder, model, &options), FATHOM_ERROR_ARGUMENT);
    assert_null(evaluation);
    fathom_dictionary_close(crosscoder);
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    fathom_model_close(other);
}

static void check_refused(const char *hook, const char *hook_out, const char *model_b, int status, const char *part) {
    struct setting setting;
    fill_setting(&setting, scratch("refused.gguf"), hook, model_b);
    setting.dictionary.hook_out = hook_out;
    assert_int_equal(train(NULL, &setting), status);
    if (!strstr(fathom_error_message(), part)) fail_msg("%s", fathom_error_message());
    assert_false(fathom__file_exists(scratch("refused.gguf")));
}

static void test_bad_sources(void **state) {
    (void)state;
    check_refused(MODELS, NULL, NULL, FATHOM_ERROR_ARGUMENT, "there is no second model");
    check_refused("resid_post.1+resid_post.1", NULL, NULL, FATHOM_ERROR_ARGUMENT, "names resid_post.1 twice");
    check_refused(LAYERS, "mlp_out.1", NULL, FATHOM_ERROR_ARGUMENT, "has as many of both");
    check_refused("mlp_in.1+mlp_in.0", "mlp_out.1+mlp_out.0", NULL, FATHOM_ERROR_ARGUMENT, "ascending order");
    check_refused("mlp_in.0+mlp_in.1", "mlp_out.0+mlp_out.0", NULL, FATHOM_ERROR_ARGUMENT, "names mlp_out.0 twice");
    check_refused("mlp_in.1+mlp_in.2", "mlp_out.1+mlp_out.0", NULL, FATHOM_ERROR_ARGUMENT, "ascending order");
    check_refused("mlp_in.0+mlp_in.1", "mlp_out.0+b:mlp_out.1", scratch("b.gguf"), FATHOM_ERROR_ARGUMENT,
                  "is of one model");
    check_refused("mlp_in.0+mlp_in.1", "mlp_out.0+mlp_post.1", NULL, FATHOM_ERROR_ARGUMENT, "have one width");
    check_refused("resid_post.1+", NULL, NULL, FATHOM_ERROR_NOT_FOUND, "");
    check_refused(LAYERS, NULL, scratch("b.gguf"), FATHOM_ERROR_ARGUMENT, "no hook point of the second");
    check_refused("b:resid_post.1+b:resid_post.2", NULL, scratch("b.gguf"), FATHOM_ERROR_ARGUMENT,
                  "no hook point of the first");
    check_refused(MODELS, NULL, scratch("none.gguf"), FATHOM_ERROR_IO, "none.gguf");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_same_model),
        cmocka_unit_test(test_cross_layer),
        cmocka_unit_test(test_cross_layer_evaluation),
        cmocka_unit_test(test_bad_sources),
    };
    return cmocka_run_group_tests(tests, make_inputs, NULL);
}
