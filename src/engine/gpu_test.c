/* Models on a GPU: what is tapped, edited, generated and harvested there is what it is on the processor. Where the engine
 * has no GPU, a device stands in for one whose memory nobody but itself can touch. */
#include "base/memory.h"
#include "base/scratch.h"
#include "engine/model_internal.h"
#include "tests/support/check.h"
#include "tests/support/far_device.h"
#include "tests/support/relative_error.h"
#include "tests/support/tiny_model.h"
#include <fathom/doctor.h>
#include <fathom/harvest.h>
#include <fathom/session.h>
#include <math.h>
#include <stdio.h>

enum { ALL = -1, HALF = 2, N_LAYERS = 4, WIDTH = 64, N_TOKENS = 9, N_NEW = 16, MOST_ROWS = 4096 };

/* Relative error of rows. The stand-in adds up the same numbers, in rows that may be cut up differently; GPUs have
 * kernels of their own, which round what they multiply to f16. */
#define SAME 1e-5
#define SAME_ON_GPU 5e-3

static ggml_log_callback log_before, log_after;
static bool real; /* a GPU, not the stand-in */

static const int32_t text[N_TOKENS] = {5, 17, 40, 41, 23, 9, 100, 31, 77};
static const char *const architectures[] = {"llama", "gemma3"};
static char paths[2][2 * SCRATCH_PATH];

static int make_models(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "%s", scratch(architectures[i]));
        if (fathom_test_tiny_model(paths[i], architectures[i], 9)) return -1;
    }
    return 0;
}

/* The first look at the devices makes backends speak: it must find their messages caught already. */
static void looking_for_a_gpu_catches_messages(void **state) {
    (void)state;
    assert_true(log_after != log_before);
    assert_true(fathom_gpu_present());
}

static fathom_model *open_with(const char *path, int gpu_layers) {
    const struct fathom_model_options options = {.gpu_layers = gpu_layers};
    fathom_model *model = NULL;
    check_ok(fathom_model_open(&model, path, &options));
    return model;
}

static void the_doctor_is_content(void **state) {
    (void)state;
    static const int layers[] = {ALL, HALF};
    for (int i = 0; i < 4; i++) {
        fathom_model *model = open_with(paths[i / 2], layers[i % 2]);
        const struct fathom_doctor_options options = {.n_threads = 1};
        struct fathom_doctor_report *report = NULL;
        const uint64_t before = fathom_test_far_device_computed();
        check_ok(fathom_doctor_run(&report, model, &options));
        for (size_t c = 0; c < report->n_checks; c++)
            if (!report->checks[c].passed)
                print_error("%s, %d layers: %s: %g, %s\n", architectures[i / 2], layers[i % 2], report->checks[c].name,
                            report->checks[c].measured, report->checks[c].detail);
        assert_int_equal(report->n_failed, 0);
        assert_int_equal(report->n_checks, 18);
        assert_int_equal(report->n_hooks, 17 * N_LAYERS + 3);
        assert_true(real || fathom_test_far_device_computed() > before);
        fathom_doctor_free(report);
        fathom_model_close(model);
    }
}

/* Rows after the third layer, and tokens after them. */
struct run {
    float rows[N_TOKENS * WIDTH];
    size_t n_rows;
    int32_t tokens[N_NEW];
    size_t n_new;
};

static int keep_rows(const struct fathom_block *block, void *payload) {
    struct run *run = payload;
    if (run->n_rows > 0) return 0;
    assert_int_equal(block->n_rows, N_TOKENS);
    memcpy(run->rows, block->rows, sizeof run->rows);
    run->n_rows = block->n_rows;
    return 0;
}

static int keep_token(const struct fathom_generated *token, void *payload) {
    struct run *run = payload;
    run->tokens[run->n_new++] = token->token;
    return 0;
}

static int add_to_rows(const struct fathom_block *block, float *rows, bool *changed, void *payload) {
    const float *size = payload;
    for (size_t i = 0; i < block->n_rows * block->width; i++)
        rows[i] += *size * (float)((int)(i % 7) - 3);
    *changed = true;
    return 0;
}

static struct run run_model(const char *path, int gpu_layers, bool exact, float size) {
    static const struct fathom_hook edited = {FATHOM_HOOK_RESID_PRE, 0}, tapped = {FATHOM_HOOK_RESID_POST, 2};
    const struct fathom_session_options options = {
        .n_context = 64, .n_batch = 16, .n_threads = 1, .flash_attention = true, .exact = exact};
    const struct fathom_sampling sampling = {.temperature = 0.0f};
    struct run run = {.n_rows = 0};
    fathom_model *model = open_with(path, gpu_layers);
    fathom_session *session = NULL;
    check_ok(fathom_session_open(&session, model, &options));
    if (size != 0.0f) check_ok(fathom_session_edit(NULL, session, edited, add_to_rows, &size));
    check_ok(fathom_session_tap(NULL, session, tapped, keep_rows, &run));
    check_ok(fathom_generate(NULL, session, text, N_TOKENS, N_NEW, &sampling, keep_token, &run));
    fathom_session_close(session);
    fathom_model_close(model);
    return run;
}

static void rows_and_tokens_are_the_processors(void **state) {
    (void)state;
    static const float sizes[] = {0.0f, 0.5f};
    static const int layers[] = {ALL, HALF};
    for (int i = 0; i < 8; i++) {
        const char *path = paths[i / 4];
        const int gpu_layers = layers[i / 2 % 2];
        /* Flash attention adds up in f16, and the engine does without it where layers lie apart. */
        const bool exact = gpu_layers == HALF;
        const struct run plain = run_model(path, 0, exact, 0.0f);
        const struct run expected = run_model(path, 0, exact, sizes[i % 2]);
        const struct run found = run_model(path, gpu_layers, exact, sizes[i % 2]);
        assert_int_equal(found.n_rows, N_TOKENS);
        const double error = relative_error(found.rows, expected.rows, N_TOKENS * WIDTH);
        if (!(error < (real ? SAME_ON_GPU : SAME))) fail_msg("%s, %d layers: %g", path, gpu_layers, error);
        /* Where two tokens are nearly as likely, rounding decides. */
        if (!real) {
            assert_int_equal(found.n_new, expected.n_new);
            assert_memory_equal(found.tokens, expected.tokens, expected.n_new * sizeof expected.tokens[0]);
        }
        if (i % 2 == 1) assert_true(relative_error(found.rows, plain.rows, N_TOKENS * WIDTH) > 0.01);
    }
}

/* The device asks for products, as GPUs do, and would get those of large batches from the engine. */
static void no_layers_leave_the_device_alone(void **state) {
    (void)state;
    const uint64_t before = fathom_test_far_device_computed();
    run_model(paths[0], 0, false, 0.0f);
    assert_int_equal(fathom_test_far_device_computed(), before);
    run_model(paths[0], ALL, false, 0.0f);
    assert_true(real || fathom_test_far_device_computed() > before);
}

struct gathered {
    float rows[MOST_ROWS * WIDTH];
    size_t n_rows;
};

static int gather(const struct fathom_harvest_block *block, void *payload) {
    struct gathered *gathered = payload;
    assert_int_equal(block->widths[0], WIDTH);
    assert_true(gathered->n_rows + block->n_rows <= MOST_ROWS);
    memcpy(gathered->rows + gathered->n_rows * WIDTH, block->rows[0], block->n_rows * WIDTH * sizeof(float));
    gathered->n_rows += block->n_rows;
    return 0;
}

static struct gathered *harvest(const char *path, bool original, bool no_gpu) {
    static const char *const hooks[] = {"resid_post.1"};
    const struct fathom_harvest_options options = {
        .hooks = hooks, .n_hooks = 1, .context = 32, .n_threads = 1, .original = original, .no_gpu = no_gpu};
    const struct fathom_corpus_source source = {.path = scratch("corpus.jsonl")};
    struct gathered *gathered = NULL;
    fathom_corpus *corpus = NULL;
    check_ok(fathom__alloc(&gathered, 1, sizeof *gathered));
    check_ok(fathom_corpus_open(&corpus, &source, 1, 1));
    check_ok(fathom_harvest(NULL, path, corpus, &options, gather, gathered));
    fathom_corpus_close(corpus);
    return gathered;
}

static void a_harvest_runs_there_by_itself(void **state) {
    (void)state;
    FILE *file = fopen(scratch("corpus.jsonl"), "w");
    assert_non_null(file);
    for (int i = 0; i < 20; i++) {
        fputs("{\"text\": \"", file);
        for (int j = 0; j < 3 + i * 37 % 95; j++)
            fputc("etaoin shrdlu"[(i + j * j) % 13], file);
        fputs("\"}\n", file);
    }
    fclose(file);
    for (int i = 0; i < 4; i++) {
        const bool original = i % 2 == 1;
        const uint64_t before = fathom_test_far_device_computed();
        struct gathered *expected = harvest(paths[i / 2], original, true);
        assert_int_equal(fathom_test_far_device_computed(), before);
        struct gathered *found = harvest(paths[i / 2], original, false);
        assert_true(real || fathom_test_far_device_computed() > before);
        assert_true(expected->n_rows > 500);
        assert_int_equal(found->n_rows, expected->n_rows);
        /* Products of bf16 may be rounded elsewhere where the processor has instructions for them. */
        assert_true(relative_error(found->rows, expected->rows, expected->n_rows * WIDTH) <
                    (original && !real ? 1e-4 : 0.02));
        fathom_free(expected);
        fathom_free(found);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looking_for_a_gpu_catches_messages), cmocka_unit_test(the_doctor_is_content),
        cmocka_unit_test(rows_and_tokens_are_the_processors), cmocka_unit_test(no_layers_leave_the_device_alone),
        cmocka_unit_test(a_harvest_runs_there_by_itself),
    };
    void *payload = NULL;
    llama_log_get(&log_before, &payload);
    real = fathom_gpu_present();
    llama_log_get(&log_after, &payload);
    if (!real && !fathom_test_far_device()) {
        print_message("the engine has neither a GPU nor the headers for a device of one's own\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, make_models, NULL);
}
