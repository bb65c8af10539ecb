#include "base/error.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/accelerator.h"
#include "engine/guard.h"
#include "engine/log.h"
#include "engine/session_internal.h"
#include "engine/workers.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_CONTEXT = 2048, DEFAULT_BATCH = 512 };
enum { CACHE_BLOCK = 256 }; /* tokens: the engine's own rounding of caches of sequences */

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static int set_adapters(struct fathom_session *session) {
    const fathom_model *model = session->model;
    if (model->n_adapters == 0) return FATHOM_OK;
    int32_t result =
        llama_set_adapters_lora(session->context, model->adapters, model->n_adapters, model->adapter_scales);
    if (result != 0)
        return fathom__engine_fail(FATHOM_ERROR_ENGINE, "%s: the engine refuses the model's adapters",
                                   model->info.path);
    return FATHOM_OK;
}

static int allocate_rows(struct fathom_session *session) {
    size_t n = session->n_batch;
    struct llama_batch *batch = &session->batch;
    int status = fathom__alloc(&batch->token, n, sizeof *batch->token);
    if (!status) status = fathom__alloc(&batch->pos, n, sizeof *batch->pos);
    if (!status) status = fathom__alloc(&batch->n_seq_id, n, sizeof *batch->n_seq_id);
    if (!status) status = fathom__alloc(&batch->seq_id, n, sizeof *batch->seq_id);
    if (!status) status = fathom__alloc(&batch->logits, n, sizeof *batch->logits);
    if (!status) status = fathom__alloc(&session->one_sequence_each, n, sizeof *session->one_sequence_each);
    if (!status) status = fathom__alloc(&session->logit_tokens, n, sizeof *session->logit_tokens);
    if (!status) status = fathom__alloc(&session->logit_positions, n, sizeof *session->logit_positions);
    if (!status) status = fathom__alloc(&session->logit_sequences, n, sizeof *session->logit_sequences);
    if (!status) status = fathom__alloc(&session->logit_rows, n, sizeof *session->logit_rows);
    if (!status) status = fathom__alloc(&session->wants_logits, n, sizeof *session->wants_logits);
    if (!status) status = fathom__alloc(&session->sequences, session->n_sequences, sizeof *session->sequences);
    if (status) return status;
    for (size_t i = 0; i < n; i++) {
        batch->n_seq_id[i] = 1;
        batch->seq_id[i] = &session->one_sequence_each[i];
    }
    for (uint32_t i = 0; i < session->n_sequences; i++)
        session->sequences[i].reach = FATHOM__WHOLE;
    return FATHOM_OK;
}

/* It would round keys and values of type f32 to f16, and the engine has nothing else for a quantised cache. The choice
 * is the same for any number of sequences, so that one alone gives what it gives among others. */
static bool takes_flash_attention(const fathom_model *model, const struct fathom_session_options *options) {
    if (options->exact || options->kv_type == FATHOM_KV_F32) return false;
    return options->flash_attention || options->kv_type == FATHOM_KV_Q8_0 || model->on_gpu;
}

static struct llama_context_params engine_options(struct fathom_session *session,
                                                  const struct fathom_session_options *options) {
    static const enum ggml_type kv_types[] = {
        [FATHOM_KV_F16] = GGML_TYPE_F16, [FATHOM_KV_F32] = GGML_TYPE_F32, [FATHOM_KV_Q8_0] = GGML_TYPE_Q8_0};
    struct llama_context_params params = llama_context_default_params();
    uint32_t n_threads = options->n_threads ? options->n_threads : fathom__cores();
    params.n_ctx = session->n_context;
    params.n_batch = session->n_batch;
    params.n_ubatch = session->n_batch; /* a decode is one graph */
    params.n_seq_max = session->n_sequences;
    params.n_outputs_max = session->n_batch;
    /* Rows of the graph are rows of the batch, in its order: in one cache always, in several where none needs a graph of its
     * own (fathom__session_decode). */
    params.kv_unified = !session->own_caches;
    params.swa_full = true; /* sequences can be cut back to any position */
    params.n_threads = (int32_t)n_threads;
    params.n_threads_batch = (int32_t)n_threads;
    params.type_k = params.type_v = options->exact ? GGML_TYPE_F32 : kv_types[options->kv_type];
    params.flash_attn_type = session->flash_attention ? LLAMA_FLASH_ATTN_TYPE_AUTO : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    /* The engine's own choice is against flash attention where another backend than the cache's computes it. */
    if (session->flash_attention && fathom__accelerator_in_use())
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.pooling_type = LLAMA_POOLING_TYPE_NONE;
    params.embeddings = false;
    params.no_perf = true;
    params.cb_eval = fathom__session_on_node;
    params.cb_eval_user_data = session;
    return params;
}

/* The engine clears the cache it allocates, and a cache that the memory does not hold would end the process then. */
static int check_memory(const fathom_session *session, const struct fathom_session_options *options) {
    static const double kv_sizes[] = {[FATHOM_KV_F16] = 2, [FATHOM_KV_F32] = 4, [FATHOM_KV_Q8_0] = 34.0 / 32};
    const struct fathom__model_shape *shape = &session->model->shape;
    const double widths = (double)shape->n_heads_kv * ((double)shape->d_head_k + shape->d_head_v);
    char what[64];
    snprintf(what, sizeof what, "session: a context of %u tokens", session->n_context);
    return fathom__machine_check(session->n_context * widths * shape->n_layers *
                                     kv_sizes[options->exact ? FATHOM_KV_F32 : options->kv_type],
                                 what);
}

/* The engine keeps a head in whole blocks. */
static int check_kv_type(const fathom_model *model, const struct fathom_session_options *options) {
    enum { Q8_0_BLOCK = 32 };
    const struct fathom__model_shape *shape = &model->shape;
    if ((unsigned)options->kv_type > FATHOM_KV_Q8_0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "session: kv_type %d is not known", (int)options->kv_type);
    if (options->kv_type != FATHOM_KV_Q8_0 || options->exact) return FATHOM_OK;
    if (shape->d_head_k % Q8_0_BLOCK == 0 && shape->d_head_v % Q8_0_BLOCK == 0) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                        "%s: keys and values of type q8_0 need heads of a multiple of %d; they are %u and %u wide here",
                        model->path, Q8_0_BLOCK, shape->d_head_k, shape->d_head_v);
}

int fathom_session_open(fathom_session **out, const fathom_model *model, const struct fathom_session_options *options) {
    static const struct fathom_session_options defaults = FATHOM_SESSION_OPTIONS_INIT;
    if (!out || !model) return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_session_open: out and model are required");
    if (!options) options = &defaults;
    int status = check_kv_type(model, options);
    if (status) return status;
    if (options->n_sequences > FATHOM_SESSION_SEQUENCES)
        return fathom__fail(FATHOM_ERROR_LIMIT, "session: %u sequences asked, at most %d are possible",
                            options->n_sequences, FATHOM_SESSION_SEQUENCES);
    if (options->n_context > INT32_MAX / 2 || options->n_threads > GGML_MAX_N_THREADS)
        return fathom__fail(FATHOM_ERROR_LIMIT, "session: n_context %u or n_threads %u is more than the engine takes",
                            options->n_context, options->n_threads);

    fathom_session *session = NULL;
    status = fathom__alloc(&session, 1, sizeof *session);
    if (status) return status;
    session->model = model;
    session->flash_attention = takes_flash_attention(model, options);
    session->n_sequences = options->n_sequences ? options->n_sequences : 1;
    session->scope = -1;
    uint32_t trained = model->info.context_trained ? model->info.context_trained : DEFAULT_CONTEXT;
    session->n_context = options->n_context ? options->n_context : least(trained, DEFAULT_CONTEXT);
    if (session->n_context < session->n_sequences) session->n_context = session->n_sequences;
    session->own_caches = options->own_caches && session->n_sequences > 1;
    session->longest = session->n_context;
    if (session->own_caches) {
        session->longest = ((session->n_context - 1) / session->n_sequences / CACHE_BLOCK + 1) * CACHE_BLOCK;
        session->n_context = session->longest * session->n_sequences;
    }
    session->n_batch = least(options->n_batch ? options->n_batch : DEFAULT_BATCH, session->n_context);
    if (session->n_batch < session->n_sequences) session->n_batch = session->n_sequences;

    status = check_memory(session, options);
    if (status) goto fail;
    status = fathom__guard_context_init(&session->context, model->engine, engine_options(session, options));
    if (status) {
        fathom__wrap(status, "session of %u tokens of context, %u rows a batch", session->n_context, session->n_batch);
        goto fail;
    }
    status = fathom__workers_open(&session->workers, (uint32_t)llama_n_threads(session->context));
    if (status) goto fail;
    if (session->workers) llama_attach_threadpool(session->context, session->workers, NULL);
    session->memory = llama_get_memory(session->context);
    session->n_context = llama_n_ctx(session->context);
    session->longest = llama_n_ctx_seq(session->context);
    if (llama_n_batch(session->context) != session->n_batch || llama_n_ubatch(session->context) != session->n_batch) {
        status =
            fathom__fail(FATHOM_ERROR_ENGINE,
                         "session: the engine makes batches of %u rows in parts of %u where %u in one part were asked",
                         llama_n_batch(session->context), llama_n_ubatch(session->context), session->n_batch);
        goto fail;
    }
    if (!session->memory) {
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: %s models have no KV cache to run on", model->info.path,
                              model->info.architecture);
        goto fail;
    }
    status = set_adapters(session);
    if (!status) status = allocate_rows(session);
    if (!status) status = fathom__holdings_open(&session->holdings, session->n_context, session->n_sequences);
    if (status) goto fail;
    *out = session;
    return FATHOM_OK;

fail:
    fathom_session_close(session);
    return status;
}

void fathom_session_close(fathom_session *session) {
    if (!session) return;
    if (session->context) llama_free(session->context);
    fathom__workers_close(session->workers);
    fathom__graph_free(&session->graph);
    fathom__points_free(&session->points);
    fathom__holdings_close(&session->holdings);
    fathom_free(session->sequences);
    fathom_free(session->hooks);
    fathom_free(session->watches);
    fathom_free(session->slots);
    fathom_free(session->batch.token);
    fathom_free(session->batch.pos);
    fathom_free(session->batch.n_seq_id);
    fathom_free(session->batch.seq_id);
    fathom_free(session->batch.logits);
    fathom_free(session->one_sequence_each);
    fathom_free(session->logit_tokens);
    fathom_free(session->logit_positions);
    fathom_free(session->logit_sequences);
    fathom_free(session->logit_rows);
    fathom_free(session->wants_logits);
    fathom_free(session->values);
    fathom_free(session->scratch.bytes);
    fathom_free(session);
}

const fathom_model *fathom_session_model(const fathom_session *session) {
    return session->model;
}

uint32_t fathom_session_context(const fathom_session *session) {
    return session->n_context;
}

uint32_t fathom_session_longest(const fathom_session *session) {
    return session->longest;
}

uint32_t fathom_session_batch(const fathom_session *session) {
    return session->n_batch;
}

static bool is_empty(const fathom_session *session) {
    for (uint32_t i = 0; i < session->n_sequences; i++)
        if (session->sequences[i].length > 0) return false;
    return true;
}

static void forget_one(fathom_session *session, int32_t sequence, int32_t from) {
    struct fathom__sequence *present = &session->sequences[sequence];
    if (from >= present->length) return;
    /* Memories that cannot be cut back are dropped whole: going on then fails by the position it asks for. */
    if (from > 0 && !llama_memory_seq_rm(session->memory, sequence, from, -1)) from = 0;
    if (from <= 0) {
        llama_memory_seq_rm(session->memory, sequence, -1, -1);
        present->reach = FATHOM__WHOLE;
    }
    present->length = from;
    fathom__holdings_cut(&session->holdings, sequence, (size_t)from);
}

void fathom_session_forget(fathom_session *session, int32_t sequence, int32_t from) {
    if (session->running) return;
    if (from < 0) from = 0;
    for (uint32_t i = 0; i < session->n_sequences; i++)
        if (sequence == -1 || sequence == (int32_t)i) forget_one(session, (int32_t)i, from);
    if (is_empty(session)) {
        llama_memory_clear(session->memory, false);
        session->cells = FATHOM__CELLS_EMPTY;
    }
}

uint32_t fathom_session_room(const fathom_session *session) {
    return session->n_context - session->holdings.n_used;
}

int fathom_session_fork(fathom_session *session, int32_t from, int32_t to) {
    return fathom_session_fork_prefix(session, from, to, INT32_MAX);
}

int fathom_session_fork_prefix(fathom_session *session, int32_t from, int32_t to, int32_t n_tokens) {
    int32_t n = (int32_t)session->n_sequences;
    if (from < 0 || from >= n || to < 0 || to >= n || from == to)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "fork: sequences %d and %d, where the session has 0 to %d",
                            (int)from, (int)to, (int)n - 1);
    if (session->running) return fathom__fail(FATHOM_ERROR_ARGUMENT, "fork: a decode is under way");
    if (session->sequences[to].length > 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "fork: sequence %d holds %d tokens; forget them first", (int)to,
                            (int)session->sequences[to].length);
    if (n_tokens < 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "fork: a prefix of %d tokens", (int)n_tokens);
    const int32_t length = session->sequences[from].length, shared = n_tokens < length ? n_tokens : length;
    if (shared == 0) return FATHOM_OK;
    int status = FATHOM_OK;
    if (!session->own_caches) status = fathom__holdings_share(&session->holdings, from, to, (size_t)shared);
    for (int32_t i = 0; session->own_caches && i < shared && !status; i++)
        status = fathom__holdings_add(&session->holdings, to);
    if (status) return status;
    llama_memory_seq_cp(session->memory, from, to, -1, -1);
    session->sequences[to] = session->sequences[from];
    session->cells = FATHOM__CELLS_MIXED;
    if (shared == length || llama_memory_seq_rm(session->memory, to, shared, -1)) {
        session->sequences[to].length = shared;
        return FATHOM_OK;
    }
    forget_one(session, to, 0);
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "fork: this model's memory cannot be cut back to %d tokens",
                        (int)shared);
}
