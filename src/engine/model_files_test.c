/* Split models, weights and derived copies. */
#include "base/file.h"
#include "base/scratch.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"
#include <fathom/model.h>
#include <fathom/session.h>
#include <math.h>
#include <stdlib.h>

#define EMBEDDING_ROWS 341

static char whole_path[2 * SCRATCH_PATH], gemma_path[2 * SCRATCH_PATH];

static int set_up(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    strcpy(whole_path, scratch("whole.gguf"));
    strcpy(gemma_path, scratch("gemma3.gguf"));
    return fathom_test_tiny_model(whole_path, "llama", 1) || fathom_test_tiny_model(gemma_path, "gemma3", 1);
}

/* What a split file says about itself. */
struct part {
    const char *name;
    uint16_t number, count;
    int32_t n_tensors;
    size_t first, last; /* of the whole file's tensors */
};

static void write_part(const struct part *part) {
    fathom__gguf *whole = NULL;
    fathom__gguf_writer *writer = NULL;
    check_ok(fathom__gguf_open(&whole, whole_path));
    check_ok(fathom__gguf_writer_open(&writer));
    if (part->number == 0) check_ok(fathom__gguf_put_all(writer, whole));
    /* The engine wants these two as u16, which has no function of its own. */
    static const char *const keys[] = {"split.no", "split.count"};
    const uint16_t values[] = {part->number, part->count};
    for (size_t i = 0; i < 2; i++)
        check_ok(fathom__gguf_put_scalar(writer, keys[i], GGUF_TYPE_UINT16, &values[i]));
    check_ok(fathom__gguf_put_scalar(writer, "split.tensors.count", GGUF_TYPE_INT32, &part->n_tensors));
    for (size_t i = part->first; i < part->last; i++) {
        const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_at(whole, i);
        check_ok(fathom__gguf_put_tensor(writer, tensor->name, tensor->type, tensor->shape,
                                         tensor->shape[1] == 1 ? 1 : 2, tensor->data));
    }
    check_ok(fathom__gguf_writer_commit(writer, scratch(part->name)));
    fathom__gguf_writer_close(writer);
    fathom__gguf_close(whole);
}

static size_t whole_count(void) {
    fathom__gguf *whole = NULL;
    check_ok(fathom__gguf_open(&whole, whole_path));
    const size_t n = fathom__gguf_tensor_count(whole);
    fathom__gguf_close(whole);
    return n;
}

static void split_model_is_the_same_model(void **state) {
    (void)state;
    const size_t n = whole_count();
    const struct part first = {"split-00001-of-00002.gguf", 0, 2, (int32_t)n, 0, 5};
    const struct part second = {"split-00002-of-00002.gguf", 1, 2, (int32_t)n, 5, n};
    fathom_model *split = NULL, *whole = NULL;
    float *weight = NULL, *expected = NULL;
    size_t rows, columns;
    write_part(&first);
    write_part(&second);
    check_ok(fathom_model_open(&split, scratch(first.name), NULL));
    check_ok(fathom_model_open(&whole, whole_path, NULL));
    assert_string_equal(fathom_model_describe(split)->identity, fathom_model_describe(whole)->identity);
    assert_int_equal(fathom_model_describe(split)->n_parameters, fathom_model_describe(whole)->n_parameters);
    check_ok(fathom_model_weight(&weight, &rows, &columns, split, "blk.3.ffn_down.weight"));
    check_ok(fathom_model_weight(&expected, &rows, &columns, whole, "blk.3.ffn_down.weight"));
    assert_memory_equal(weight, expected, rows * columns * sizeof *weight);
    fathom_free(weight);
    fathom_free(expected);
    fathom_model_close(split);
    fathom_model_close(whole);
}

static void spoilt_parts_are_refused(void **state) {
    (void)state;
    const size_t n = whole_count();
    const struct part good_first = {"bad-00001-of-00002.gguf", 0, 2, (int32_t)n, 0, 5};
    const struct part good_second = {"bad-00002-of-00002.gguf", 1, 2, (int32_t)n, 5, n};
    struct part part;
    fathom_model *model = NULL;
    write_part(&good_first);
    check_status(fathom_model_open(&model, scratch(good_first.name), NULL), FATHOM_ERROR_IO, "bad-00002-of-00002.gguf");
    write_part(&good_second);
    check_status(fathom_model_open(&model, scratch(good_second.name), NULL), FATHOM_ERROR_FORMAT,
                 "this is part 2 of 2");
    part = good_second;
    part.number = 0;
    write_part(&part);
    check_status(fathom_model_open(&model, scratch(good_first.name), NULL), FATHOM_ERROR_FORMAT, "expected part 2");
    part = good_second;
    part.last--;
    write_part(&part);
    check_status(fathom_model_open(&model, scratch(good_first.name), NULL), FATHOM_ERROR_FORMAT, "split.tensors.count");
    part = good_first;
    part.name = "misnamed.gguf";
    write_part(&part);
    check_status(fathom_model_open(&model, scratch(part.name), NULL), FATHOM_ERROR_FORMAT,
                 "ends in -00001-of-00002.gguf");
    assert_null(model);
}

static void weights_are_those_of_the_file(void **state) {
    (void)state;
    struct fathom_test_tiny tiny = {0};
    float *written = NULL, *weight = NULL;
    size_t rows, columns;
    fathom_model *model = NULL;
    const char *path = scratch("weights.gguf");
    tiny.without = "output.weight";
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom_test_tiny_tensor(&written, &tiny, "output.weight", (int64_t[]){64, tiny.n_vocab}, 2, 0, 1, 5));
    check_ok(fathom_test_tiny_commit(&tiny, path));
    check_ok(fathom_model_open(&model, path, NULL));
    check_ok(fathom_model_unembedding(&weight, &rows, &columns, model));
    assert_int_equal(rows, EMBEDDING_ROWS);
    assert_int_equal(columns, 64);
    assert_memory_equal(weight, written, rows * columns * sizeof *weight);
    fathom_free(weight);
    check_ok(fathom_model_weight(&weight, &rows, &columns, model, "blk.0.attn_norm.weight"));
    assert_int_equal(rows, 1);
    assert_int_equal(columns, 64);
    fathom_free(weight);
    weight = NULL;
    check_status(fathom_model_weight(&weight, &rows, &columns, model, "nothing.weight"), FATHOM_ERROR_NOT_FOUND,
                 "no tensor is called nothing.weight");
    assert_null(weight);
    fathom_model_close(model);
    fathom_test_tiny_free(&tiny);
}

static void tied_models_unembed_by_their_embedding(void **state) {
    (void)state;
    fathom_model *model = NULL;
    float *embedding = NULL, *unembedding = NULL;
    size_t rows, columns;
    check_ok(fathom_model_open(&model, gemma_path, NULL));
    check_ok(fathom_model_weight(&embedding, &rows, &columns, model, "token_embd.weight"));
    check_ok(fathom_model_unembedding(&unembedding, &rows, &columns, model));
    assert_memory_equal(embedding, unembedding, rows * columns * sizeof *embedding);
    fathom_free(embedding);
    fathom_free(unembedding);
    fathom_model_close(model);
}

static void final_norm_is_described(void **state) {
    (void)state;
    fathom_model *model = NULL;
    struct fathom_final_norm norm;
    float *gain = NULL;
    size_t rows, columns;
    check_ok(fathom_model_open(&model, gemma_path, NULL));
    check_ok(fathom_model_final_norm(&norm, model));
    check_ok(fathom_model_weight(&gain, &rows, &columns, model, "output_norm.weight"));
    assert_true(norm.rms);
    assert_null(norm.bias);
    assert_true(norm.epsilon == 1e-6f);
    assert_true(norm.softcap == 0);
    assert_memory_equal(norm.gain, gain, columns * sizeof *gain);
    fathom_free(norm.gain);
    fathom_free(gain);
    fathom_model_close(model);
}

/* Log probability of a fixed text, for comparing models. */
static double log_probability(const char *path) {
    static const char text[] = " the golden gate bridge and the sea";
    fathom_model *model = NULL;
    fathom_session *session = NULL;
    const struct fathom_session_options options = {.n_threads = 1, .n_context = 64};
    int32_t *tokens = NULL;
    size_t n = 0;
    double each[64], sum = 0;
    check_ok(fathom_model_open(&model, path, NULL));
    check_ok(fathom_session_open(&session, model, &options));
    check_ok(fathom_tokenize(&tokens, &n, model, text, strlen(text), true, false));
    assert_in_range(n, 3, 64);
    check_ok(fathom_log_probabilities(each, session, tokens, n));
    for (size_t i = 0; i + 1 < n; i++)
        sum += each[i];
    fathom_free(tokens);
    fathom_session_close(session);
    fathom_model_close(model);
    return sum;
}

static void bf16_copy_computes_nearly_the_same(void **state) {
    (void)state;
    const char *const paths[] = {whole_path, gemma_path};
    for (size_t i = 0; i < 2; i++) {
        char *copy = NULL;
        fathom_model *model = NULL, *source = NULL;
        check_ok(fathom_model_derive(&copy, paths[i], 0, NULL, NULL));
        check_ok(fathom_model_open(&model, copy, NULL));
        check_ok(fathom_model_open(&source, paths[i], NULL));
        assert_string_equal(fathom_model_describe(model)->quantisation, "BF16");
        assert_string_equal(fathom_model_describe(model)->source_identity, fathom_model_describe(source)->identity);
        assert_string_not_equal(fathom_model_describe(model)->identity, fathom_model_describe(source)->identity);
        fathom_model_close(model);
        fathom_model_close(source);
        const double exact = log_probability(paths[i]), near = log_probability(copy);
        assert_true(exact != near);
        assert_true(fabs(exact - near) < 0.01 * fabs(exact));
        fathom_free(copy);
    }
}

static void copies_keep_the_first_layers(void **state) {
    (void)state;
    const char *const paths[] = {whole_path, gemma_path};
    for (size_t i = 0; i < 2; i++) {
        char *copy = NULL;
        fathom_model *model = NULL;
        float *weight = NULL;
        size_t rows, columns;
        check_ok(fathom_model_derive(&copy, paths[i], 3, NULL, NULL));
        check_ok(fathom_model_open(&model, copy, NULL));
        assert_int_equal(fathom_model_describe(model)->n_layers, 3);
        check_ok(fathom_model_weight(&weight, &rows, &columns, model, "blk.2.attn_q.weight"));
        fathom_free(weight);
        check_status(fathom_model_weight(&weight, &rows, &columns, model, "blk.3.attn_q.weight"),
                     FATHOM_ERROR_NOT_FOUND, "blk.3");
        assert_true(isfinite(log_probability(copy)));
        fathom_model_close(model);
        fathom_free(copy);
    }
}

static void copies_are_found_again(void **state) {
    (void)state;
    char *first = NULL, *second = NULL;
    struct stat before, after;
    check_ok(fathom_model_derive(&first, whole_path, 2, NULL, NULL));
    assert_int_equal(stat(first, &before), 0);
    check_ok(fathom_model_derive(&second, whole_path, 2, NULL, NULL));
    assert_string_equal(first, second);
    assert_int_equal(stat(second, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    /* A copy of a copy changes nothing, and names the first source. */
    fathom_free(second);
    check_ok(fathom_model_derive(&second, first, 0, NULL, NULL));
    assert_string_equal(first, second);
    fathom_free(first);
    fathom_free(second);
}

/* The same tensors under other keys are another file: its copy has its keys. */
static void copies_follow_the_keys(void **state) {
    (void)state;
    static const char *const names[] = {"first", "second"};
    char *copies[2] = {NULL, NULL}, identities[2][FATHOM_IDENTITY_SIZE];
    for (size_t i = 0; i < 2; i++) {
        struct fathom_test_tiny tiny = {0};
        fathom_model *model = NULL;
        const char *path = scratch("keys.gguf");
        check_ok(fathom_test_tiny_fill(&tiny, "llama", 5));
        check_ok(fathom__gguf_put_string(tiny.writer, "general.name", names[i]));
        check_ok(fathom_test_tiny_commit(&tiny, path));
        fathom_test_tiny_free(&tiny);
        check_ok(fathom_model_derive(&copies[i], path, 2, NULL, NULL));
        check_ok(fathom_model_open(&model, copies[i], NULL));
        assert_string_equal(fathom_model_describe(model)->name, names[i]);
        strcpy(identities[i], fathom_model_describe(model)->source_identity);
        fathom_model_close(model);
    }
    assert_string_not_equal(copies[0], copies[1]);
    assert_string_equal(identities[0], identities[1]);
    fathom_free(copies[0]);
    fathom_free(copies[1]);
}

static int stop(const struct fathom_progress *progress, void *payload) {
    (void)payload;
    assert_string_equal(progress->stage, "derive");
    assert_true(progress->done <= progress->total);
    return 1;
}

static int count(const struct fathom_progress *progress, void *payload) {
    assert_true(progress->done > 0);
    ++*(int *)payload;
    return 0;
}

static void wrong_requests_leave_nothing(void **state) {
    (void)state;
    char *copy = NULL;
    check_status(fathom_model_derive(&copy, whole_path, 9, NULL, NULL), FATHOM_ERROR_ARGUMENT,
                 "whole.gguf: 9 layers to keep, expected at most 4");
    check_status(fathom_model_derive(&copy, "absent.gguf", 0, NULL, NULL), FATHOM_ERROR_IO, "absent.gguf");
    check_status(fathom_model_derive(&copy, "smollm2", 0, NULL, NULL), FATHOM_ERROR_NOT_FOUND, "fathom fetch smollm2");
    const char *other = scratch("other.gguf");
    check_ok(fathom_test_tiny_model(other, "internlm2", 3));
    check_status(fathom_model_derive(&copy, other, 2, NULL, NULL), FATHOM_ERROR_UNSUPPORTED, "internlm2");
    assert_null(copy);
}

static void a_stopped_copy_leaves_nothing(void **state) {
    (void)state;
    char *copy = NULL;
    const char *path = scratch("stopped.gguf");
    check_ok(fathom_test_tiny_model(path, "llama", 77));
    check_status(fathom_model_derive(&copy, path, 1, stop, NULL), FATHOM_ERROR_STOPPED,
                 "stopped.gguf: making a copy was stopped");
    assert_null(copy);
    /* Nothing of it is found: the next call makes it. */
    int calls = 0;
    check_ok(fathom_model_derive(&copy, path, 1, count, &calls));
    assert_true(calls > 0);
    fathom_free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_model_is_the_same_model), cmocka_unit_test(spoilt_parts_are_refused),
        cmocka_unit_test(weights_are_those_of_the_file), cmocka_unit_test(tied_models_unembed_by_their_embedding),
        cmocka_unit_test(final_norm_is_described),       cmocka_unit_test(bf16_copy_computes_nearly_the_same),
        cmocka_unit_test(copies_keep_the_first_layers),  cmocka_unit_test(copies_are_found_again),
        cmocka_unit_test(copies_follow_the_keys),        cmocka_unit_test(wrong_requests_leave_nothing),
        cmocka_unit_test(a_stopped_copy_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
