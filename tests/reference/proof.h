/* Shared by the tests that compare Fathom with tests/reference: a tiny model opened beside its numbers, and rows
 * collected over a run. */
#ifndef FATHOM_TESTS_REFERENCE_PROOF_H
#define FATHOM_TESTS_REFERENCE_PROOF_H

#include "base/safetensors.h"
#include "tests/support/relative_error.h"
#include <fathom/session.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOLERANCE 1e-3 /* |a - b| / |b| over all rows of a point */

static const char *const reference_models[] = {
    "llama", "qwen2", "qwen3", "gemma2", "gemma3", "gpt2", "gptneox", "gptneox-sequential", "phi3"};
enum { N_MODELS = sizeof(reference_models) / sizeof(reference_models[0]), MAX_TOKENS = 64 };

struct proof {
    const char *name;
    fathom_model *model;
    fathom_session *session;
    fathom__safetensors *numbers;
    uint32_t n_layers;
    size_t n_tokens;
    int32_t tokens[MAX_TOKENS];
};

/* The rows of one point, collected over the decodes of a run. */
struct rows {
    struct fathom_hook hook;
    char name[FATHOM_HOOK_NAME_SIZE];
    size_t n_tokens; /* of the whole text: scores and patterns have as many keys once all decodes are done */
    float *values;
    size_t n_rows, heads, width; /* width of a row: heads × width per head */
};

static inline void proof_numbers(struct proof *proof, const char *path) {
    if (fathom__safetensors_open(&proof->numbers, path) != FATHOM_OK) fail_msg("%s", fathom_error_message());
    const struct fathom__tensor *tokens = fathom__safetensors_find(proof->numbers, "tokens");
    assert_non_null(tokens);
    assert_int_equal(tokens->dtype, FATHOM__I32);
    assert_in_range(tokens->shape[0], 1, MAX_TOKENS);
    proof->n_tokens = tokens->shape[0];
    memcpy(proof->tokens, tokens->data, tokens->bytes);
}

static inline void proof_open_model(struct proof *proof, const char *path) {
    if (fathom_model_open(&proof->model, path, NULL) != FATHOM_OK) fail_msg("%s", fathom_error_message());
    struct fathom_session_options options = FATHOM_SESSION_OPTIONS_INIT;
    options.exact = true;
    options.n_threads = 1;
    options.n_context = MAX_TOKENS;
    if (fathom_session_open(&proof->session, proof->model, &options) != FATHOM_OK)
        fail_msg("%s", fathom_error_message());
    proof->n_layers = fathom_model_describe(proof->model)->n_layers;
}

static inline void proof_open(struct proof *proof, const char *name) {
    char path[256];
    memset(proof, 0, sizeof *proof);
    proof->name = name;
    snprintf(path, sizeof path, "tests/reference/%s/model.gguf", name);
    proof_open_model(proof, path);
    snprintf(path, sizeof path, "tests/reference/%s/numbers.safetensors", name);
    proof_numbers(proof, path);
}

static inline void proof_close(struct proof *proof) {
    fathom_session_close(proof->session);
    fathom_model_close(proof->model);
    fathom__safetensors_close(proof->numbers);
}

static inline bool has_layer(enum fathom_hook_kind kind) {
    return kind != FATHOM_HOOK_EMBED && kind != FATHOM_HOOK_FINAL_NORM && kind != FATHOM_HOOK_LOGITS;
}

static inline bool has_keys(enum fathom_hook_kind kind) {
    return kind == FATHOM_HOOK_ATTN_SCORES || kind == FATHOM_HOOK_PATTERN;
}

/* Decodes the text from position `first` up to `last` (not included). */
static inline void proof_decode(struct proof *proof, size_t first, size_t last, bool want_all, bool want_last) {
    struct fathom_row rows[MAX_TOKENS];
    for (size_t i = first; i < last; i++)
        rows[i - first] =
            (struct fathom_row){proof->tokens[i], (int32_t)i, 0, want_all || (want_last && i + 1 == last)};
    if (fathom_session_decode(proof->session, rows, last - first) != FATHOM_OK)
        fail_msg("%s: %s", proof->name, fathom_error_message());
}

/* A tap that appends to a struct rows. Keys that a row has not seen are filled in as what the mask makes of them; keys
 * beyond the text must be so. */
static inline int collect(const struct fathom_block *block, void *payload) {
    struct rows *rows = payload;
    bool keys = has_keys(block->hook.kind);
    size_t n = block->width / block->heads, kept = keys ? rows->n_tokens : n;
    float unseen = block->hook.kind == FATHOM_HOOK_PATTERN ? 0.0f : -INFINITY;
    float *grown = realloc(rows->values, (rows->n_rows + block->n_rows) * block->heads * kept * sizeof *grown);
    if (!grown) return FATHOM_ERROR_MEMORY;
    rows->values = grown;
    for (size_t i = 0; i < block->n_rows * block->heads; i++) {
        float *out = grown + (rows->n_rows * block->heads + i) * kept;
        for (size_t k = 0; k < kept || k < n; k++) {
            float value = k < n ? block->rows[i * n + k] : unseen;
            if (k < kept)
                out[k] = value;
            else if (value != unseen)
                return FATHOM_ERROR_MISMATCH;
        }
    }
    for (size_t r = 0; r < block->n_rows; r++)
        if (block->positions[r] != (int32_t)(rows->n_rows + r)) return FATHOM_ERROR_MISMATCH;
    rows->heads = block->heads;
    rows->width = block->heads * kept;
    rows->n_rows += block->n_rows;
    return 0;
}

/* The error of what was read against the tensor `name`; infinite when their sizes differ. */
static inline double error_against(const struct proof *proof, const struct rows *rows, const char *name) {
    const struct fathom__tensor *tensor = fathom__safetensors_find(proof->numbers, name);
    assert_non_null(tensor);
    float *reference;
    assert_int_equal(fathom__safetensors_f32(&reference, proof->numbers, name, tensor->shape, tensor->n_dimensions),
                     FATHOM_OK);
    size_t size = tensor->bytes / sizeof *reference;
    bool fits = rows->n_rows == tensor->shape[0] && rows->n_rows * rows->width == size;
    double error = fits ? relative_error(rows->values, reference, size) : INFINITY;
    fathom_free(reference);
    return error;
}

#endif
