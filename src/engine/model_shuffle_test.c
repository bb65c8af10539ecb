/* Copies with shuffled weights: the same values in another order, a model of its own, by seed. */
#include "base/scratch.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"
#include <fathom/model.h>
#include <fathom/session.h>
#include <fathom/shuffle.h>
#include <math.h>
#include <stdlib.h>

static char llama_path[2 * SCRATCH_PATH], gemma_path[2 * SCRATCH_PATH];

static int set_up(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    strcpy(llama_path, scratch("llama.gguf"));
    strcpy(gemma_path, scratch("gemma3.gguf"));
    return fathom_test_tiny_model(llama_path, "llama", 1) || fathom_test_tiny_model(gemma_path, "gemma3", 1);
}

static int by_value(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Opened weights of a tensor. */
static float *weights(size_t *n, const char *path, const char *name) {
    fathom_model *model = NULL;
    float *values = NULL;
    size_t rows, columns;
    check_ok(fathom_model_open(&model, path, NULL));
    check_ok(fathom_model_weight(&values, &rows, &columns, model, name));
    fathom_model_close(model);
    *n = rows * columns;
    return values;
}

static void values_stay_and_their_places_do_not(void **state) {
    (void)state;
    static const char *const names[] = {"blk.1.ffn_up.weight", "token_embd.weight", "blk.2.attn_norm.weight"};
    const char *copy = scratch("values.gguf");
    check_ok(fathom_model_shuffle(copy, llama_path, 1, NULL, NULL));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n, n_copy, moved = 0;
        float *before = weights(&n, llama_path, names[i]), *after = weights(&n_copy, copy, names[i]);
        assert_int_equal(n, n_copy);
        for (size_t j = 0; j < n; j++)
            moved += before[j] != after[j];
        assert_true(moved > n / 2);
        qsort(before, n, sizeof *before, by_value);
        qsort(after, n, sizeof *after, by_value);
        assert_memory_equal(before, after, n * sizeof *before);
        fathom_free(before);
        fathom_free(after);
    }
}

static void the_seed_decides(void **state) {
    (void)state;
    static const char *const copies[] = {"a.gguf", "b.gguf", "c.gguf"};
    static const uint64_t seeds[] = {1, 1, 2};
    char identities[3][FATHOM_IDENTITY_SIZE];
    fathom_model *model = NULL;
    for (size_t i = 0; i < 3; i++) {
        check_ok(fathom_model_shuffle(scratch(copies[i]), llama_path, seeds[i], NULL, NULL));
        check_ok(fathom_model_open(&model, scratch(copies[i]), NULL));
        strcpy(identities[i], fathom_model_describe(model)->identity);
        fathom_model_close(model);
    }
    assert_string_equal(identities[0], identities[1]);
    assert_string_not_equal(identities[0], identities[2]);
}

/* A dictionary of the source must not be taken for one of the copy, nor the other way round. */
static void a_copy_is_a_model_of_its_own(void **state) {
    (void)state;
    const char *const paths[] = {llama_path, gemma_path};
    for (size_t i = 0; i < 2; i++) {
        const char *copy = scratch("own.gguf");
        fathom_model *source = NULL, *model = NULL;
        fathom_session *session = NULL;
        static const int32_t tokens[] = {5, 9, 11};
        double log_probabilities[2];
        char *derived = NULL;
        check_ok(fathom_model_derive(&derived, paths[i], 0, NULL, NULL));
        check_ok(fathom_model_shuffle(copy, derived, 1, NULL, NULL));
        check_ok(fathom_model_open(&source, derived, NULL));
        check_ok(fathom_model_open(&model, copy, NULL));
        const struct fathom_model_info *info = fathom_model_describe(model);
        assert_string_equal(info->identity, info->source_identity);
        assert_string_not_equal(info->source_identity, fathom_model_describe(source)->source_identity);
        assert_non_null(strstr(info->name, "weights shuffled"));
        check_ok(fathom_session_open(&session, model, NULL));
        check_ok(fathom_log_probabilities(log_probabilities, session, tokens, 3));
        assert_true(isfinite(log_probabilities[0]) && isfinite(log_probabilities[1]));
        fathom_session_close(session);
        fathom_model_close(model);
        fathom_model_close(source);
        fathom_free(derived);
    }
}

static void layers_are_shuffled_alone(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool moves;
    } tensors[] = {{"blk.1.ffn_up.weight", true},
                   {"blk.2.attn_norm.weight", true},
                   {"blk.0.ffn_up.weight", false},
                   {"blk.3.ffn_up.weight", false},
                   {"token_embd.weight", false}};
    const char *copy = scratch("layers.gguf");
    fathom_model *model = NULL;
    check_ok(fathom_model_shuffle_layers(copy, llama_path, 1, 2, 1, NULL, NULL));
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        size_t n, n_copy;
        float *before = weights(&n, llama_path, tensors[i].name), *after = weights(&n_copy, copy, tensors[i].name);
        assert_int_equal(n, n_copy);
        assert_int_equal(memcmp(before, after, n * sizeof *before) != 0, tensors[i].moves);
        qsort(before, n, sizeof *before, by_value);
        qsort(after, n, sizeof *after, by_value);
        assert_memory_equal(before, after, n * sizeof *before);
        fathom_free(before);
        fathom_free(after);
    }
    check_ok(fathom_model_open(&model, copy, NULL));
    assert_non_null(strstr(fathom_model_describe(model)->name, "weights of layers 1 to 2 shuffled"));
    fathom_model_close(model);
    check_status(fathom_model_shuffle_layers(copy, llama_path, 1, 4, 1, NULL, NULL), FATHOM_ERROR_ARGUMENT,
                 "the model has 4 layers");
    check_status(fathom_model_shuffle_layers(copy, llama_path, 2, 1, 1, NULL, NULL), FATHOM_ERROR_ARGUMENT,
                 "layers 2 to 1");
}

static int stop(const struct fathom_progress *progress, void *payload) {
    (void)payload;
    assert_string_equal(progress->stage, "shuffle");
    return 1;
}

static void nothing_is_left_of_what_fails(void **state) {
    (void)state;
    const char *copy = scratch("stopped.gguf");
    fathom_model *model = NULL;
    check_status(fathom_model_shuffle(copy, llama_path, 1, stop, NULL), FATHOM_ERROR_STOPPED, "");
    check_status(fathom_model_open(&model, copy, NULL), FATHOM_ERROR_IO, "stopped.gguf");
    check_status(fathom_model_shuffle(copy, scratch("missing.gguf"), 1, NULL, NULL), FATHOM_ERROR_IO, "missing.gguf");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stay_and_their_places_do_not), cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(a_copy_is_a_model_of_its_own),        cmocka_unit_test(layers_are_shuffled_alone),
        cmocka_unit_test(nothing_is_left_of_what_fails),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
