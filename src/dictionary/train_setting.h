/* Two dictionaries trained on a tiny model, for the tests of runs. */
#ifndef FATHOM_DICTIONARY_TRAIN_SETTING_H
#define FATHOM_DICTIONARY_TRAIN_SETTING_H

#include <base/scratch.h>
#include <fathom/dictionary.h>
#include <fathom/trainer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <tests/support/random_corpus.h>
#include <tests/support/tiny_model.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { TOKENS = 12000, BATCH = 256, FEATURES = 96, K = 4 };

static inline int make_inputs(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    if (fathom_test_tiny_model(scratch("model.gguf"), "llama", 1)) return -1;
    return random_corpus(scratch("corpus.jsonl"), 400, 60);
}

static inline int stop_at_once(const struct fathom_progress *progress, void *payload) {
    (void)progress;
    ++*(int *)payload;
    return 1;
}

struct setting {
    struct fathom_corpus_source source;
    struct fathom_train_dictionary dictionaries[2];
    struct fathom_train_options options;
};

static inline void fill_setting(struct setting *setting, const char *first, const char *second,
                                const char *checkpoint) {
    *setting = (struct setting){.source = {.path = scratch("corpus.jsonl")}};
    const struct fathom_trainer_options trainer = {
        .n_features = FEATURES, .k = K, .batch = BATCH, .seed = 3, .learning_rate = 1e-3, .dead_after = 2000};
    setting->dictionaries[0] =
        (struct fathom_train_dictionary){.path = first, .hook = "resid_post.1", .dtype = "f32", .options = trainer};
    setting->dictionaries[1] =
        (struct fathom_train_dictionary){.path = second, .hook = "resid_post.2", .dtype = "f32", .options = trainer};
    setting->dictionaries[1].options.architecture = FATHOM_TRAIN_BATCHTOPK;
    setting->options = (struct fathom_train_options){
        .model_path = scratch("model.gguf"),
        .sources = &setting->source,
        .n_sources = 1,
        .tokens = TOKENS,
        .seed = 5,
        .context = 64,
        .n_threads = 2,
        .shuffle_rows = 2048,
        .held_out_rows = 1000,
        .evaluate_every = 10,
        .checkpoint = checkpoint,
    };
}

static inline void check_same_file(const char *a, const char *b) {
    fathom_dictionary *first = NULL, *second = NULL;
    float x[64], y[64], bias_x, bias_y;
    assert_int_equal(fathom_dictionary_open(&first, a), 0);
    assert_int_equal(fathom_dictionary_open(&second, b), 0);
    for (uint32_t f = 0; f < FEATURES; f++) {
        assert_int_equal(fathom_dictionary_direction(x, first, f), 0);
        assert_int_equal(fathom_dictionary_direction(y, second, f), 0);
        assert_memory_equal(x, y, sizeof x);
        assert_int_equal(fathom_dictionary_encoder_row(x, &bias_x, first, f), 0);
        assert_int_equal(fathom_dictionary_encoder_row(y, &bias_y, second, f), 0);
        assert_memory_equal(x, y, sizeof x);
        assert_true(bias_x == bias_y);
        assert_true(fathom_dictionary_threshold(first, f) == fathom_dictionary_threshold(second, f));
    }
    fathom_dictionary_close(first);
    fathom_dictionary_close(second);
}

#endif
