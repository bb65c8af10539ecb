/* The kinds of session and model: flash attention, types of cache, adapters at a scale, layers for a GPU. */
#include "base/memory.h"
#include "base/scratch.h"
#include "engine/session_internal.h"
#include "tests/support/relative_error.h"
#include "tests/support/tiny_model.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKENS = 9, MOST_WIDTH = 256 };

static const int32_t text[N_TOKENS] = {5, 17, 40, 41, 23, 9, 100, 31, 77};
/* Heads of 16 and of 32. */
static char llama_path[2 * SCRATCH_PATH], gemma_path[2 * SCRATCH_PATH], adapter_path[2 * SCRATCH_PATH];
static fathom_model *llama, *gemma;

#define OK(call) assert_status(call, FATHOM_OK, NULL, #call)
static void assert_status(int status, int expected, const char *part, const char *call) {
    if (status != expected)
        fail_msg("%s: %s (%s), not %s", call, fathom_error_name(status), fathom_error_message(),
                 fathom_error_name(expected));
    if (part && !strstr(fathom_error_message(), part))
        fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

static int make_models(void **state) {
    (void)state;
    snprintf(llama_path, sizeof llama_path, "%s/llama.gguf", scratch_root());
    snprintf(gemma_path, sizeof gemma_path, "%s/gemma3.gguf", scratch_root());
    snprintf(adapter_path, sizeof adapter_path, "%s/lora.gguf", scratch_root());
    int status = fathom_test_tiny_model(llama_path, "llama", 1);
    if (!status) status = fathom_test_tiny_model(gemma_path, "gemma3", 1);
    if (!status) status = fathom_test_tiny_adapter(adapter_path, "llama", 3);
    if (!status) status = fathom_model_open(&llama, llama_path, NULL);
    if (!status) status = fathom_model_open(&gemma, gemma_path, NULL);
    if (status) print_error("%s\n", fathom_error_message());
    return status;
}

static int drop_models(void **state) {
    (void)state;
    fathom_model_close(llama);
    fathom_model_close(gemma);
    return 0;
}

static fathom_session *open_kind(const fathom_model *model, enum fathom_kv_type type, bool flash, bool exact) {
    fathom_session *session = NULL;
    const struct fathom_session_options options = {
        .n_context = 64, .n_batch = 16, .n_threads = 1, .kv_type = type, .flash_attention = flash, .exact = exact};
    OK(fathom_session_open(&session, model, &options));
    return session;
}

/* The logits after the text, read in two parts: the second's rows read keys and values out of the cache. */
static float *last_logits(const fathom_model *model, enum fathom_kv_type type, bool flash, bool exact) {
    fathom_session *session = open_kind(model, type, flash, exact);
    const size_t n_vocab = fathom_model_describe(model)->n_vocab;
    float *copy = NULL;
    OK(fathom_session_feed(session, text, 5, 0, 0, false));
    OK(fathom_session_feed(session, text + 5, N_TOKENS - 5, 0, 5, false));
    OK(fathom__alloc(&copy, n_vocab, sizeof *copy));
    memcpy(copy, fathom_session_logits(session, N_TOKENS - 5 - 1), n_vocab * sizeof *copy);
    fathom_session_close(session);
    return copy;
}

/* Every type of cache, with flash attention and without, is as near to F32 as its roundings let it be. */
static void caches_agree(void **state) {
    (void)state;
    static const struct {
        enum fathom_kv_type type;
        bool flash;
        double most;
    } kinds[] = {{FATHOM_KV_F16, false, 2e-3},
                 {FATHOM_KV_F16, true, 2e-3},
                 {FATHOM_KV_Q8_0, false, 3e-2},
                 {FATHOM_KV_Q8_0, true, 3e-2}};
    const size_t n = fathom_model_describe(gemma)->n_vocab;
    float *exact = last_logits(gemma, FATHOM_KV_F16, false, true),
          *f32 = last_logits(gemma, FATHOM_KV_F32, true, false);
    assert_memory_equal(exact, f32, n * sizeof *exact);
    float *seen[sizeof kinds / sizeof kinds[0]];
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        seen[i] = last_logits(gemma, kinds[i].type, kinds[i].flash, false);
        const double error = relative_error(seen[i], exact, n);
        if (!(error > 0.0 && error < kinds[i].most)) fail_msg("kind %zu: error %g", i, error);
    }
    /* The option changes what is computed, but a quantised cache is read by flash attention in any case. */
    assert_true(relative_error(seen[0], seen[1], n) > 0.0);
    assert_memory_equal(seen[2], seen[3], n * sizeof *exact);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        fathom_free(seen[i]);
    fathom_free(f32);
    fathom_free(exact);
}

static void narrow_heads_have_no_quantised_cache(void **state) {
    (void)state;
    fathom_session *session = NULL;
    const struct fathom_session_options options = {.kv_type = FATHOM_KV_Q8_0};
    assert_status(fathom_session_open(&session, llama, &options), FATHOM_ERROR_UNSUPPORTED, "multiple of 32", "open");
    assert_null(session);
}

struct rows {
    size_t n, width;
    float values[N_TOKENS * MOST_WIDTH];
};

static int keep(const struct fathom_block *block, void *payload) {
    struct rows *rows = payload;
    rows->n = block->n_rows;
    rows->width = block->width;
    memcpy(rows->values, block->rows, block->n_rows * block->width * sizeof(float));
    return 0;
}

static struct fathom_hook hook_of(const fathom_model *model, const char *name) {
    struct fathom_hook hook;
    OK(fathom_hook_parse(&hook, model, name));
    return hook;
}

/* Without flash attention the pattern is there whatever the cache's type, and it is nearly the exact one. */
static void patterns_need_no_exact_session(void **state) {
    (void)state;
    struct rows exact, seen;
    for (int i = 0; i < 3; i++) {
        fathom_session *session = open_kind(llama, i == 1 ? FATHOM_KV_F32 : FATHOM_KV_F16, false, i == 0);
        OK(fathom_session_tap(NULL, session, hook_of(llama, "pattern.2"), keep, i ? &seen : &exact));
        OK(fathom_session_feed(session, text, N_TOKENS, 0, 0, false));
        if (i) {
            assert_int_equal(seen.width, exact.width);
            assert_true(relative_error(seen.values, exact.values, seen.n * seen.width) < 1e-3);
        }
        fathom_session_close(session);
    }
    assert_int_equal(exact.width, 4 * N_TOKENS);

    const struct fathom_hook hooks[] = {hook_of(gemma, "pattern.2"), hook_of(gemma, "attn_scores.2")};
    for (int i = 0; i < 4; i++) {
        fathom_session *session = open_kind(gemma, i / 2 ? FATHOM_KV_Q8_0 : FATHOM_KV_F16, i / 2 == 0, false);
        assert_status(fathom_session_tap(NULL, session, hooks[i % 2], keep, &seen), FATHOM_ERROR_UNSUPPORTED,
                      "without flash attention", "tap");
        fathom_session_close(session);
    }
}

static void read_queries(struct rows *queries, struct rows *before, float scale) {
    const struct fathom_adapter adapter = {adapter_path, scale};
    const struct fathom_model_options options = {.adapters = &adapter, .n_adapters = scale != 0.0f};
    fathom_model *model = NULL;
    OK(fathom_model_open(&model, llama_path, &options));
    fathom_session *session = open_kind(model, FATHOM_KV_F32, false, true);
    OK(fathom_session_tap(NULL, session, hook_of(model, "q.1"), keep, queries));
    OK(fathom_session_tap(NULL, session, hook_of(model, "resid_pre.1"), keep, before));
    OK(fathom_session_feed(session, text, N_TOKENS, 0, 0, false));
    fathom_session_close(session);
    fathom_model_close(model);
}

/* What an adapter adds to the queries that it adapts is in proportion to its scale; what comes before is as without. */
static void adapters_act_by_their_scale(void **state) {
    (void)state;
    static const float scales[] = {0.5f, -2.0f};
    struct rows without, whole, scaled, before, before_scaled;
    read_queries(&without, &before, 0.0f);
    read_queries(&whole, &before_scaled, 1.0f);
    assert_memory_equal(before.values, before_scaled.values, before.n * before.width * sizeof(float));
    const size_t n = whole.n * whole.width;
    assert_int_equal(whole.n, N_TOKENS);
    assert_true(relative_error(whole.values, without.values, n) > 0.1);
    for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++) {
        read_queries(&scaled, &before_scaled, scales[s]);
        assert_memory_equal(before.values, before_scaled.values, before.n * before.width * sizeof(float));
        for (size_t i = 0; i < n; i++)
            whole.values[i] = without.values[i] + scales[s] * (whole.values[i] - without.values[i]);
        assert_true(relative_error(scaled.values, whole.values, n) < 1e-5);
        for (size_t i = 0; i < n; i++)
            whole.values[i] = without.values[i] + (whole.values[i] - without.values[i]) / scales[s];
    }
}

static void layers_for_a_gpu_need_one(void **state) {
    (void)state;
    fathom_model *model = NULL;
    struct fathom_model_options options = {.gpu_layers = -2};
    assert_status(fathom_model_open(&model, llama_path, &options), FATHOM_ERROR_ARGUMENT, "gpu_layers -2", "open");
    if (llama_supports_gpu_offload()) skip();
    static const int layers[] = {-1, 3};
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        options.gpu_layers = layers[i];
        assert_status(fathom_model_open(&model, llama_path, &options), FATHOM_ERROR_UNSUPPORTED, "finds no GPU",
                      "open");
        assert_null(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caches_agree),
        cmocka_unit_test(narrow_heads_have_no_quantised_cache),
        cmocka_unit_test(patterns_need_no_exact_session),
        cmocka_unit_test(adapters_act_by_their_scale),
        cmocka_unit_test(layers_for_a_gpu_need_one),
    };
    return cmocka_run_group_tests(tests, make_models, drop_models);
}
