/* Files with one thing wrong each: every one gives an error that names file and key, and none reaches the engine. */
#include "base/scratch.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"
#include <fathom/model.h>
#include <llama.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MODEL "model.gguf"

static int set_up(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    return 0;
}

/* Writes the model and checks that opening it fails like this. */
static void check_file(struct fathom_test_tiny *tiny, int status, const char *message) {
    fathom_model *model = NULL;
    const char *path = scratch(MODEL);
    check_ok(fathom_test_tiny_commit(tiny, path));
    fathom_test_tiny_free(tiny);
    const int found = fathom_model_open(&model, path, NULL);
    check_status(found, status, message);
    if (found != FATHOM_OK) check_status(found, status, MODEL ": ");
    fathom_model_close(model);
}

static void missing_keys(void **state) {
    (void)state;
    const char *const llama[] = {"general.architecture",
                                 "llama.context_length",
                                 "llama.embedding_length",
                                 "llama.block_count",
                                 "llama.feed_forward_length",
                                 "llama.attention.head_count",
                                 "llama.attention.layer_norm_rms_epsilon",
                                 "tokenizer.ggml.model",
                                 "tokenizer.ggml.tokens",
                                 "tokenizer.ggml.merges"};
    for (size_t i = 0; i < sizeof llama / sizeof llama[0]; i++) {
        struct fathom_test_tiny tiny = {0};
        check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
        fathom__gguf_remove(tiny.writer, llama[i]);
        check_file(&tiny, FATHOM_ERROR_FORMAT, llama[i]);
    }
}

static void numbers_out_of_range(void **state) {
    (void)state;
    const struct {
        const char *key;
        uint32_t value;
        const char *message;
    } cases[] = {
        {"llama.block_count", 0, "llama.block_count is 0, 1 to 512"},
        {"llama.block_count", 513, "llama.block_count is 513, 1 to 512"},
        {"llama.block_count", 5, "blk.4.attn_norm.weight is missing"},
        {"llama.block_count", 3, "tensors, expected the"},
        {"llama.context_length", 0, "llama.context_length"},
        {"llama.embedding_length", 0, "llama.embedding_length"},
        {"llama.embedding_length", 65, "token_embd.weight has the shape 64"},
        {"llama.feed_forward_length", 0, "llama.feed_forward_length"},
        {"llama.feed_forward_length", 64, "ffn_gate.weight has the shape 64 × 128"},
        {"llama.attention.head_count", 0, "llama.attention.head_count"},
        {"llama.attention.head_count", 8, "attn_q.weight has the shape 64 × 64"},
        {"llama.attention.head_count_kv", 3, "head_count_kv is 3, expected a divisor of the 4 heads"},
        {"llama.attention.head_count_kv", 4, "attn_k.weight has the shape 64 × 32"},
        {"llama.attention.value_length", 8, "value_length is 8, expected the key length 16"},
        {"llama.rope.dimension_count", 8, "rope.dimension_count is 8, expected the head's width 16"},
        {"tokenizer.ggml.bos_token_id", 100000, "tokenizer.ggml.bos_token_id is 100000"},
        {"tokenizer.ggml.eos_token_id", 100000, "tokenizer.ggml.eos_token_id is 100000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fathom_test_tiny tiny = {0};
        check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
        check_ok(fathom__gguf_put_integer(tiny.writer, cases[i].key, cases[i].value));
        check_file(&tiny, FATHOM_ERROR_FORMAT, cases[i].message);
    }
}

static void heads_that_do_not_divide(void **state) {
    (void)state;
    struct fathom_test_tiny tiny = {0};
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    fathom__gguf_remove(tiny.writer, "llama.attention.key_length");
    fathom__gguf_remove(tiny.writer, "llama.attention.value_length");
    check_ok(fathom__gguf_put_integer(tiny.writer, "llama.attention.head_count", 6));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "head_count is 6, expected a divisor of embedding_length 64");
}

static void numbers_that_are_not_finite(void **state) {
    (void)state;
    const struct {
        const char *key;
        float value;
    } cases[] = {
        {"llama.attention.layer_norm_rms_epsilon", NAN},
        {"llama.attention.layer_norm_rms_epsilon", -1},
        {"llama.rope.freq_base", INFINITY},
        {"llama.rope.freq_base", 0},
        {"llama.rope.scaling.factor", NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fathom_test_tiny tiny = {0};
        check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
        check_ok(fathom__gguf_put_number(tiny.writer, cases[i].key, cases[i].value));
        check_file(&tiny, FATHOM_ERROR_FORMAT, cases[i].key);
    }
}

static void wrong_types(void **state) {
    (void)state;
    const char *const keys[] = {"general.architecture",
                                "llama.block_count",
                                "llama.attention.layer_norm_rms_epsilon",
                                "tokenizer.ggml.model",
                                "tokenizer.ggml.tokens",
                                "tokenizer.ggml.merges",
                                "tokenizer.ggml.token_type",
                                "tokenizer.ggml.bos_token_id",
                                "tokenizer.chat_template",
                                "general.name"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct fathom_test_tiny tiny = {0};
        check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
        check_ok(fathom__gguf_put_bool(tiny.writer, keys[i], true));
        check_file(&tiny, FATHOM_ERROR_FORMAT, keys[i]);
    }
    struct fathom_test_tiny tiny = {0};
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_string(tiny.writer, "llama.rope.scaling.type", "spiral"));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "llama.rope.scaling.type is \"spiral\"");
}

static void arrays_for_layers(void **state) {
    (void)state;
    const uint32_t heads[] = {4, 4, 4, 4, 4};
    struct fathom_test_tiny tiny = {0};
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_array(tiny.writer, "llama.attention.head_count", GGUF_TYPE_UINT32, heads, 4));
    check_file(&tiny, FATHOM_OK, "");
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_array(tiny.writer, "llama.attention.head_count", GGUF_TYPE_UINT32, heads, 5));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "head_count has 5 values, expected one for each of the 4 layers");
    check_ok(fathom_test_tiny_fill(&tiny, "gemma3", 1));
    check_ok(
        fathom__gguf_put_array(tiny.writer, "gemma3.attention.sliding_window_pattern", GGUF_TYPE_UINT32, heads, 3));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "sliding_window_pattern has 3 values");
}

static void missing_and_left_over_tensors(void **state) {
    (void)state;
    const char *const names[] = {"token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight",
                                 "blk.3.ffn_down.weight", "blk.2.attn_q_norm.weight"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct fathom_test_tiny tiny = {.without = names[i]};
        check_ok(fathom_test_tiny_fill(&tiny, "gemma3", 1));
        char message[80];
        snprintf(message, sizeof message, "tensor %s is missing", names[i]);
        check_file(&tiny, FATHOM_ERROR_FORMAT, message);
    }
    struct fathom_test_tiny tiny = {0};
    check_ok(fathom_test_tiny_fill(&tiny, "gemma3", 1));
    check_ok(fathom_test_tiny_tensor(NULL, &tiny, "blk.0.extra.weight", (int64_t[]){64}, 1, 0, 1, 1));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "blk.0.extra.weight is none that a gemma3 model has");
    check_ok(fathom_test_tiny_fill(&tiny, "gemma3", 1));
    check_ok(fathom_test_tiny_tensor(NULL, &tiny, "blk.7.attn_norm.weight", (int64_t[]){64}, 1, 0, 1, 1));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "tensors, expected the 54 that 4 layers have");
}

/* A tiny model whose tensor `name` is replaced. */
static void replace_tensor(struct fathom_test_tiny *tiny, const char *name, enum ggml_type type, const int64_t *shape,
                           size_t n_dimensions, const void *data) {
    tiny->without = name;
    check_ok(fathom_test_tiny_fill(tiny, "llama", 1));
    check_ok(fathom__gguf_put_tensor(tiny->writer, name, type, shape, n_dimensions, data));
}

static void wrong_shapes_and_tensor_types(void **state) {
    (void)state;
    static const unsigned char zeros[64 * 128 * sizeof(float)];
    const struct {
        const char *name;
        enum ggml_type type;
        int64_t shape[3];
        size_t n_dimensions;
        const char *message;
    } cases[] = {
        {"blk.0.attn_q.weight",
         GGML_TYPE_F32,
         {64, 32},
         2,
         "blk.0.attn_q.weight has the shape 64 × 32 × 1 × 1, expected 64 × 64"},
        {"blk.0.attn_q.weight", GGML_TYPE_F32, {64, 64, 2}, 3, "has the shape 64 × 64 × 2 × 1"},
        {"blk.1.ffn_down.weight", GGML_TYPE_F32, {64, 128}, 2, "blk.1.ffn_down.weight has the shape"},
        {"blk.0.attn_norm.weight", GGML_TYPE_F32, {32}, 1, "blk.0.attn_norm.weight has the shape 32"},
        {"blk.0.attn_norm.weight", GGML_TYPE_F16, {64}, 1, "blk.0.attn_norm.weight is of type f16, expected f32"},
        {"blk.0.attn_q.weight", GGML_TYPE_I32, {64, 64}, 2, "blk.0.attn_q.weight is of type i32, expected a floating"},
        {"blk.0.attn_q.weight", GGML_TYPE_Q8_1, {64, 64}, 2, "blk.0.attn_q.weight is of type q8_1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fathom_test_tiny tiny = {0};
        replace_tensor(&tiny, cases[i].name, cases[i].type, cases[i].shape, cases[i].n_dimensions, zeros);
        check_file(&tiny, FATHOM_ERROR_FORMAT, cases[i].message);
    }
}

static void quantised_matrices_open(void **state) {
    (void)state;
    static const unsigned char zeros[64 * 64 * sizeof(float)];
    const enum ggml_type types[] = {GGML_TYPE_F16,  GGML_TYPE_BF16, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,
                                    GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_IQ4_NL};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct fathom_test_tiny tiny = {0};
        replace_tensor(&tiny, "blk.0.attn_q.weight", types[i], (int64_t[]){64, 64}, 2, zeros);
        check_file(&tiny, FATHOM_OK, "");
    }
}

static void weights_that_are_not_finite(void **state) {
    (void)state;
    float norm[64], matrix[64 * 64];
    for (size_t i = 0; i < 64; i++)
        norm[i] = 1;
    memset(matrix, 0, sizeof matrix);
    norm[63] = NAN;
    matrix[4000] = -INFINITY;
    struct fathom_test_tiny tiny = {0};
    replace_tensor(&tiny, "blk.2.ffn_norm.weight", GGML_TYPE_F32, (int64_t[]){64}, 1, norm);
    check_file(&tiny, FATHOM_ERROR_NUMERIC, "blk.2.ffn_norm.weight");
    replace_tensor(&tiny, "blk.2.attn_q.weight", GGML_TYPE_F32, (int64_t[]){64, 64}, 2, matrix);
    check_file(&tiny, FATHOM_ERROR_NUMERIC, "blk.2.attn_q.weight");
}

/* The scale of one block is NaN, wherever the type keeps it. */
static void block_scales_that_are_not_finite(void **state) {
    (void)state;
    static unsigned char blocks[64 * 64 * sizeof(float)];
    const struct {
        enum ggml_type type;
        size_t block_bytes, offset;
    } cases[] = {
        {GGML_TYPE_F16, 2, 0},   {GGML_TYPE_Q4_0, 18, 0}, {GGML_TYPE_Q4_1, 20, 2},
        {GGML_TYPE_Q5_0, 22, 0}, {GGML_TYPE_Q8_0, 34, 0}, {GGML_TYPE_IQ4_NL, 18, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fathom_test_tiny tiny = {0};
        memset(blocks, 0, sizeof blocks);
        unsigned char *scale = blocks + 5 * cases[i].block_bytes + cases[i].offset;
        scale[0] = 0x00, scale[1] = 0x7E;
        replace_tensor(&tiny, "blk.1.attn_q.weight", cases[i].type, (int64_t[]){64, 64}, 2, blocks);
        check_file(&tiny, FATHOM_ERROR_NUMERIC, "blk.1.attn_q.weight");
    }
}

static void vocabularies(void **state) {
    (void)state;
    const char *doubles[] = {"a", "b", "a"};
    const int32_t types[] = {1, 1};
    const float scores[] = {0, 0};
    struct fathom_test_tiny tiny = {0};
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_strings(tiny.writer, "tokenizer.ggml.tokens", doubles, 3));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "tokens 0 and 2 are both \"a\"");
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_strings(tiny.writer, "tokenizer.ggml.tokens", doubles, 0));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "expected a vocabulary");
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_array(tiny.writer, "tokenizer.ggml.tokens", GGUF_TYPE_INT32, types, 2));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "tokenizer.ggml.tokens is an array of i32");
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_array(tiny.writer, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types, 2));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "tokenizer.ggml.token_type has 2 values");
    check_ok(fathom_test_tiny_fill(&tiny, "gemma3", 1));
    check_ok(fathom__gguf_put_array(tiny.writer, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores, 2));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "tokenizer.ggml.scores has 2 values");
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_string(tiny.writer, "tokenizer.ggml.model", "none"));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "tokenizer.ggml.model is \"none\"");
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_string(tiny.writer, "tokenizer.ggml.pre", "no such thing"));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "no such thing");
}

/* Two tokens, so that the tokenizer's own default for bos lies outside. */
static void missing_bos(void **state) {
    (void)state;
    const char *two[] = {"a", "b"};
    struct fathom_test_tiny tiny = {.without = "token_embd.weight"};
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    fathom__gguf_remove(tiny.writer, "tokenizer.ggml.bos_token_id");
    fathom__gguf_remove(tiny.writer, "tokenizer.ggml.token_type");
    check_ok(fathom__gguf_put_strings(tiny.writer, "tokenizer.ggml.tokens", two, 2));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "tokenizer.ggml.bos_token_id is missing");
}

static void scores_that_are_not_finite(void **state) {
    (void)state;
    struct fathom_test_tiny tiny = {0};
    static float scores[4096];
    check_ok(fathom_test_tiny_fill(&tiny, "gemma3", 1));
    scores[9] = NAN;
    check_ok(fathom__gguf_put_array(tiny.writer, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores, tiny.n_vocab));
    check_file(&tiny, FATHOM_ERROR_NUMERIC, "score of token 9");
}

static void damaged_files(void **state) {
    (void)state;
    fathom_model *model = NULL;
    const char *good = scratch("good.gguf");
    static unsigned char bytes[1 << 20];
    check_ok(fathom_test_tiny_model(good, "llama", 1));
    FILE *stream = fopen(good, "rb");
    assert_non_null(stream);
    const size_t length = fread(bytes, 1, sizeof bytes, stream);
    fclose(stream);
    const size_t cuts[] = {0, 3, 20, 100, 5000, length / 2, length - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        check_status(fathom_model_open(&model, scratch_file("cut.gguf", bytes, cuts[i]), NULL), FATHOM_ERROR_FORMAT,
                     "cut.gguf: ");
    }
    for (size_t field = 8; field <= 16; field += 8) { /* the counts of tensors and of keys */
        unsigned char saved[8];
        memcpy(saved, bytes + field, 8);
        memset(bytes + field, 0, 8);
        bytes[field + 7] = 0x80;
        check_status(fathom_model_open(&model, scratch_file("count.gguf", bytes, length), NULL), FATHOM_ERROR_FORMAT,
                     "count.gguf: ");
        memcpy(bytes + field, saved, 8);
    }
    check_status(fathom_model_open(&model, scratch_text("text.gguf", "once upon a time"), NULL), FATHOM_ERROR_FORMAT,
                 "text.gguf: ");
    check_status(fathom_model_open(&model, scratch("absent.gguf"), NULL), FATHOM_ERROR_IO, "absent.gguf: ");
    assert_null(model);
}

/* An architecture of the engine that Fathom knows no keys of: it loads when a child process could load it. */
static void other_architectures_are_tried_first(void **state) {
    (void)state;
    struct fathom_test_tiny tiny = {0};
    check_ok(fathom_test_tiny_fill(&tiny, "internlm2", 1));
    check_file(&tiny, FATHOM_OK, "");
    check_ok(fathom_test_tiny_fill(&tiny, "internlm2", 1));
    fathom__gguf_remove(tiny.writer, "internlm2.embedding_length");
    check_file(&tiny, FATHOM_ERROR_FORMAT, "internlm2.embedding_length");
    check_ok(fathom_test_tiny_fill(&tiny, "internlm2", 1));
    check_ok(fathom__gguf_put_integer(tiny.writer, "internlm2.block_count", 0)); /* the engine aborts */
    check_file(&tiny, FATHOM_ERROR_FORMAT, "a trial load failed: ");
    check_ok(fathom_test_tiny_fill(&tiny, "no-such-architecture", 1));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "no-such-architecture");
}

/* Keys that make something else of a known architecture: the engine asserts on this one. */
static void variants_are_tried_first(void **state) {
    (void)state;
    struct fathom_test_tiny tiny = {0};
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    check_ok(fathom__gguf_put_integer(tiny.writer, "llama.expert_count", 8));
    check_file(&tiny, FATHOM_ERROR_FORMAT, "a trial load failed: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_keys),
        cmocka_unit_test(numbers_out_of_range),
        cmocka_unit_test(heads_that_do_not_divide),
        cmocka_unit_test(numbers_that_are_not_finite),
        cmocka_unit_test(wrong_types),
        cmocka_unit_test(arrays_for_layers),
        cmocka_unit_test(missing_and_left_over_tensors),
        cmocka_unit_test(wrong_shapes_and_tensor_types),
        cmocka_unit_test(quantised_matrices_open),
        cmocka_unit_test(weights_that_are_not_finite),
        cmocka_unit_test(block_scales_that_are_not_finite),
        cmocka_unit_test(vocabularies),
        cmocka_unit_test(missing_bos),
        cmocka_unit_test(scores_that_are_not_finite),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(other_architectures_are_tried_first),
        cmocka_unit_test(variants_are_tried_first),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
