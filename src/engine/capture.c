#include "base/error.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "base/thread.h"
#include "engine/session_internal.h"
#include <fathom/capture.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_CONTEXT = 512 };
#define DEFAULT_BYTES ((uint64_t)4 << 30)

/* One hook point and its rows so far. */
struct column {
    struct fathom_capture *capture;
    struct fathom_hook hook;
    char name[FATHOM_HOOK_NAME_SIZE];
    float *values;
    size_t capacity, heads, width; /* width of a row; for scores and patterns of the longest sequence so far */
};

struct fathom_capture {
    const fathom_model *model;
    struct fathom_capture_options options;
    uint32_t context;
    fathom_session *session;
    struct column *columns;
    size_t n_columns, n_rows;
    bool wants_logits;
    int32_t *tokens, *positions, *documents;
    size_t tokens_capacity, positions_capacity, documents_capacity;
    int32_t n_documents;
    struct fathom_row *rows; /* [context] */
    double started;
};

static bool has_keys(struct fathom_hook hook) {
    return hook.kind == FATHOM_HOOK_ATTN_SCORES || hook.kind == FATHOM_HOOK_PATTERN;
}

/* Whether n_rows fit once rows of `column` are `width` wide. */
static int check_memory(const struct fathom_capture *capture, const struct column *column, size_t width,
                        size_t n_rows) {
    uint64_t most = capture->options.max_bytes ? capture->options.max_bytes : DEFAULT_BYTES;
    double bytes = 0.0;
    for (size_t i = 0; i < capture->n_columns; i++) {
        const struct column *held = &capture->columns[i];
        bytes += (double)(held == column ? width : held->width) * sizeof(float) * (double)n_rows;
    }
    if (bytes <= (double)most) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_LIMIT,
                        "capture: %zu rows take %.1f GB, more than the limit of %.1f GB; take fewer tokens or hooks",
                        n_rows, bytes / 1e9, (double)most / 1e9);
}

/* Lays rows out anew for more keys. */
static int widen(struct column *column, size_t n_rows, size_t n_keys) {
    size_t before = column->width / column->heads, n = n_rows * column->heads;
    float fill = column->hook.kind == FATHOM_HOOK_PATTERN ? 0.0f : -INFINITY;
    int status = fathom__grow(&column->values, &column->capacity, n * n_keys, sizeof *column->values);
    if (status) return status;
    for (size_t i = n; i-- > 0;) {
        memmove(column->values + i * n_keys, column->values + i * before, before * sizeof *column->values);
        for (size_t key = before; key < n_keys; key++)
            column->values[i * n_keys + key] = fill;
    }
    column->width = column->heads * n_keys;
    return FATHOM_OK;
}

static int keep(const struct fathom_block *block, void *payload) {
    struct column *column = payload;
    struct fathom_capture *capture = column->capture;
    size_t n_rows = capture->n_rows, here = block->width / block->heads;
    column->heads = block->heads;
    if (column->width == 0) column->width = block->width;
    int status = check_memory(capture, column, block->width > column->width ? block->width : column->width,
                              n_rows + block->n_rows);
    if (!status && block->width > column->width) status = widen(column, n_rows, here);
    if (!status)
        status = fathom__grow(&column->values, &column->capacity, (n_rows + block->n_rows) * column->width,
                              sizeof *column->values);
    if (status) return status;
    float *out = column->values + n_rows * column->width;
    size_t full = column->width / column->heads;
    float fill = column->hook.kind == FATHOM_HOOK_PATTERN ? 0.0f : -INFINITY;
    for (size_t i = 0; i < block->n_rows * block->heads; i++, out += full) {
        memcpy(out, block->rows + i * here, here * sizeof *out);
        for (size_t key = here; key < full; key++)
            out[key] = fill;
    }
    return FATHOM_OK;
}

static int add_columns(struct fathom_capture *capture) {
    const struct fathom_capture_options *options = &capture->options;
    int status = fathom__alloc(&capture->columns, options->n_hooks, sizeof *capture->columns);
    for (; !status && capture->n_columns < options->n_hooks; capture->n_columns++) {
        struct column *column = &capture->columns[capture->n_columns];
        column->capture = capture;
        status = fathom_hook_parse(&column->hook, capture->model, options->hooks[capture->n_columns]);
        if (status) return status;
        fathom_hook_name(column->name, column->hook);
        for (size_t i = 0; i < capture->n_columns; i++)
            if (strcmp(capture->columns[i].name, column->name) == 0)
                return fathom__fail(FATHOM_ERROR_ARGUMENT, "capture: hook point %s is asked for twice", column->name);
        if (has_keys(column->hook)) capture->options.exact = true;
        if (column->hook.kind == FATHOM_HOOK_LOGITS) capture->wants_logits = true;
    }
    return status;
}

int fathom_capture_open(fathom_capture **out, const fathom_model *model, const struct fathom_capture_options *options) {
    if (!out || !model || !options || !options->hooks || options->n_hooks == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "fathom_capture_open: out, model and at least one hook point are required");
    struct fathom_capture *capture = NULL;
    int status = fathom__alloc(&capture, 1, sizeof *capture);
    if (status) return status;
    uint32_t trained = model->info.context_trained;
    capture->model = model;
    capture->options = *options;
    capture->context = options->context                       ? options->context
                       : trained && trained < DEFAULT_CONTEXT ? trained
                                                              : DEFAULT_CONTEXT;
    if (capture->context < 2) capture->context = 2; /* bos and a token */
    capture->started = fathom__seconds();
    status = add_columns(capture);
    if (!status) status = fathom__alloc(&capture->rows, capture->context, sizeof *capture->rows);
    struct fathom_session_options session = {.n_context = capture->context,
                                             .n_batch = capture->context,
                                             .n_threads = options->n_threads,
                                             .flash_attention = true,
                                             .exact = capture->options.exact};
    if (!status) status = fathom_session_open(&capture->session, model, &session);
    for (size_t i = 0; !status && i < capture->n_columns; i++)
        status = fathom_session_tap(NULL, capture->session, capture->columns[i].hook, keep, &capture->columns[i]);
    if (status) {
        fathom_capture_close(capture);
        return status;
    }
    *out = capture;
    return FATHOM_OK;
}

void fathom_capture_close(fathom_capture *capture) {
    if (!capture) return;
    fathom_session_close(capture->session);
    for (size_t i = 0; i < capture->n_columns; i++)
        fathom_free(capture->columns[i].values);
    fathom_free(capture->columns);
    fathom_free(capture->tokens);
    fathom_free(capture->positions);
    fathom_free(capture->documents);
    fathom_free(capture->rows);
    fathom_free(capture);
}

static int report(const struct fathom_capture *capture) {
    if (!capture->options.progress) return FATHOM_OK;
    double seconds = fathom__seconds() - capture->started;
    struct fathom_progress progress = {.stage = "capture",
                                       .done = capture->n_rows,
                                       .total = capture->options.max_tokens,
                                       .unit = "tokens",
                                       .units_per_second = seconds > 0.0 ? (double)capture->n_rows / seconds : 0.0,
                                       .seconds_left = -1.0};
    return fathom__callback_status(capture->options.progress(&progress, capture->options.payload));
}

/* Runs one sequence of the present document. */
static int run_sequence(struct fathom_capture *capture, size_t n) {
    size_t all = capture->n_rows + n;
    int status = fathom__grow(&capture->tokens, &capture->tokens_capacity, all, sizeof *capture->tokens);
    if (!status)
        status = fathom__grow(&capture->positions, &capture->positions_capacity, all, sizeof *capture->positions);
    if (!status)
        status = fathom__grow(&capture->documents, &capture->documents_capacity, all, sizeof *capture->documents);
    fathom_session_forget(capture->session, -1, 0);
    if (!status) status = fathom_session_decode(capture->session, capture->rows, n);
    if (status) return status;
    for (size_t i = 0; i < n; i++) {
        capture->tokens[capture->n_rows + i] = capture->rows[i].token;
        capture->positions[capture->n_rows + i] = capture->rows[i].position;
        capture->documents[capture->n_rows + i] = capture->n_documents;
    }
    capture->n_rows = all;
    return report(capture);
}

static bool is_full(const struct fathom_capture *capture) {
    return capture->options.max_tokens > 0 && capture->n_rows >= capture->options.max_tokens;
}

int fathom_capture_text(fathom_capture *capture, const char *text, size_t length) {
    if (!capture || (!text && length > 0))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_capture_text: capture and text are required");
    if (capture->n_documents == INT32_MAX)
        return fathom__fail(FATHOM_ERROR_LIMIT, "capture: more than %d documents", (int)INT32_MAX);
    const struct fathom_model_info *info = &capture->model->info;
    size_t bos = info->adds_bos && info->bos >= 0, n_tokens = 0;
    int32_t *tokens = NULL;
    int status =
        fathom_tokenize(&tokens, &n_tokens, capture->model, text, length, false, capture->options.parse_special);
    for (size_t at = 0; !status && at < n_tokens && !is_full(capture);) {
        size_t n = n_tokens - at < capture->context - bos ? n_tokens - at : capture->context - bos;
        if (bos) capture->rows[0] = (struct fathom_row){.token = info->bos, .want_logits = capture->wants_logits};
        uint64_t left = capture->options.max_tokens - capture->n_rows; /* when there is a limit */
        if (capture->options.max_tokens > 0 && n + bos > left) n = left > bos ? (size_t)left - bos : 0;
        for (size_t i = 0; i < n; i++)
            capture->rows[bos + i] = (struct fathom_row){
                .token = tokens[at + i], .position = (int32_t)(bos + i), .want_logits = capture->wants_logits};
        status = run_sequence(capture, bos + n);
        at += n;
    }
    fathom_free(tokens);
    if (!status) capture->n_documents++;
    return status;
}

int fathom_capture_corpus(fathom_capture *capture, fathom_corpus *corpus) {
    if (!capture || !corpus)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_capture_corpus: capture and corpus are required");
    bool more = true;
    while (more && !is_full(capture)) {
        struct fathom_document document;
        int status = fathom_corpus_next(&document, &more, corpus);
        if (!status && more) {
            status = fathom_capture_text(capture, document.text, document.length);
            if (status) fathom__wrap(status, "document %llu", (unsigned long long)document.number);
        }
        if (status) return status;
    }
    return FATHOM_OK;
}

size_t fathom_capture_rows(const int32_t **tokens, const int32_t **positions, const int32_t **documents,
                           const fathom_capture *capture) {
    if (tokens) *tokens = capture->tokens;
    if (positions) *positions = capture->positions;
    if (documents) *documents = capture->documents;
    return capture->n_rows;
}

const float *fathom_capture_values(size_t *width, const fathom_capture *capture, size_t hook) {
    if (hook >= capture->n_columns) return NULL;
    if (width) *width = capture->columns[hook].width;
    return capture->columns[hook].values;
}

int fathom_capture_write(const fathom_capture *capture, const char *path) {
    if (!capture || !path)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_capture_write: capture and path are required");
    if (capture->n_rows == 0)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "capture: the text has no tokens, so that there is nothing to write to %s", path);
    const struct fathom_model_info *info = &capture->model->info;
    const struct {
        const char *name;
        const int32_t *values;
    } labels[] = {{"tokens", capture->tokens}, {"position", capture->positions}, {"document", capture->documents}};
    enum { N_LABELS = sizeof labels / sizeof labels[0] };
    struct fathom__tensor *tensors = NULL;
    int status = fathom__alloc(&tensors, capture->n_columns + N_LABELS, sizeof *tensors);
    if (status) return status;
    for (size_t i = 0; i < capture->n_columns; i++) {
        const struct column *column = &capture->columns[i];
        tensors[i] = (struct fathom__tensor){.name = column->name,
                                             .dtype = FATHOM__F32,
                                             .n_dimensions = 2,
                                             .shape = {capture->n_rows, column->width},
                                             .data = column->values,
                                             .bytes = capture->n_rows * column->width * sizeof(float)};
    }
    for (size_t i = 0; i < N_LABELS; i++)
        tensors[capture->n_columns + i] = (struct fathom__tensor){.name = labels[i].name,
                                                                  .dtype = FATHOM__I32,
                                                                  .n_dimensions = 1,
                                                                  .shape = {capture->n_rows},
                                                                  .data = labels[i].values,
                                                                  .bytes = capture->n_rows * sizeof(int32_t)};
    const char *metadata[] = {"model",  info->name,   "identity", info->identity, "architecture", info->architecture,
                              "engine", info->engine, NULL};
    status = fathom__safetensors_write(path, tensors, capture->n_columns + N_LABELS, metadata);
    fathom_free(tensors);
    return status;
}
