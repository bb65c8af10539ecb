#include "engine/points.h"
#include "base/memory.h"
#include <stdio.h>
#include <string.h>

/* One layer's search. Nodes are known by the weight they multiply wherever there is one, and by name where the engine
 * gives exactly one node of that name and shape. */
struct search {
    const struct fathom__graph *graph;
    const struct fathom__model_shape *shape;
    struct fathom__points *points;
    uint32_t layer;
};

static int32_t named(const struct search *search, const char *name, enum ggml_op op) {
    char text[GGML_MAX_NAME];
    snprintf(text, sizeof text, "%s-%u", name, search->layer);
    return fathom__graph_last_named(search->graph, text, op);
}

static int32_t with_weight(const struct search *search, enum ggml_op op, size_t slot, const char *weight) {
    char text[GGML_MAX_NAME];
    snprintf(text, sizeof text, "blk.%u.%s", search->layer, weight);
    return fathom__graph_with_leaf(search->graph, op, slot, text);
}

static int32_t product(const struct search *search, const char *weight) {
    return with_weight(search, GGML_OP_MUL_MAT, 0, weight);
}

/* What the norm with this gain reads. */
static int32_t before_norm(const struct search *search, const char *gain) {
    int32_t scaled = with_weight(search, GGML_OP_MUL, 1, gain);
    return fathom__graph_source(search->graph, fathom__graph_source(search->graph, scaled, 0), 0);
}

/* Whether `node` is scale · B · A · input, what a LoRA adapter adds to a product of `input`. */
static bool is_adapter(const struct fathom__graph *graph, int32_t node, int32_t input) {
    if (node < 0 || graph->nodes[node].op != GGML_OP_SCALE) return false;
    int32_t outer = fathom__graph_source(graph, node, 0);
    if (outer < 0 || graph->nodes[outer].op != GGML_OP_MUL_MAT) return false;
    int32_t inner = fathom__graph_source(graph, outer, 1);
    return inner >= 0 && graph->nodes[inner].op == GGML_OP_MUL_MAT && fathom__graph_source(graph, inner, 1) == input;
}

/* Follows a product through its weight's scale, its adapters and its bias to the value that the model calls its result.
 */
static int32_t finished(const struct fathom__graph *graph, int32_t node) {
    int32_t input = fathom__graph_source(graph, node, 1);
    for (int32_t i = node + 1; node >= 0 && (size_t)i < graph->n; i++) {
        const struct fathom__graph_node *next = &graph->nodes[i];
        if ((next->op != GGML_OP_ADD && next->op != GGML_OP_MUL) || next->sources[0] != node) continue;
        bool weight = next->sources[1] < 0 && strncmp(next->leaves[1], "blk.", 4) == 0;
        if (weight || (next->op == GGML_OP_ADD && is_adapter(graph, next->sources[1], input))) node = i;
    }
    return node;
}

static struct fathom__point *place(const struct search *search, enum fathom_hook_kind kind, int32_t node) {
    struct fathom__point *point = &search->points->points[(size_t)kind * search->points->n_layers + search->layer];
    if (node < 0) return point;
    const struct fathom__graph_node *found = &search->graph->nodes[node];
    point->found = true;
    memcpy(point->name, found->name, sizeof point->name);
    point->occurrence = found->occurrence;
    point->ordinal = (uint32_t)node;
    point->op = found->op;
    memcpy(point->weight, found->leaves[found->op == GGML_OP_MUL_MAT ? 0 : 1], sizeof point->weight);
    point->selected = found->selected;
    point->layout = FATHOM__LAYOUT_ROWS;
    point->heads = 1;
    point->width = (uint32_t)found->shape[0];
    return point;
}

static void place_heads(const struct search *search, enum fathom_hook_kind kind, int32_t node) {
    if (node < 0) return;
    struct fathom__point *point = place(search, kind, node);
    point->layout = FATHOM__LAYOUT_HEADS;
    point->heads = (uint32_t)search->graph->nodes[node].shape[1];
    point->neighbours = search->shape->architecture == FATHOM__ARCH_LLAMA && kind != FATHOM_HOOK_V;
}

static void find_attention(const struct search *search) {
    const struct fathom__graph *graph = search->graph;
    int32_t q = product(search, "attn_q.weight");
    if (q < 0) q = product(search, "attn_qkv.weight");
    place(search, FATHOM_HOOK_ATTN_IN, fathom__graph_source(graph, q, 1));

    int32_t rotated_q = named(search, "Qcur", GGML_OP_ROPE), rotated_k = named(search, "Kcur", GGML_OP_ROPE);
    place_heads(search, FATHOM_HOOK_ROT_Q, rotated_q);
    place_heads(search, FATHOM_HOOK_ROT_K, rotated_k);
    place_heads(search, FATHOM_HOOK_Q,
                rotated_q >= 0 ? fathom__graph_source(graph, rotated_q, 0) : named(search, "Qcur", GGML_OP_COUNT));
    place_heads(search, FATHOM_HOOK_K,
                rotated_k >= 0 ? fathom__graph_source(graph, rotated_k, 0) : named(search, "Kcur", GGML_OP_COUNT));
    place_heads(search, FATHOM_HOOK_V, named(search, "Vcur", GGML_OP_COUNT));

    int32_t softmax = named(search, "kq_soft_max", GGML_OP_SOFT_MAX);
    if (softmax >= 0) {
        const enum fathom_hook_kind kinds[] = {FATHOM_HOOK_PATTERN, FATHOM_HOOK_ATTN_SCORES};
        const int32_t nodes[] = {softmax, fathom__graph_source(graph, softmax, 0)};
        for (size_t i = 0; i < 2; i++) {
            struct fathom__point *point = place(search, kinds[i], nodes[i]);
            point->layout = FATHOM__LAYOUT_ATTENTION;
            point->heads = (uint32_t)graph->nodes[softmax].shape[2];
            point->width = 0;
            point->weight[0] = '\0';
            memcpy(point->softmax, graph->nodes[softmax].name, sizeof point->softmax);
        }
    }

    int32_t output = product(search, "attn_output.weight");
    struct fathom__point *z = place(search, FATHOM_HOOK_Z, fathom__graph_source(graph, output, 1));
    if (z->found) {
        z->heads = search->shape->n_heads;
        z->width /= z->heads;
    }
    int32_t normed = with_weight(search, GGML_OP_MUL, 1, "post_attention_norm.weight");
    place(search, FATHOM_HOOK_ATTN_OUT, normed >= 0 ? normed : finished(graph, output));
}

static void find_mlp(const struct search *search) {
    const struct fathom__graph *graph = search->graph;
    int32_t normed = with_weight(search, GGML_OP_MUL, 1, "post_ffw_norm.weight");
    int32_t gate = product(search, "ffn_gate.weight"), up = product(search, "ffn_up.weight");
    int32_t down = product(search, "ffn_down.weight");
    place(search, FATHOM_HOOK_MLP_IN, fathom__graph_source(graph, gate >= 0 ? gate : up, 1));
    struct fathom__point *post = place(search, FATHOM_HOOK_MLP_POST, fathom__graph_source(graph, down, 1));
    struct fathom__point *pre = place(search, FATHOM_HOOK_MLP_PRE, finished(graph, gate >= 0 ? gate : up));
    /* A fused gate and up projection has the gate first. */
    if (pre->found && post->found && pre->width == 2 * post->width) pre->width = post->width;
    place(search, FATHOM_HOOK_MLP_OUT, normed >= 0 ? normed : finished(graph, down));
}

static void find_residual(const struct search *search) {
    const struct fathom__graph *graph = search->graph;
    int32_t pre = before_norm(search, "attn_norm.weight"), mid = before_norm(search, "ffn_norm.weight");
    place(search, FATHOM_HOOK_RESID_PRE, pre);
    bool parallel = mid == pre || (mid >= 0 && graph->nodes[mid].op == GGML_OP_GET_ROWS);
    if (!parallel) place(search, FATHOM_HOOK_RESID_MID, mid);
    place(search, FATHOM_HOOK_RESID_POST, named(search, "l_out", GGML_OP_COUNT));
}

/* Layer outputs on architectures that are not known by name: one node of that name, as wide as the model, or nothing.
 */
static void find_by_name(const struct search *search) {
    const struct fathom__graph *graph = search->graph;
    int32_t node = named(search, "l_out", GGML_OP_COUNT);
    if (node < 0 || graph->nodes[node].occurrence > 0) return;
    if (graph->nodes[node].shape[0] != search->shape->d_model || graph->nodes[node].shape[2] != 1) return;
    place(search, FATHOM_HOOK_RESID_POST, node);
    if (search->layer + 1 == search->shape->n_layers) return;
    struct search next = *search;
    next.layer++;
    place(&next, FATHOM_HOOK_RESID_PRE, node);
}

static void find_ends(const struct search *search) {
    const struct fathom__graph *graph = search->graph;
    int32_t scaled = fathom__graph_first_named(graph, "inp_scaled");
    place(search, FATHOM_HOOK_EMBED, scaled >= 0 ? scaled : fathom__graph_first_named(graph, "embd"));
    int32_t head = fathom__graph_with_leaf(graph, GGML_OP_MUL_MAT, 0, "output.weight");
    if (head < 0) head = fathom__graph_with_leaf(graph, GGML_OP_MUL_MAT, 0, "token_embd.weight");
    place(search, FATHOM_HOOK_FINAL_NORM, fathom__graph_source(graph, head, 1));
    place(search, FATHOM_HOOK_LOGITS, fathom__graph_last_named(graph, "result_output", GGML_OP_COUNT));
}

int fathom__points_find(struct fathom__points *out, const struct fathom__graph *graph, const fathom_model *model) {
    const struct fathom__model_shape *shape = &model->shape;
    struct fathom__points points = {.n_layers = shape->n_layers > 0 ? shape->n_layers : 1};
    int status = fathom__alloc(&points.points, (size_t)FATHOM_HOOK_COUNT * points.n_layers, sizeof *points.points);
    if (status) return status;
    struct search search = {.graph = graph, .shape = shape, .points = &points};
    bool known = shape->architecture != FATHOM__ARCH_OTHER;
    if (known) find_ends(&search);
    for (; search.layer < shape->n_layers; search.layer++) {
        if (known) {
            find_residual(&search);
            find_attention(&search);
            find_mlp(&search);
        } else {
            find_by_name(&search);
        }
    }
    *out = points;
    return FATHOM_OK;
}

void fathom__points_free(struct fathom__points *points) {
    fathom_free(points->points);
    *points = (struct fathom__points){0};
}

const struct fathom__point *fathom__points_at(const struct fathom__points *points, struct fathom_hook hook) {
    uint32_t layer = hook.layer < 0 ? 0 : (uint32_t)hook.layer;
    return &points->points[(size_t)hook.kind * points->n_layers + layer];
}
