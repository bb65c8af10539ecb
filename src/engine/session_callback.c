/* What happens inside a decode: the engine shows every graph node before it is computed, and those that were asked for
 * also after. */
#include "base/error.h"
#include "base/memory.h"
#include "engine/session_internal.h"
#include <ggml-backend.h>
#include <math.h>
#include <string.h>

static void fail(struct fathom_session *session, int status) {
    session->status = status;
    session->stopped = true;
}

/* The rows' ids or positions as the graph has them must be the batch's, in its order. */
static bool same_numbers(struct fathom_session *session, const struct ggml_tensor *tensor, const int32_t *expected,
                         const char *what) {
    size_t n = session->n_rows;
    int status = fathom__grow(&session->scratch.bytes, &session->scratch.capacity, n * sizeof(int32_t), 1);
    if (status) {
        fail(session, status);
        return false;
    }
    bool same = tensor->type == GGML_TYPE_I32 && (size_t)ggml_nelements(tensor) >= n;
    if (same) {
        ggml_backend_tensor_get(tensor, session->scratch.bytes, 0, n * sizeof(int32_t));
        same = memcmp(session->scratch.bytes, expected, n * sizeof(int32_t)) == 0;
    }
    if (!same)
        fail(session, fathom__fail(FATHOM_ERROR_ENGINE,
                                   "the engine's graph has not the batch's %zu %s in the batch's order", n, what));
    return same;
}

static void check_inputs(struct fathom_session *session, const struct ggml_tensor *node) {
    if (session->tokens_seen && session->positions_seen) return;
    if ((node->op != GGML_OP_GET_ROWS && node->op != GGML_OP_ROPE) || !node->src[0] || !node->src[1]) return;
    char leaf[GGML_MAX_NAME];
    fathom__graph_leaf_name(leaf, node->src[0]);
    bool rows = node->op == GGML_OP_GET_ROWS;
    if (!session->tokens_seen && rows && strcmp(leaf, "token_embd.weight") == 0)
        session->tokens_seen = same_numbers(session, node->src[1], session->batch.token, "token ids");
    else if (!session->positions_seen && (!rows || strcmp(leaf, "position_embd.weight") == 0))
        session->positions_seen = same_numbers(session, node->src[1], session->batch.pos, "positions");
}

/* Whether the node is still what it was when the hook points were found. */
static int check_node(const struct fathom_session *session, const struct fathom__watch *watch,
                      const struct ggml_tensor *node) {
    const struct fathom__point *point = watch->point;
    char leaf[GGML_MAX_NAME] = "";
    const struct ggml_tensor *source = node->src[node->op == GGML_OP_MUL_MAT ? 0 : 1];
    if (source && point->weight[0]) fathom__graph_leaf_name(leaf, source);
    int64_t n_rows = (int64_t)(point->selected ? session->n_outputs : session->n_rows);
    int64_t rows = point->layout == FATHOM__LAYOUT_HEADS ? node->ne[2] : node->ne[1];
    int64_t heads = point->layout == FATHOM__LAYOUT_HEADS       ? node->ne[1]
                    : point->layout == FATHOM__LAYOUT_ATTENTION ? node->ne[2]
                                                                : 1;
    int64_t width = point->layout == FATHOM__LAYOUT_ROWS ? (int64_t)point->heads * point->width
                    : point->width                       ? (int64_t)point->width
                                                         : session->n_keys;
    bool same = node->op == point->op && strcmp(leaf, point->weight) == 0 && rows == n_rows && node->ne[0] >= width &&
                (point->layout == FATHOM__LAYOUT_ROWS || heads == point->heads) && node->ne[3] == 1;
    if (same) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_ENGINE,
                        "the engine's node %s is %s of [%lld, %lld, %lld] on \"%s\", where %s of %lld rows of width "
                        "%lld on \"%s\" was expected",
                        node->name, ggml_op_name(node->op), (long long)node->ne[0], (long long)node->ne[1],
                        (long long)node->ne[2], leaf, ggml_op_name(point->op), (long long)n_rows, (long long)width,
                        point->weight);
}

static int hold_values(struct fathom_session *session, size_t n) {
    return fathom__grow(&session->values, &session->values_capacity, n, sizeof *session->values);
}

/* Reads a softmax node's mask into out [n_rows, *stride] (borrowed from the session's values, which hold `before`
 * floats for the caller in front of it) and checks that it is the mask of one sequence whose cells are its positions: a
 * row sees itself and nothing after itself. */
static int read_mask(float **out, size_t *stride, struct fathom_session *session, const struct ggml_tensor *softmax,
                     size_t before) {
    const struct ggml_tensor *mask = softmax->op == GGML_OP_SOFT_MAX ? softmax->src[1] : NULL;
    if (!mask || mask->type != GGML_TYPE_F32 || mask->ne[0] < session->n_keys || mask->ne[1] < (int64_t)session->n_rows)
        return fathom__fail(FATHOM_ERROR_ENGINE, "the engine's node %s is not a masked softmax as expected",
                            softmax->name);
    *stride = (size_t)mask->ne[0];
    int status = hold_values(session, before + *stride * session->n_rows);
    if (status) return status;
    *out = session->values + before;
    ggml_backend_tensor_get(mask, *out, 0, *stride * session->n_rows * sizeof **out);
    for (size_t row = 0; row < session->n_rows; row++) {
        const float *cells = *out + row * *stride;
        int32_t position = session->batch.pos[row];
        bool fits = cells[position] == 0.0f;
        for (int32_t cell = position + 1; cell < session->n_keys; cell++)
            fits = fits && cells[cell] == -INFINITY;
        if (!fits)
            return fathom__fail(FATHOM_ERROR_ENGINE,
                                "the engine's attention mask does not put position %d into key column %d",
                                (int)position, (int)position);
    }
    return FATHOM_OK;
}

static int call_hook(bool *changed, const struct fathom__hooked *hooked, const struct fathom_block *block,
                     float *rows) {
    bool wrote = false;
    const int returned =
        hooked->tap ? hooked->tap(block, hooked->payload) : hooked->edit(block, rows, &wrote, hooked->payload);
    *changed = *changed || wrote;
    return returned ? fathom__callback_status(returned) : FATHOM_OK;
}

/* Calls a hook for every run of rows of its own sequence. */
static int call_scoped_hook(bool *changed, const struct fathom__hooked *hooked, const struct fathom_block *block,
                            float *rows) {
    for (size_t first = 0, end; first < block->n_rows; first = end) {
        end = first + 1;
        if (block->sequences[first] != hooked->sequence) continue;
        while (end < block->n_rows && block->sequences[end] == hooked->sequence)
            end++;
        struct fathom_block part = *block;
        part.n_rows = end - first;
        part.rows += first * block->width;
        part.tokens += first;
        part.positions += first;
        part.sequences += first;
        const int status = call_hook(changed, hooked, &part, rows ? rows + first * block->width : NULL);
        if (status) return status;
    }
    return FATHOM_OK;
}

/* Runs the edits, then the taps of one node over its rows; *changed tells whether an edit changed them. */
static int run_hooks(bool *changed, struct fathom_session *session, size_t watch, struct fathom_block block,
                     float *rows) {
    for (int taps = 0; taps < 2; taps++) {
        for (size_t i = 0; i < session->n_hooks; i++) {
            struct fathom__hooked *hooked = &session->hooks[i];
            if (hooked->watch != watch || hooked->removed || (hooked->tap != NULL) != (taps == 1)) continue;
            block.hook = hooked->hook;
            const int status = hooked->sequence < 0 ? call_hook(changed, hooked, &block, rows)
                                                    : call_scoped_hook(changed, hooked, &block, rows);
            if (status) return status;
        }
    }
    return FATHOM_OK;
}

static bool has_edit(const struct fathom_session *session, size_t watch) {
    for (size_t i = 0; i < session->n_hooks; i++)
        if (session->hooks[i].watch == watch && session->hooks[i].edit && !session->hooks[i].removed) return true;
    return false;
}

static struct fathom_block block_of(const struct fathom_session *session, const struct fathom__tensor_rows *view,
                                    bool logits) {
    return (struct fathom_block){
        .n_rows = view->n_rows,
        .heads = view->heads,
        .width = view->heads * view->width,
        .tokens = logits ? session->logit_tokens : session->batch.token,
        .positions = logits ? session->logit_positions : session->batch.pos,
        .sequences = logits ? session->logit_sequences : session->one_sequence_each,
    };
}

static int process_values(struct fathom_session *session, size_t index, struct ggml_tensor *node) {
    const struct fathom__watch *watch = &session->watches[index];
    bool logits = watch->point == fathom__points_at(&session->points, (struct fathom_hook){FATHOM_HOOK_LOGITS, -1});
    bool all = !logits || session->n_logits == session->n_outputs;
    struct fathom__tensor_rows view;
    int status = fathom__tensor_rows_open(&view, &session->scratch, node, watch->point,
                                          logits ? session->n_logits : session->n_rows,
                                          all ? NULL : session->logit_rows, (size_t)session->n_keys);
    if (status) return status;
    struct fathom_block block = block_of(session, &view, logits);
    bool edits = has_edit(session, index), changed = false;
    block.rows = edits ? NULL : fathom__tensor_rows_direct(&view);
    if (!block.rows) {
        status = hold_values(session, block.n_rows * block.width);
        if (status) return status;
        fathom__tensor_rows_read(session->values, &view);
        block.rows = session->values;
    }
    if (watch->point->layout == FATHOM__LAYOUT_ATTENTION) {
        float *mask = NULL;
        size_t stride = 0, n = block.n_rows * block.width;
        bool held = block.rows == session->values;
        status = read_mask(&mask, &stride, session, node, n);
        if (status) return status;
        if (held) block.rows = session->values; /* holding the mask may have moved them */
    }
    status = run_hooks(&changed, session, index, block, session->values);
    if (changed) fathom__tensor_rows_write(&view, session->values);
    return status;
}

/* Scores are the softmax node's input under its own scale and mask. Where an edit changed one, it is written back
 * without them; a masked key stays masked. */
static int process_scores(struct fathom_session *session, size_t index, const struct ggml_tensor *softmax) {
    const struct fathom__point *point = session->watches[index].point;
    float scale, alibi;
    memcpy(&scale, (const char *)softmax->op_params, sizeof scale);
    memcpy(&alibi, (const char *)softmax->op_params + sizeof scale, sizeof alibi);
    if (softmax->op != GGML_OP_SOFT_MAX || alibi != 0.0f || scale == 0.0f)
        return fathom__fail(FATHOM_ERROR_ENGINE, "the engine's node %s is not a scaled softmax as expected",
                            softmax->name);
    struct fathom__tensor_rows view;
    int status = fathom__tensor_rows_open(&view, &session->scratch, softmax->src[0], point, session->n_rows, NULL,
                                          (size_t)session->n_keys);
    if (status) return status;
    struct fathom_block block = block_of(session, &view, false);
    size_t n = block.n_rows * block.width, n_keys = (size_t)session->n_keys, stride = 0;
    float *mask = NULL;
    status = read_mask(&mask, &stride, session, softmax, 2 * n);
    if (status) return status;

    float *scores = session->values, *raw = session->values + n;
    fathom__tensor_rows_read(raw, &view);
    for (size_t i = 0; i < n; i++)
        scores[i] = raw[i] * scale + mask[i / block.width * stride + i % n_keys];
    block.rows = scores;
    bool changed = false;
    status = run_hooks(&changed, session, index, block, scores);
    if (!changed) return status;
    for (size_t i = 0; i < n; i++) {
        float masked = mask[i / block.width * stride + i % n_keys];
        if (scores[i] != raw[i] * scale + masked && !isinf(masked)) raw[i] = scores[i] / scale;
    }
    fathom__tensor_rows_write(&view, raw);
    return status;
}

static void finish_watch(struct fathom_session *session, struct fathom__watch *watch, int status) {
    watch->done = true;
    session->n_done++;
    if (status) fail(session, status);
    if (session->stop_allowed && session->n_done == session->n_wanted) session->stopped = true;
}

/* Finds what is waited for at a node; before it is computed, that also counts how often its name came up. */
static bool visit(struct fathom_session *session, struct ggml_tensor *node, bool ask) {
    bool wanted = false;
    uint32_t hash = fathom__graph_name_hash(node->name);
    size_t last = session->n_slots - 1;
    for (size_t slot = hash & last; session->slots[slot]; slot = (slot + 1) & last) {
        size_t index = session->slots[slot] - 1;
        struct fathom__watch *watch = &session->watches[index];
        if (watch->hash != hash || strcmp(watch->name, node->name) != 0) continue;
        if (ask) watch->passed++;
        if (!watch->wanted || watch->done || watch->passed != watch->occurrence + 1) continue;
        if (watch->role == FATHOM__WATCH_SCORES) {
            if (!ask) continue;
            finish_watch(session, watch, process_scores(session, index, node));
            wanted = wanted || session->stopped;
            continue;
        }
        if (ask) {
            wanted = true;
            continue;
        }
        int status = check_node(session, watch, node);
        if (!status && watch->role == FATHOM__WATCH_VALUES) status = process_values(session, index, node);
        if (watch->role == FATHOM__WATCH_VALUES)
            finish_watch(session, watch, status);
        else if (status)
            fail(session, status);
    }
    return wanted;
}

bool fathom__session_on_node(struct ggml_tensor *tensor, bool ask, void *payload) {
    struct fathom_session *session = payload;
    if (session->recording && ask) {
        int status = fathom__graph_add(&session->graph, tensor);
        if (status && !session->status) session->status = status;
    }
    if (session->n_watches == 0 || !session->running) return false;
    if (ask) {
        /* After a stop, whatever part of the graph still comes is cut short at its first node. */
        if (session->stopped) return true;
        check_inputs(session, tensor);
        return visit(session, tensor, true) || session->stopped;
    }
    if (!session->stopped) visit(session, tensor, false);
    return !session->stopped;
}
