/* The default models, where they were fetched. */
#include "tests/support/check.h"
#include <fathom/model.h>

static fathom_model *open_default(const char *name) {
    char *path = NULL;
    fathom_model *model = NULL;
    if (fathom_model_find(&path, name) != FATHOM_OK) skip();
    fathom_free(path);
    check_ok(fathom_model_open(&model, name, NULL));
    return model;
}

static void smollm2_is_what_it_should_be(void **state) {
    (void)state;
    fathom_model *model = open_default("smollm2");
    const struct fathom_model_info *info = fathom_model_describe(model);
    const struct fathom_chat_message question = {"user", "What should I paint my bedroom?"};
    struct fathom_final_norm norm;
    float *unembedding = NULL;
    size_t rows, columns;
    char *text = NULL;
    assert_string_equal(info->architecture, "llama");
    assert_string_equal(info->quantisation, "Q4_1");
    assert_int_equal(info->n_layers, 30);
    assert_int_equal(info->d_model, 576);
    assert_int_equal(info->n_vocab, 49152);
    assert_int_equal(info->n_parameters, 134515008);
    assert_int_equal(info->eot, 2);
    assert_false(info->adds_bos);
    check_ok(fathom_chat_render(&text, model, &question, 1, true, NULL));
    assert_string_equal(
        text, "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
              "<|im_start|>user\nWhat should I paint my bedroom?<|im_end|>\n<|im_start|>assistant\n");
    fathom_free(text);
    check_ok(fathom_model_unembedding(&unembedding, &rows, &columns, model));
    assert_int_equal(rows, 49152);
    assert_int_equal(columns, 576);
    fathom_free(unembedding);
    check_ok(fathom_model_final_norm(&norm, model));
    assert_true(norm.rms && norm.epsilon == 1e-5f);
    fathom_free(norm.gain);
    fathom_model_close(model);
}

static void gemma3_is_what_it_should_be(void **state) {
    (void)state;
    fathom_model *model = open_default("gemma3");
    const struct fathom_model_info *info = fathom_model_describe(model);
    int32_t *tokens = NULL;
    size_t n = 0;
    assert_string_equal(info->architecture, "gemma3");
    assert_int_equal(info->n_layers, 18);
    assert_int_equal(info->d_model, 640);
    assert_int_equal(info->d_head, 256);
    assert_int_equal(info->n_vocab, 262144);
    assert_null(info->chat_template);
    check_ok(fathom_tokenize(&tokens, &n, model, "Steph Curry", strlen("Steph Curry"), true, false));
    assert_int_equal(n, 3);
    assert_int_equal(tokens[0], info->bos);
    fathom_free(tokens);
    fathom_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smollm2_is_what_it_should_be),
        cmocka_unit_test(gemma3_is_what_it_should_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
