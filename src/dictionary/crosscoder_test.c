/* Evaluation of crosscoders on tiny models: of a model and itself, whose sources must be worth the same, and of two. */
#include <base/error.h>
#include <base/scratch.h>
#include <fathom/crosscoder.h>
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

enum { FEATURES = 64, K = 4, ROWS = 1024 };

static fathom_model *model_a, *model_b;
static struct fathom_corpus_source source;

static int train(const char *path, const char *second) {
    const struct fathom_train_dictionary dictionary = {
        .path = path,
        .hook = "resid_post.1+b:resid_post.1",
        .dtype = "f32",
        .options = {.n_features = FEATURES, .k = K, .batch = 256, .seed = 3, .learning_rate = 1e-3}};
    const struct fathom_train_options options = {.model_path = scratch("a.gguf"),
                                                 .model_b_path = second,
                                                 .sources = &source,
                                                 .n_sources = 1,
                                                 .tokens = 6000,
                                                 .seed = 5,
                                                 .context = 64,
                                                 .n_threads = 2,
                                                 .shuffle_rows = 2048,
                                                 .held_out_rows = 500};
    return fathom_train(NULL, &dictionary, 1, &options);
}

static int open_models(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    if (random_corpus(scratch("corpus.jsonl"), 400, 50) || random_corpus(scratch("short.jsonl"), 1, 50)) return -1;
    source = (struct fathom_corpus_source){.path = strdup(scratch("corpus.jsonl"))};
    if (fathom_test_tiny_model(scratch("a.gguf"), "llama", 1) || fathom_test_tiny_model(scratch("b.gguf"), "llama", 2))
        return -1;
    if (fathom_model_open(&model_a, scratch("a.gguf"), NULL) || fathom_model_open(&model_b, scratch("b.gguf"), NULL))
        return -1;
    return train(scratch("same.gguf"), scratch("a.gguf")) || train(scratch("two.gguf"), scratch("b.gguf"));
}

static int close_models(void **state) {
    (void)state;
    fathom_model_close(model_a);
    fathom_model_close(model_b);
    free((char *)(uintptr_t)source.path);
    return 0;
}

static const struct fathom_evaluate_options *options(void) {
    static struct fathom_evaluate_options chosen;
    chosen = (struct fathom_evaluate_options){.sources = &source,
                                              .n_sources = 1,
                                              .seed = 9,
                                              .tokens = ROWS,
                                              .loss_tokens = 200,
                                              .context = 64,
                                              .n_threads = 2};
    return &chosen;
}

static void evaluate(struct fathom_crosscoder_evaluation **out, const char *path, const fathom_model *second) {
    fathom_dictionary *dictionary = NULL;
    assert_int_equal(fathom_dictionary_open(&dictionary, path), 0);
    if (fathom_crosscoder_evaluate(out, dictionary, model_a, second, options())) fail_msg("%s", fathom_error_message());
    fathom_dictionary_close(dictionary);
    assert_int_equal((*out)->rows, ROWS / 2);
    assert_int_equal((*out)->n_sources, 2);
    assert_true((*out)->l0 > K / 2.0 && (*out)->l0 < 2 * K);
    for (int s = 0; s < 2; s++) {
        const struct fathom_crosscoder_source *found = &(*out)->sources[s];
        const struct fathom_reconstruction_quality *q = found->quality;
        assert_true(q[FATHOM_RECONSTRUCT_TRAINED].fve > q[FATHOM_RECONSTRUCT_UNTRAINED].fve);
        /* not 0: half of the rows are of few sequences, and the other half's mean is another */
        assert_true(q[FATHOM_RECONSTRUCT_MEAN].fve < 0 && q[FATHOM_RECONSTRUCT_MEAN].fve > -0.3);
        assert_true(q[FATHOM_RECONSTRUCT_PCA].fve > q[FATHOM_RECONSTRUCT_MEAN].fve &&
                    q[FATHOM_RECONSTRUCT_PCA].fve < 1);
        assert_true(q[FATHOM_RECONSTRUCT_ZERO].delta_loss != 0 && q[FATHOM_RECONSTRUCT_ZERO].recovered_zero == 0);
        assert_true(found->loss > 0);
    }
}

static void test_same_model(void **state) {
    (void)state;
    struct fathom_crosscoder_evaluation *e = NULL;
    evaluate(&e, scratch("same.gguf"), model_a);
    /* an untrained one, or a few coordinates, are not the same at both */
    static const enum fathom_reconstruction even[] = {FATHOM_RECONSTRUCT_DICTIONARY, FATHOM_RECONSTRUCT_TRAINED,
                                                      FATHOM_RECONSTRUCT_TOKEN_MEAN, FATHOM_RECONSTRUCT_MEAN,
                                                      FATHOM_RECONSTRUCT_ZERO};
    for (size_t i = 0; i < sizeof even / sizeof *even; i++) {
        const struct fathom_reconstruction_quality *a = &e->sources[0].quality[even[i]],
                                                   *b = &e->sources[1].quality[even[i]];
        assert_true(fabs(a->fve - b->fve) < 1e-6);
        assert_true(fabs(a->delta_loss - b->delta_loss) < 1e-6);
    }
    assert_true(e->sources[0].loss == e->sources[1].loss);
    for (int f = 0; f < FEATURES; f++) {
        assert_true(e->shares[2 * f] == 0.5F && e->features[f].share == 0.5F);
        assert_true(fabsf(e->features[f].cosine - 1) < 1e-5F);
        if (e->features[f].rows == 0) continue;
        assert_true(isnan(e->features[f].error_ratio) || fabs(e->features[f].error_ratio - 1) < 1e-4);
    }
    fathom_crosscoder_evaluation_free(e);
}

static void test_two_models(void **state) {
    (void)state;
    struct fathom_crosscoder_evaluation *e = NULL;
    evaluate(&e, scratch("two.gguf"), model_b);
    assert_true(e->sources[0].loss != e->sources[1].loss);
    int differ = 0;
    for (int f = 0; f < FEATURES; f++) {
        assert_true(fabsf(e->shares[2 * f] + e->shares[2 * f + 1] - 1) < 1e-6F);
        differ += e->shares[2 * f] != 0.5F;
    }
    assert_true(differ > FEATURES / 2);
    fathom_crosscoder_evaluation_free(e);
}

static void check_refused(const char *path, const fathom_model *first, const fathom_model *second,
                          const struct fathom_evaluate_options *chosen, int status, const char *part) {
    fathom_dictionary *dictionary = NULL;
    struct fathom_crosscoder_evaluation *e = NULL;
    assert_int_equal(fathom_dictionary_open(&dictionary, path), 0);
    assert_int_equal(fathom_crosscoder_evaluate(&e, dictionary, first, second, chosen), status);
    if (!strstr(fathom_error_message(), part)) fail_msg("%s", fathom_error_message());
    assert_null(e);
    fathom_dictionary_close(dictionary);
}

static void test_refusals(void **state) {
    (void)state;
    struct fathom_evaluate_options few = *options();
    const struct fathom_corpus_source brief = {.path = scratch("short.jsonl")};
    check_refused(scratch("two.gguf"), model_a, NULL, options(), FATHOM_ERROR_ARGUMENT, "none was given");
    check_refused(scratch("two.gguf"), model_b, model_a, options(), FATHOM_ERROR_MISMATCH, "source 0 was trained on");
    check_refused(scratch("two.gguf"), model_a, model_a, options(), FATHOM_ERROR_MISMATCH, "source 1 was trained on");
    few.sources = &brief;
    check_refused(scratch("two.gguf"), model_a, model_b, &few, FATHOM_ERROR_LIMIT, "512 are needed");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_model),
        cmocka_unit_test(test_two_models),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
