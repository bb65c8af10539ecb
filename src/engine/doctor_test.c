/* The doctor on tiny models: healthy ones pass, and what is made wrong is found. */
#include "base/memory.h"
#include "base/scratch.h"
#include "engine/doctor_parts.h"
#include "tests/support/tiny_model.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[2 * SCRATCH_PATH];

static fathom_model *open_tiny(const char *architecture) {
    fathom_model *model = NULL;
    snprintf(path, sizeof path, "%s/%s.gguf", scratch_root(), architecture);
    assert_int_equal(fathom_test_tiny_model(path, architecture, 9), FATHOM_OK);
    if (fathom_model_open(&model, path, NULL)) fail_msg("%s", fathom_error_message());
    unlink(path);
    return model;
}

static const struct fathom_doctor_check *find(const struct fathom_doctor_report *report, const char *name) {
    for (size_t i = 0; i < report->n_checks; i++)
        if (strcmp(report->checks[i].name, name) == 0) return &report->checks[i];
    fail_msg("no check \"%s\"", name);
    return NULL;
}

static void test_healthy_models(void **state) {
    (void)state;
    static const char *const architectures[] = {"llama", "gemma3"};
    for (int i = 0; i < 2; i++) {
        fathom_model *model = open_tiny(architectures[i]);
        struct fathom_doctor_options options = {.n_threads = 1};
        struct fathom_doctor_report *report = NULL;
        assert_int_equal(fathom_doctor_run(&report, model, &options), FATHOM_OK);
        for (size_t c = 0; c < report->n_checks; c++)
            if (!report->checks[c].passed)
                print_error("%s: %s: %g, %s\n", architectures[i], report->checks[c].name, report->checks[c].measured,
                            report->checks[c].detail);
        assert_int_equal(report->n_failed, 0);
        assert_int_equal(report->n_checks, 18);
        assert_int_equal(report->n_hooks, 17 * 4 + 3);
        assert_string_equal(report->hooks[0].name, "hook_embed");
        assert_int_equal(report->hooks[0].width_per_head, 64);
        /* Nothing is compared with itself: sums of f32 numbers in another order differ a little. */
        const struct fathom_doctor_check *check = find(report, "mlp_in is the norm of its residual stream");
        assert_true(check->measured > 0.0 && check->measured < check->expected);
        fathom_doctor_free(report);
        fathom_model_close(model);
    }
}

/* An adapter of every projection of layer 1 of the tiny llama. */
static void write_adapter(const char *file) {
    enum { RANK = 2, D_MODEL = 64, D_MLP = 128, D_KV = 32 };
    static const struct {
        const char *name;
        int64_t in, out;
    } projections[] = {{"attn_q", D_MODEL, D_MODEL},      {"attn_k", D_MODEL, D_KV},    {"attn_v", D_MODEL, D_KV},
                       {"attn_output", D_MODEL, D_MODEL}, {"ffn_gate", D_MODEL, D_MLP}, {"ffn_up", D_MODEL, D_MLP},
                       {"ffn_down", D_MLP, D_MODEL}};
    struct fathom_test_tiny tiny = {0};
    assert_int_equal(fathom__gguf_writer_open(&tiny.writer), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_string(tiny.writer, "general.type", "adapter"), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_string(tiny.writer, "general.architecture", "llama"), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_string(tiny.writer, "adapter.type", "lora"), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_number(tiny.writer, "adapter.lora.alpha", RANK), FATHOM_OK);
    for (size_t i = 0; i < sizeof projections / sizeof projections[0]; i++) {
        char name[64];
        int64_t a[] = {projections[i].in, RANK}, b[] = {RANK, projections[i].out};
        snprintf(name, sizeof name, "blk.1.%s.weight.lora_a", projections[i].name);
        assert_int_equal(fathom_test_tiny_tensor(NULL, &tiny, name, a, 2, 0.0f, 0.2f, 2 * i + 1), FATHOM_OK);
        snprintf(name, sizeof name, "blk.1.%s.weight.lora_b", projections[i].name);
        assert_int_equal(fathom_test_tiny_tensor(NULL, &tiny, name, b, 2, 0.0f, 0.2f, 2 * i + 2), FATHOM_OK);
    }
    assert_int_equal(fathom_test_tiny_commit(&tiny, file), FATHOM_OK);
    fathom_test_tiny_free(&tiny);
}

/* What adapters add is part of what taps read: without it the sums would not come out. */
static void test_adapters(void **state) {
    (void)state;
    char adapter_path[SCRATCH_PATH];
    snprintf(adapter_path, sizeof adapter_path, "%s", scratch("adapter.gguf"));
    write_adapter(adapter_path);
    fathom_model *model = NULL;
    struct fathom_adapter adapter = {.path = adapter_path, .scale = 1.5f};
    struct fathom_model_options with = {.adapters = &adapter, .n_adapters = 1};
    const char *file = scratch("llama.gguf");
    assert_int_equal(fathom_test_tiny_model(file, "llama", 9), FATHOM_OK);
    if (fathom_model_open(&model, file, &with)) fail_msg("%s", fathom_error_message());
    struct fathom_doctor_options options = {.n_threads = 1};
    struct fathom_doctor_report *report = NULL;
    assert_int_equal(fathom_doctor_run(&report, model, &options), FATHOM_OK);
    for (size_t c = 0; c < report->n_checks; c++)
        if (!report->checks[c].passed)
            fail_msg("%s: %g, %s", report->checks[c].name, report->checks[c].measured, report->checks[c].detail);
    fathom_doctor_free(report);
    fathom_model_close(model);
}

/* Where only the residual stream is known, that much is proved. */
static void test_unknown_architecture(void **state) {
    (void)state;
    fathom_model *model = open_tiny("llama");
    struct fathom_doctor_options options = {.n_threads = 1};
    struct fathom_doctor_report *report = NULL;
    model->shape.architecture = FATHOM__ARCH_OTHER;
    assert_int_equal(fathom_doctor_run(&report, model, &options), FATHOM_OK);
    assert_int_equal(report->n_failed, 0);
    assert_int_equal(report->n_hooks, 4 + 3);
    for (size_t i = 0; i < report->n_hooks; i++)
        assert_true(report->hooks[i].hook.kind == FATHOM_HOOK_RESID_POST || report->hooks[i].hook.layer > 0);
    assert_true(find(report, "rows belong to the texts they claim")->passed);
    assert_true(find(report, "an edit changes every row that follows")->passed);
    fathom_doctor_free(report);
    fathom_model_close(model);
}

/* What would be seen if a tap carried something else than the model computes with. */
static void test_wrong_values_are_found(void **state) {
    (void)state;
    fathom_model *model = open_tiny("llama");
    struct fathom_doctor_options options = {.n_threads = 1};
    struct fathom_doctor_report *report = NULL;
    model->shape.norm_epsilon = 0.5f;
    assert_int_equal(fathom_doctor_run(&report, model, &options), FATHOM_OK);
    assert_false(find(report, "resid_post is what the next layer reads")->passed);
    assert_false(find(report, "mlp_in is the norm of its residual stream")->passed);
    assert_false(find(report, "final_norm is the norm of the last resid_post")->passed);
    assert_true(find(report, "resid_mid is resid_pre + attn_out")->passed);
    assert_int_equal(report->n_failed, 3);
    fathom_doctor_free(report);

    model->shape.norm_epsilon = 1e-5f;
    model->shape.logit_softcap = 0.5f;
    assert_int_equal(fathom_doctor_run(&report, model, &options), FATHOM_OK);
    assert_false(find(report, "logits are W_U times final_norm")->passed);
    fathom_doctor_free(report);
    fathom_model_close(model);
}

/* What is not a number is worse than anything, whichever comes first. */
static void test_measures_that_are_no_numbers(void **state) {
    (void)state;
    assert_true(isnan(fathom__doctor_larger(NAN, 1.0)) && isnan(fathom__doctor_larger(1.0, NAN)));
    assert_true(isnan(fathom__doctor_smaller(NAN, 1.0)) && isnan(fathom__doctor_smaller(1.0, NAN)));
    assert_true(fathom__doctor_larger(1.0, 2.0) == 2.0 && fathom__doctor_larger(2.0, 1.0) == 2.0);
    assert_true(fathom__doctor_smaller(1.0, 2.0) == 1.0 && fathom__doctor_smaller(2.0, INFINITY) == 2.0);
    assert_true(fathom__doctor_ratio(0.0, 0.0) == 0.0 && fathom__doctor_ratio(4.0, 16.0) == 0.5);
    struct fathom_doctor_report report = {0};
    struct fathom__doctor doctor = {.report = &report};
    assert_int_equal(fathom__doctor_check(&doctor, "most", NAN, false, 1.0, "none"), FATHOM_OK);
    assert_int_equal(fathom__doctor_check(&doctor, "least", NAN, true, 1.0, "none"), FATHOM_OK);
    assert_int_equal(report.n_failed, 2);
    for (size_t i = 0; i < report.n_checks; i++)
        fathom_free(report.checks[i].detail);
    fathom_free(report.checks);
}

static int stop(const struct fathom_progress *progress, void *payload) {
    (void)progress;
    return ++*(int *)payload == 3;
}

static void test_stopping(void **state) {
    (void)state;
    fathom_model *model = open_tiny("llama");
    int calls = 0;
    struct fathom_doctor_options options = {.n_threads = 1, .progress = stop, .payload = &calls};
    struct fathom_doctor_report *report = NULL;
    assert_int_equal(fathom_doctor_run(&report, model, &options), FATHOM_ERROR_STOPPED);
    assert_null(report);
    assert_int_equal(calls, 3);
    assert_int_equal(fathom_doctor_run(NULL, model, NULL), FATHOM_ERROR_ARGUMENT);
    fathom_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_healthy_models),
        cmocka_unit_test(test_adapters),
        cmocka_unit_test(test_unknown_architecture),
        cmocka_unit_test(test_wrong_values_are_found),
        cmocka_unit_test(test_measures_that_are_no_numbers),
        cmocka_unit_test(test_stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
