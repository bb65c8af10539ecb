/* Opening and describing models, and their tokens. */
#include "base/scratch.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"
#include <fathom/model.h>
#include <math.h>
#include <stdlib.h>

static const char *llama_path, *gemma_path, *adapter_path;
static char paths[3][2 * SCRATCH_PATH];
static fathom_model *llama, *gemma;

static int open_models(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    llama_path = strcpy(paths[0], scratch("llama.gguf"));
    gemma_path = strcpy(paths[1], scratch("gemma3.gguf"));
    adapter_path = strcpy(paths[2], scratch("lora.gguf"));
    return fathom_test_tiny_model(llama_path, "llama", 1) || fathom_test_tiny_model(gemma_path, "gemma3", 1) ||
           fathom_test_tiny_adapter(adapter_path, "llama", 1) || fathom_model_open(&llama, llama_path, NULL) ||
           fathom_model_open(&gemma, gemma_path, NULL);
}

static int close_models(void **state) {
    (void)state;
    fathom_model_close(llama);
    fathom_model_close(gemma);
    return 0;
}

static void describes_llama(void **state) {
    (void)state;
    const struct fathom_model_info *info = fathom_model_describe(llama);
    assert_string_equal(info->path, llama_path);
    assert_string_equal(info->name, "Tiny Llama");
    assert_string_equal(info->architecture, "llama");
    assert_string_equal(info->quantisation, "F32");
    assert_memory_equal(info->engine, "llama.cpp 0.", strlen("llama.cpp 0."));
    assert_non_null(strstr(info->chat_template, "<|im_start|>"));
    assert_int_equal(strlen(info->identity), FATHOM_IDENTITY_SIZE - 1);
    assert_string_equal(info->identity, info->source_identity);
    assert_int_equal(info->n_layers, 4);
    assert_int_equal(info->d_model, 64);
    assert_int_equal(info->d_mlp, 128);
    assert_int_equal(info->n_heads, 4);
    assert_int_equal(info->n_heads_kv, 2);
    assert_int_equal(info->d_head, 16);
    assert_int_equal(info->context_trained, 512);
    assert_int_equal(info->bos, 1);
    assert_int_equal(info->eos, 2);
    assert_int_equal(info->eot, 2); /* <|im_end|>, known by its text; eos is the same token */
    assert_false(info->adds_bos);
    const uint64_t layer = 2 * 64 + 64 * (64 + 32 + 32) + 64 * 64 + 3 * 64 * 128;
    assert_int_equal(info->n_parameters, 4 * layer + 64 + 2 * (uint64_t)info->n_vocab * 64);
    struct stat file;
    assert_int_equal(stat(llama_path, &file), 0);
    assert_int_equal(info->file_bytes, file.st_size);
}

static void describes_gemma(void **state) {
    (void)state;
    const struct fathom_model_info *info = fathom_model_describe(gemma);
    assert_string_equal(info->architecture, "gemma3");
    assert_int_equal(info->d_head, 32);
    assert_int_equal(info->n_heads_kv, 1);
    assert_int_equal(info->bos, 2);
    assert_int_equal(info->eos, 1);
    assert_true(info->adds_bos);
    assert_string_not_equal(info->identity, fathom_model_describe(llama)->identity);
}

static void name_falls_back_to_the_file(void **state) {
    (void)state;
    struct fathom_test_tiny tiny = {0};
    fathom_model *model = NULL;
    const char *path = scratch("some.model.gguf");
    check_ok(fathom_test_tiny_fill(&tiny, "llama", 1));
    fathom__gguf_remove(tiny.writer, "general.name");
    fathom__gguf_remove(tiny.writer, "tokenizer.chat_template");
    check_ok(fathom_test_tiny_commit(&tiny, path));
    fathom_test_tiny_free(&tiny);
    check_ok(fathom_model_open(&model, path, NULL));
    assert_string_equal(fathom_model_describe(model)->name, "some.model");
    assert_null(fathom_model_describe(model)->chat_template);
    /* Keys are no part of what a model is. */
    assert_string_equal(fathom_model_describe(model)->identity, fathom_model_describe(llama)->identity);
    fathom_model_close(model);
}

static void identity_is_that_of_the_weights(void **state) {
    (void)state;
    fathom_model *model = NULL;
    const char *path = scratch("other.gguf");
    check_ok(fathom_test_tiny_model(path, "llama", 1));
    check_ok(fathom_model_open(&model, path, NULL));
    assert_string_equal(fathom_model_describe(model)->identity, fathom_model_describe(llama)->identity);
    fathom_model_close(model);
    check_ok(fathom_test_tiny_model(path, "llama", 2));
    check_ok(fathom_model_open(&model, path, NULL));
    assert_string_not_equal(fathom_model_describe(model)->identity, fathom_model_describe(llama)->identity);
    fathom_model_close(model);
}

static void adapter_identity(char out[FATHOM_IDENTITY_SIZE], float scale) {
    const struct fathom_adapter adapter = {adapter_path, scale};
    const struct fathom_model_options options = {.adapters = &adapter, .n_adapters = 1};
    fathom_model *model = NULL;
    check_ok(fathom_model_open(&model, llama_path, &options));
    memcpy(out, fathom_model_describe(model)->identity, FATHOM_IDENTITY_SIZE);
    assert_string_equal(out, fathom_model_describe(model)->source_identity);
    fathom_model_close(model);
}

static void adapters_and_scales_enter_the_identity(void **state) {
    (void)state;
    char one[FATHOM_IDENTITY_SIZE], again[FATHOM_IDENTITY_SIZE], half[FATHOM_IDENTITY_SIZE];
    adapter_identity(one, 1);
    adapter_identity(again, 1);
    adapter_identity(half, 0.5f);
    assert_string_equal(one, again);
    assert_string_not_equal(one, half);
    assert_string_not_equal(one, fathom_model_describe(llama)->identity);
}

static void adapter_of_another_model_is_refused(void **state) {
    (void)state;
    struct fathom_adapter adapter = {adapter_path, 1};
    const struct fathom_model_options options = {.adapters = &adapter, .n_adapters = 1};
    fathom_model *model = NULL;
    check_status(fathom_model_open(&model, gemma_path, &options), FATHOM_ERROR_MISMATCH,
                 "lora.gguf: an adapter of a llama model");
    assert_null(model);
    adapter.scale = NAN;
    check_status(fathom_model_open(&model, llama_path, &options), FATHOM_ERROR_ARGUMENT, "scale");
    adapter = (struct fathom_adapter){llama_path, 1};
    check_status(fathom_model_open(&model, llama_path, &options), FATHOM_ERROR_FORMAT, "general.type");
    adapter.path = "nowhere.gguf";
    check_status(fathom_model_open(&model, llama_path, &options), FATHOM_ERROR_IO, "nowhere.gguf");
}

static void adapter_shapes_are_checked(void **state) {
    (void)state;
    const int64_t a[] = {64, 2}, narrow_b[] = {2, 32}, right_b[] = {2, 64};
    const struct {
        const char *a, *b;
        const int64_t *b_shape;
        int status;
        const char *message;
    } cases[] = {
        {"blk.1.attn_q.weight.lora_a", "blk.1.attn_q.weight.lora_b", narrow_b, FATHOM_ERROR_MISMATCH,
         "blk.1.attn_q.weight is 64 × 2 and 2 × 32"},
        {"blk.9.attn_q.weight.lora_a", "blk.9.attn_q.weight.lora_b", right_b, FATHOM_ERROR_MISMATCH,
         "tensor blk.9.attn_q.weight, which"},
        {"blk.1.attn_q.weight.lora_a", "blk.2.attn_q.weight.lora_b", right_b, FATHOM_ERROR_FORMAT,
         "blk.1.attn_q.weight.lora_b is missing"},
        {"blk.1.attn_q.weight.lora_a", "blk.1.attn_norm.weight", right_b, FATHOM_ERROR_FORMAT,
         "blk.1.attn_q.weight.lora_b is missing"},
        {"blk.1.attn_q.weight", "blk.1.attn_q.weight.lora_b", right_b, FATHOM_ERROR_UNSUPPORTED,
         "no part of a LoRA pair"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fathom_test_tiny tiny = {0};
        const char *path = scratch("wrong.gguf");
        const struct fathom_adapter adapter = {path, 1};
        const struct fathom_model_options options = {.adapters = &adapter, .n_adapters = 1};
        fathom_model *model = NULL;
        check_ok(fathom__gguf_writer_open(&tiny.writer));
        check_ok(fathom__gguf_put_string(tiny.writer, "general.type", "adapter"));
        check_ok(fathom__gguf_put_string(tiny.writer, "general.architecture", "llama"));
        check_ok(fathom__gguf_put_string(tiny.writer, "adapter.type", "lora"));
        check_ok(fathom__gguf_put_number(tiny.writer, "adapter.lora.alpha", 2));
        check_ok(fathom_test_tiny_tensor(NULL, &tiny, cases[i].a, a, 2, 0, 1, 1));
        check_ok(fathom_test_tiny_tensor(NULL, &tiny, cases[i].b, cases[i].b_shape, 2, 0, 1, 1));
        check_ok(fathom_test_tiny_commit(&tiny, path));
        fathom_test_tiny_free(&tiny);
        check_status(fathom_model_open(&model, llama_path, &options), cases[i].status, cases[i].message);
    }
}

static int stop(const struct fathom_progress *progress, void *payload) {
    assert_string_equal(progress->stage, "load");
    ++*(int *)payload;
    return 1;
}

static void loading_can_be_stopped(void **state) {
    (void)state;
    int calls = 0;
    const struct fathom_model_options options = {.progress = stop, .payload = &calls};
    fathom_model *model = NULL;
    check_status(fathom_model_open(&model, llama_path, &options), FATHOM_ERROR_STOPPED,
                 "llama.gguf: loading was stopped");
    assert_int_equal(calls, 1);
}

static void opens_without_mapping(void **state) {
    (void)state;
    const struct fathom_model_options options = {.no_mmap = true};
    fathom_model *model = NULL;
    check_ok(fathom_model_open(&model, gemma_path, &options));
    assert_string_equal(fathom_model_describe(model)->identity, fathom_model_describe(gemma)->identity);
    fathom_model_close(model);
}

static void default_model_names_are_known(void **state) {
    (void)state;
    fathom_model *model = NULL;
    check_status(fathom_model_open(&model, "smollm2", NULL), FATHOM_ERROR_NOT_FOUND, "fathom fetch smollm2");
    check_status(fathom_model_open(&model, "gemma", NULL), FATHOM_ERROR_NOT_FOUND, "fathom fetch gemma3");
}

/* The tokens of a text, checked to give the text back. */
static size_t tokens_of(const fathom_model *model, const char *text, bool add_special, bool parse_special,
                        int32_t *first) {
    int32_t *tokens = NULL;
    size_t n = 0;
    char *back = NULL;
    check_ok(fathom_tokenize(&tokens, &n, model, text, strlen(text), add_special, parse_special));
    assert_non_null(tokens);
    if (n > 0) *first = tokens[0];
    const size_t skip = add_special && fathom_model_describe(model)->adds_bos ? 1 : 0;
    check_ok(fathom_detokenize(&back, model, tokens + skip, n - skip));
    assert_string_equal(back, text);
    fathom_free(back);
    fathom_free(tokens);
    return n;
}

static void tokenises_by_words_and_bytes(void **state) {
    (void)state;
    int32_t first = -1;
    assert_int_equal(tokens_of(llama, " the golden gate", true, false, &first), 3);
    assert_int_equal(tokens_of(llama, "na\xC3\xAFve", true, false, &first), 6);
    assert_int_equal(tokens_of(gemma, " the golden gate", false, false, &first), 3);
    assert_int_equal(tokens_of(gemma, " the golden gate", true, false, &first), 4);
    assert_int_equal(first, 2);
    assert_int_equal(tokens_of(gemma, "\xF0\x9F\x8F\x80\n", false, false, &first), 5);
}

static void empty_text_has_no_tokens(void **state) {
    (void)state;
    int32_t first = -1;
    assert_int_equal(tokens_of(llama, "", true, true, &first), 0);
}

static void special_tokens_are_read_only_when_asked(void **state) {
    (void)state;
    int32_t first = -1;
    assert_int_equal(tokens_of(llama, "<|im_end|>", false, true, &first), 1);
    assert_int_equal(first, 2);
    assert_int_equal(tokens_of(llama, "<|im_end|>", false, false, &first), strlen("<|im_end|>"));
}

static void invalid_text_is_refused(void **state) {
    (void)state;
    int32_t *tokens = NULL;
    size_t n = 7;
    check_status(fathom_tokenize(&tokens, &n, llama, "ab\xFF", 3, false, false), FATHOM_ERROR_FORMAT,
                 "byte 2 (0xff) is not UTF-8");
    assert_null(tokens);
    assert_int_equal(n, 7);
}

static void tells_what_tokens_are(void **state) {
    (void)state;
    const char *bytes = NULL;
    size_t length = 0;
    const int32_t last = (int32_t)fathom_model_describe(llama)->n_vocab;
    check_ok(fathom_token_bytes(&bytes, &length, llama, 2));
    assert_int_equal(length, strlen("<|im_end|>"));
    assert_memory_equal(bytes, "<|im_end|>", length);
    check_ok(fathom_token_bytes(&bytes, &length, gemma, 6 + 0xF0));
    assert_int_equal(length, 1);
    assert_int_equal((unsigned char)bytes[0], 0xF0);
    check_status(fathom_token_bytes(&bytes, &length, llama, last), FATHOM_ERROR_ARGUMENT, "expected 0 to");
    check_status(fathom_token_bytes(&bytes, &length, llama, -1), FATHOM_ERROR_ARGUMENT, "token -1");
    assert_true(fathom_token_is_special(llama, 1));
    assert_false(fathom_token_is_special(llama, 3));
    assert_false(fathom_token_is_special(llama, last));
    assert_true(fathom_token_is_end(llama, 2));
    assert_false(fathom_token_is_end(llama, 1));
    assert_false(fathom_token_is_end(llama, -1));
    assert_true(fathom_token_is_end(gemma, 5)); /* <end_of_turn> */
}

static void parts_of_characters_become_replacements(void **state) {
    (void)state;
    const int32_t half[] = {6 + 0xC3, 6 + 'a'};
    char *text = NULL;
    check_ok(fathom_detokenize(&text, gemma, half, 2));
    assert_string_equal(text, "\xEF\xBF\xBD"
                              "a");
    fathom_free(text);
    check_status(fathom_detokenize(&text, gemma, &(int32_t){-5}, 1), FATHOM_ERROR_ARGUMENT, "token -5");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_llama),
        cmocka_unit_test(describes_gemma),
        cmocka_unit_test(name_falls_back_to_the_file),
        cmocka_unit_test(identity_is_that_of_the_weights),
        cmocka_unit_test(adapters_and_scales_enter_the_identity),
        cmocka_unit_test(adapter_of_another_model_is_refused),
        cmocka_unit_test(adapter_shapes_are_checked),
        cmocka_unit_test(loading_can_be_stopped),
        cmocka_unit_test(opens_without_mapping),
        cmocka_unit_test(default_model_names_are_known),
        cmocka_unit_test(tokenises_by_words_and_bytes),
        cmocka_unit_test(empty_text_has_no_tokens),
        cmocka_unit_test(special_tokens_are_read_only_when_asked),
        cmocka_unit_test(invalid_text_is_refused),
        cmocka_unit_test(tells_what_tokens_are),
        cmocka_unit_test(parts_of_characters_become_replacements),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
