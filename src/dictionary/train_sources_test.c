/* Runs whose dictionaries are crosscoders: of layers of one model and of two models, on tiny ones. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/random.h>
#include <fathom/dictionary.h>
#include <fathom/model.h>
#include <fathom/trainer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tests/support/tiny_model.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { TOKENS = 6000, BATCH = 256, FEATURES = 96, K = 4 };
#define LAYERS "resid_post.1+resid_post.2"
#define MODELS "resid_post.1+b:resid_post.1"

static char folder[64];

static const char *in_folder(const char *name) {
    static char paths[32][128];
    static int next;
    char *path = paths[next++ % 32];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int write_corpus(const char *path) {
    struct fathom__random random;
    FILE *file = fopen(path, "w");
    if (!file) return -1;
    fathom__random_seed(&random, 1);
    for (int document = 0; document < 300; document++) {
        fputs("{\"text\": \"", file);
        for (int word = 0; word < 60; word++) {
            const size_t letters = 1 + fathom__random_below(&random, 7);
            for (size_t i = 0; i < letters; i++)
                fputc('a' + (int)fathom__random_below(&random, 26), file);
            fputc(' ', file);
        }
        fputs("\"}\n", file);
    }
    return fclose(file);
}

static int open_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/fathom-sources-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    setenv("XDG_CACHE_HOME", in_folder("cache"), 1);
    if (fathom_test_tiny_model(in_folder("a.gguf"), "llama", 1)) return -1;
    if (fathom_test_tiny_model(in_folder("b.gguf"), "llama", 2)) return -1;
    return write_corpus(in_folder("corpus.jsonl"));
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
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
    *setting = (struct setting){.source = {.path = in_folder("corpus.jsonl")}};
    setting->dictionary =
        (struct fathom_train_dictionary){.path = path, .hook = hook, .dtype = "f32", .options = trainer};
    setting->options = (struct fathom_train_options){.model_path = in_folder("a.gguf"),
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
    fill_setting(&setting, in_folder("layers.gguf"), LAYERS, NULL);
    assert_int_equal(train(&result, &setting), 0);
    assert_true(result.fve > 0.05 && result.fve < 1);
    assert_int_equal(fathom_dictionary_open(&dictionary, setting.dictionary.path), 0);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_int_equal(info->n_sources, 2);
    assert_int_equal(info->d_in, info->sources[0].width + info->sources[1].width);
    assert_string_equal(info->hook_in, "blocks.1.hook_resid_post+blocks.2.hook_resid_post");
    check_identity(&info->sources[0], in_folder("a.gguf"), "blocks.1.hook_resid_post");
    check_identity(&info->sources[1], in_folder("a.gguf"), "blocks.2.hook_resid_post");
    assert_int_equal(fathom_model_open(&model, in_folder("a.gguf"), NULL), 0);
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
    fill_setting(&setting, in_folder("models.gguf"), MODELS, in_folder("b.gguf"));
    assert_int_equal(train(NULL, &setting), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, setting.dictionary.path), 0);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_int_equal(info->n_sources, 2);
    assert_string_equal(info->hook_in, "blocks.1.hook_resid_post+b:blocks.1.hook_resid_post");
    check_identity(&info->sources[0], in_folder("a.gguf"), "blocks.1.hook_resid_post");
    check_identity(&info->sources[1], in_folder("b.gguf"), "b:blocks.1.hook_resid_post");
    fathom_dictionary_close(dictionary);

    fill_setting(&setting, in_folder("resumed.gguf"), MODELS, in_folder("b.gguf"));
    setting.options.checkpoint = in_folder("checkpoint");
    setting.options.progress = stop_when_stepped;
    assert_int_equal(train(NULL, &setting), FATHOM_ERROR_STOPPED);
    setting.options.progress = NULL;
    setting.options.resume = true;
    assert_int_equal(train(NULL, &setting), 0);
    check_same(in_folder("models.gguf"), in_folder("resumed.gguf"));
}

/* A crosscoder of a model and itself: both parts of every feature are the same. */
static void test_same_model(void **state) {
    (void)state;
    struct setting setting;
    fathom_dictionary *dictionary = NULL;
    float row[512];
    fill_setting(&setting, in_folder("same.gguf"), MODELS, in_folder("a.gguf"));
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

static void check_refused(const char *hook, const char *hook_out, const char *model_b, int status, const char *part) {
    struct setting setting;
    fill_setting(&setting, in_folder("refused.gguf"), hook, model_b);
    setting.dictionary.hook_out = hook_out;
    assert_int_equal(train(NULL, &setting), status);
    if (!strstr(fathom_error_message(), part)) fail_msg("%s", fathom_error_message());
    assert_false(fathom__file_exists(in_folder("refused.gguf")));
}

static void test_bad_sources(void **state) {
    (void)state;
    check_refused(MODELS, NULL, NULL, FATHOM_ERROR_ARGUMENT, "there is no second model");
    check_refused("resid_post.1+resid_post.1", NULL, NULL, FATHOM_ERROR_ARGUMENT, "reads resid_post.1 twice");
    check_refused(LAYERS, "mlp_out.1", NULL, FATHOM_ERROR_ARGUMENT, "a crosscoder writes what it reads");
    check_refused("resid_post.1+", NULL, NULL, FATHOM_ERROR_NOT_FOUND, "");
    check_refused(LAYERS, NULL, in_folder("b.gguf"), FATHOM_ERROR_ARGUMENT, "no hook point of the second");
    check_refused("b:resid_post.1+b:resid_post.2", NULL, in_folder("b.gguf"), FATHOM_ERROR_ARGUMENT,
                  "no hook point of the first");
    check_refused(MODELS, NULL, in_folder("none.gguf"), FATHOM_ERROR_IO, "none.gguf");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_same_model),
        cmocka_unit_test(test_bad_sources),
    };
    return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
