/* Names of hook points: both forms, negative layers, shapes, and what is said about wrong ones. */
#include "engine/model_internal.h"
#include <fathom/hook.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Names need only a model's shape. */
static struct fathom_model model_of(enum fathom__architecture architecture) {
    struct fathom_model model = {.info = {.path = "m.gguf", .architecture = "llama"},
                                 .shape = {.architecture = architecture,
                                           .n_layers = 12,
                                           .d_model = 64,
                                           .d_mlp = 256,
                                           .n_heads = 8,
                                           .n_heads_kv = 2,
                                           .d_head_k = 16,
                                           .d_head_v = 24,
                                           .n_vocab = 1000}};
    return model;
}

static void test_names_and_aliases(void **state) {
    (void)state;
    struct fathom_model model = model_of(FATHOM__ARCH_LLAMA);
    static const struct {
        const char *text, *name;
    } cases[] = {
        {"resid_post.11", "blocks.11.hook_resid_post"},
        {"resid_post.-1", "blocks.11.hook_resid_post"},
        {"blocks.-12.hook_resid_pre", "blocks.0.hook_resid_pre"},
        {"hook_embed", "hook_embed"},
        {"embed", "hook_embed"},
        {"q.3", "blocks.3.attn.hook_q"},
        {"blocks.3.attn.hook_rot_k", "blocks.3.attn.hook_rot_k"},
        {"blocks.3.attn_scores", NULL},
        {"attn_scores.3", "blocks.3.attn.hook_attn_scores"},
        {"mlp_in.0", "blocks.0.mlp.hook_in"},
        {"final_norm", "ln_final.hook_out"},
        {"ln_final.hook_out", "ln_final.hook_out"},
        {"logits", "logits"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fathom_hook hook = {FATHOM_HOOK_COUNT, -2};
        int status = fathom_hook_parse(&hook, &model, cases[i].text);
        if (!cases[i].name) {
            assert_int_equal(status, FATHOM_ERROR_NOT_FOUND);
            continue;
        }
        if (status) fail_msg("%s: %s", cases[i].text, fathom_error_message());
        char name[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(name, hook);
        assert_string_equal(name, cases[i].name);
    }
}

/* Every point that exists is found again under its own name. */
static void test_names_are_read_back(void **state) {
    (void)state;
    struct fathom_model model = model_of(FATHOM__ARCH_GEMMA3);
    size_t n = 0;
    for (int kind = 0; kind < FATHOM_HOOK_COUNT; kind++) {
        for (int32_t layer = -1; layer <= 12; layer++) {
            struct fathom_hook hook = {(enum fathom_hook_kind)kind, layer}, again = {FATHOM_HOOK_COUNT, -2};
            if (!fathom_hook_exists(NULL, NULL, &model, hook)) continue;
            char name[FATHOM_HOOK_NAME_SIZE];
            fathom_hook_name(name, hook);
            assert_int_equal(fathom_hook_parse(&again, &model, name), FATHOM_OK);
            assert_int_equal(again.kind, kind);
            assert_int_equal(again.layer, layer);
            n++;
        }
    }
    assert_int_equal(n, 17 * 12 + 3);
}

static void test_shapes(void **state) {
    (void)state;
    struct fathom_model model = model_of(FATHOM__ARCH_QWEN3);
    static const struct {
        const char *name;
        uint32_t heads, width;
    } cases[] = {{"resid_mid.2", 1, 64}, {"q.2", 8, 16},        {"rot_q.2", 8, 16},     {"k.2", 2, 16},
                 {"rot_k.2", 2, 16},     {"v.2", 2, 24},        {"z.2", 8, 24},         {"pattern.2", 8, 0},
                 {"mlp_in.2", 1, 64},    {"mlp_pre.2", 1, 256}, {"mlp_post.2", 1, 256}, {"mlp_out.2", 1, 64},
                 {"logits", 1, 1000},    {"embed", 1, 64},      {"attn_out.2", 1, 64},  {"attn_scores.2", 8, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fathom_hook hook;
        uint32_t heads = 99, width = 99;
        assert_int_equal(fathom_hook_parse(&hook, &model, cases[i].name), FATHOM_OK);
        assert_true(fathom_hook_exists(&heads, &width, &model, hook));
        assert_int_equal(heads, cases[i].heads);
        assert_int_equal(width, cases[i].width);
    }
}

static void assert_refused(const struct fathom_model *model, const char *name, int status, const char *part) {
    struct fathom_hook hook = {FATHOM_HOOK_LOGITS, 77};
    int got = fathom_hook_parse(&hook, model, name);
    if (got != status || !strstr(fathom_error_message(), part))
        fail_msg("\"%s\": %d, \"%s\"", name, got, fathom_error_message());
    assert_int_equal(hook.layer, 77);
}

static void test_wrong_names(void **state) {
    (void)state;
    struct fathom_model model = model_of(FATHOM__ARCH_LLAMA);
    assert_refused(&model, "resid_pst.3", FATHOM_ERROR_NOT_FOUND, "resid_post.N");
    assert_refused(&model, "hook_resid_middle.3", FATHOM_ERROR_NOT_FOUND, "resid_mid.N");
    assert_refused(&model, "", FATHOM_ERROR_NOT_FOUND, "nearest");
    assert_refused(&model, "resid_post", FATHOM_ERROR_ARGUMENT, "needs a layer");
    assert_refused(&model, "resid_post.12", FATHOM_ERROR_ARGUMENT, "0 to 11");
    assert_refused(&model, "resid_post.-13", FATHOM_ERROR_ARGUMENT, "-12");
    assert_refused(&model, "resid_post.99999999999999999999", FATHOM_ERROR_ARGUMENT, "0 to 11");
    assert_refused(&model, "resid_post.3x", FATHOM_ERROR_NOT_FOUND, "resid_post.3");
    assert_refused(&model, "resid_post. 3", FATHOM_ERROR_NOT_FOUND, "nearest");
    assert_refused(&model, "blocks.x.hook_q", FATHOM_ERROR_NOT_FOUND, "blocks.3.hook_resid_post");
    assert_refused(&model, "blocks.3", FATHOM_ERROR_NOT_FOUND, "blocks.3.hook_resid_post");
    assert_refused(&model, "logits.3", FATHOM_ERROR_ARGUMENT, "no layers");
    assert_int_equal(fathom_hook_parse(NULL, &model, "logits"), FATHOM_ERROR_ARGUMENT);
}

/* What an architecture has not is refused by name and reason. */
static void test_absent_points(void **state) {
    (void)state;
    struct fathom_model gpt2 = model_of(FATHOM__ARCH_GPT2), neox = model_of(FATHOM__ARCH_GPTNEOX);
    struct fathom_model other = model_of(FATHOM__ARCH_OTHER);
    neox.shape.parallel_residual = true;
    assert_refused(&gpt2, "rot_q.0", FATHOM_ERROR_UNSUPPORTED, "does not rotate");
    assert_refused(&neox, "resid_mid.0", FATHOM_ERROR_UNSUPPORTED, "same residual stream");
    assert_refused(&other, "mlp_out.0", FATHOM_ERROR_UNSUPPORTED, "only the residual stream");
    assert_refused(&other, "resid_pre.0", FATHOM_ERROR_UNSUPPORTED, "only the residual stream");
    struct fathom_hook hook;
    assert_int_equal(fathom_hook_parse(&hook, &other, "resid_pre.1"), FATHOM_OK);
    neox.shape.parallel_residual = false;
    assert_int_equal(fathom_hook_parse(&hook, &neox, "resid_mid.0"), FATHOM_OK);
    assert_false(fathom_hook_exists(NULL, NULL, &gpt2, (struct fathom_hook){FATHOM_HOOK_LOGITS, 0}));
    assert_false(fathom_hook_exists(NULL, NULL, &gpt2, (struct fathom_hook){FATHOM_HOOK_Q, -1}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_aliases),
        cmocka_unit_test(test_names_are_read_back),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_wrong_names),
        cmocka_unit_test(test_absent_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
