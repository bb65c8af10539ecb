/* Capture: rows, labels and the file, on a tiny random model. */
#include "base/memory.h"
#include "base/safetensors.h"
#include "base/scratch.h"
#include "tests/support/tiny_model.h"
#include <fathom/capture.h>
#include <fathom/session.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"llama", "gemma3"};
static fathom_model *models[2]; /* the second puts bos in front */

static int make_models(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        char *path = strdup(scratch(names[i]));
        int status =
            path == NULL || fathom_test_tiny_model(path, names[i], 4) || fathom_model_open(&models[i], path, NULL);
        free(path);
        if (status) return -1;
    }
    return 0;
}

static int drop_models(void **state) {
    (void)state;
    fathom_model_close(models[0]);
    fathom_model_close(models[1]);
    return 0;
}

#define OK(call) assert_status(call, #call)
static void assert_status(int status, const char *call) {
    if (status) fail_msg("%s: %s (%s)", call, fathom_error_name(status), fathom_error_message());
}

static fathom_capture *open_capture(const fathom_model *model, const char *const *hooks, size_t n, uint32_t context,
                                    uint64_t max_tokens) {
    fathom_capture *capture = NULL;
    struct fathom_capture_options options = {
        .hooks = hooks, .n_hooks = n, .context = context, .n_threads = 1, .max_tokens = max_tokens};
    OK(fathom_capture_open(&capture, model, &options));
    return capture;
}

struct rows {
    float values[64 * 64];
    size_t n;
};

static int keep(const struct fathom_block *block, void *payload) {
    struct rows *rows = payload;
    memcpy(rows->values, block->rows, block->n_rows * block->width * sizeof(float));
    rows->n = block->n_rows;
    return 0;
}

/* The file holds what a session sees, with the tokens it sees it for. */
static void test_file(void **state) {
    (void)state;
    static const char *const hooks[] = {"resid_post.1", "mlp_post.-1", "pattern.0"};
    const char *text = "one two three";
    for (int m = 0; m < 2; m++) {
        const struct fathom_model_info *info = fathom_model_describe(models[m]);
        fathom_capture *capture = open_capture(models[m], hooks, 3, 64, 0);
        OK(fathom_capture_text(capture, text, strlen(text)));
        OK(fathom_capture_text(capture, "x", 1));
        const char *path = scratch("rows.safetensors");
        OK(fathom_capture_write(capture, path));
        fathom_capture_close(capture);

        int32_t *tokens = NULL;
        size_t n = 0;
        OK(fathom_tokenize(&tokens, &n, models[m], text, strlen(text), true, false));
        assert_int_equal(tokens[0] == info->bos, m == 1);
        struct fathom_session_options options = {.n_context = 64, .n_threads = 1, .exact = true};
        fathom_session *session = NULL;
        struct rows rows;
        OK(fathom_session_open(&session, models[m], &options));
        OK(fathom_session_tap(NULL, session, (struct fathom_hook){FATHOM_HOOK_RESID_POST, 1}, keep, &rows));
        OK(fathom_session_feed(session, tokens, n, 0, 0, false));

        fathom__safetensors *file = NULL;
        OK(fathom__safetensors_open(&file, path));
        size_t all = n + 1 + (m == 1);
        const struct fathom__tensor *tensor = fathom__safetensors_find(file, "blocks.1.hook_resid_post");
        assert_non_null(tensor);
        assert_int_equal(tensor->shape[0], all);
        assert_int_equal(tensor->shape[1], info->d_model);
        assert_memory_equal(tensor->data, rows.values, rows.n * info->d_model * sizeof(float));
        tensor = fathom__safetensors_find(file, "blocks.3.mlp.hook_post");
        assert_non_null(tensor);
        assert_int_equal(tensor->shape[1], info->d_mlp);
        tensor = fathom__safetensors_find(file, "blocks.0.attn.hook_pattern");
        assert_non_null(tensor);
        assert_int_equal(tensor->shape[1], info->n_heads * n);
        /* The second document is shorter: its patterns are filled up with zeros. */
        float last = 1.0f;
        memcpy(&last, (const char *)tensor->data + tensor->bytes - sizeof last, sizeof last);
        assert_true(last == 0.0f);

        int32_t label[64];
        tensor = fathom__safetensors_find(file, "tokens");
        assert_true(tensor && tensor->dtype == FATHOM__I32 && tensor->n_dimensions == 1 && tensor->shape[0] == all);
        memcpy(label, tensor->data, tensor->bytes);
        assert_memory_equal(label, tokens, n * sizeof *tokens);
        tensor = fathom__safetensors_find(file, "position");
        assert_non_null(tensor);
        memcpy(label, tensor->data, tensor->bytes);
        assert_int_equal(label[n - 1], n - 1);
        assert_int_equal(label[n], 0);
        tensor = fathom__safetensors_find(file, "document");
        assert_non_null(tensor);
        memcpy(label, tensor->data, tensor->bytes);
        assert_int_equal(label[0], 0);
        assert_int_equal(label[n - 1], 0);
        assert_int_equal(label[all - 1], 1);
        assert_string_equal(fathom__safetensors_metadata(file, "identity"), info->identity);
        fathom__safetensors_close(file);
        fathom_session_close(session);
        fathom_free(tokens);
    }
}

/* A long document is cut; every piece starts at position 0, with bos where the model has one, and the limit holds
 * exactly. */
static void test_cutting(void **state) {
    (void)state;
    static const char *const hooks[] = {"resid_pre.2", "logits"};
    static const char text[] = "a b c d e f g h i j k l m n o p q r s t u v w x y z";
    for (int m = 0; m < 2; m++) {
        for (uint64_t most = 0; most < 12; most++) {
            const struct fathom_model_info *info = fathom_model_describe(models[m]);
            fathom_capture *capture = open_capture(models[m], hooks, 2, 5, most);
            const int32_t *tokens, *positions, *documents;
            OK(fathom_capture_text(capture, text, strlen(text)));
            OK(fathom_capture_text(capture, text, strlen(text)));
            size_t n = fathom_capture_rows(&tokens, &positions, &documents, capture), width = 0, n_documents = 1;
            if (most > 0) assert_int_equal(n, most);
            for (size_t i = 0; i < n; i++) {
                bool begins = i == 0 || positions[i] == 0;
                assert_int_equal(positions[i], begins ? 0 : positions[i - 1] + 1);
                assert_true(positions[i] < 5);
                if (begins && m == 1) assert_int_equal(tokens[i], info->bos);
                if (i > 0 && documents[i] != documents[i - 1]) {
                    assert_true(begins);
                    n_documents++;
                }
            }
            assert_int_equal(n_documents, most == 0 ? 2 : 1);
            assert_non_null(fathom_capture_values(&width, capture, 1));
            assert_int_equal(width, info->n_vocab);
            assert_null(fathom_capture_values(&width, capture, 2));
            fathom_capture_close(capture);
        }
    }
}

/* Rows that longer sequences would make too wide are left as they are. */
static void test_widening_is_limited(void **state) {
    (void)state;
    enum { N_HEADS = 4, SHORT = 2, CONTEXT = 20 };
    static const char *const hooks[] = {"pattern.0"};
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct fathom_capture_options options = {
        .hooks = hooks, .n_hooks = 1, .context = CONTEXT, .n_threads = 1, .max_bytes = 400 * N_HEADS * sizeof(float)};
    fathom_capture *capture = NULL;
    size_t width = 0;
    OK(fathom_capture_open(&capture, models[0], &options));
    OK(fathom_capture_text(capture, "ab", SHORT));
    OK(fathom_capture_text(capture, "cd", SHORT));
    assert_non_null(fathom_capture_values(&width, capture, 0));
    assert_int_equal(width, N_HEADS * SHORT);
    assert_int_equal(fathom_capture_text(capture, text, strlen(text)), FATHOM_ERROR_LIMIT);
    assert_non_null(fathom_capture_values(&width, capture, 0));
    assert_int_equal(width, N_HEADS * SHORT);
    assert_int_equal(fathom_capture_rows(NULL, NULL, NULL, capture), 2 * SHORT);
    fathom_capture_close(capture);
}

static void test_errors(void **state) {
    (void)state;
    static const char *const twice[] = {"resid_post.1", "blocks.1.hook_resid_post"}, *const unknown[] = {"resid_pst.1"};
    struct fathom_capture_options options = {.hooks = twice, .n_hooks = 2, .n_threads = 1};
    fathom_capture *capture = NULL;
    assert_int_equal(fathom_capture_open(&capture, models[0], &options), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "twice"));
    options.hooks = unknown;
    options.n_hooks = 1;
    assert_int_equal(fathom_capture_open(&capture, models[0], &options), FATHOM_ERROR_NOT_FOUND);
    options.n_hooks = 0;
    assert_int_equal(fathom_capture_open(&capture, models[0], &options), FATHOM_ERROR_ARGUMENT);

    options = (struct fathom_capture_options){
        .hooks = twice, .n_hooks = 1, .n_threads = 1, .max_bytes = 64 * sizeof(float) * 4};
    OK(fathom_capture_open(&capture, models[0], &options));
    assert_int_equal(fathom_capture_write(capture, scratch("empty.safetensors")), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom_capture_text(capture, "a b c d e f g h i j k l m n o p", 31), FATHOM_ERROR_LIMIT);
    assert_non_null(strstr(fathom_error_message(), "rows take"));
    assert_int_equal(fathom_capture_text(capture, "\xff", 1), FATHOM_ERROR_FORMAT);
    OK(fathom_capture_text(capture, "", 0));
    OK(fathom_capture_text(capture, "a", 1));
    assert_int_equal(fathom_capture_rows(NULL, NULL, NULL, capture), 1);
    assert_int_equal(fathom_capture_write(capture, "/nonexistent/rows.safetensors"), FATHOM_ERROR_IO);
    fathom_capture_close(capture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_widening_is_limited),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, make_models, drop_models);
}
