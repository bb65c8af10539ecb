/* The accelerator's products with weights: one by one, and a gated MLP in one piece. */
#include "engine/accelerator_parts.h"

#if FATHOM__ACCELERATOR

#include <fathom/error.h>
#include <ggml-backend.h>
#include <internal/ggml-impl.h>

bool fathom__weights_supports(const struct ggml_tensor *node) {
    const struct ggml_tensor *weight = node->src[0], *rows = node->src[1];
    if (!weight->buffer || ggml_backend_buffer_get_usage(weight->buffer) != GGML_BACKEND_BUFFER_USAGE_WEIGHTS)
        return false;
    if (!ggml_backend_buffer_is_host(weight->buffer)) return false;
    if (weight->type != GGML_TYPE_F32 && !ggml_get_type_traits(weight->type)->to_float) return false;
    return ggml_is_matrix(weight) && ggml_is_contiguous(weight) && rows->type == GGML_TYPE_F32 &&
           node->type == GGML_TYPE_F32 && ggml_is_contiguous(rows) && ggml_is_contiguous(node);
}

/* The rows that a product multiplies, as bf16. */
static int round_rows(const fathom__bf16 **out, struct fathom__worker *worker, const struct ggml_tensor *rows) {
    fathom__bf16 *rounded = NULL;
    const size_t n = (size_t)ggml_nelements(rows);
    const int status = fathom__scratch_hold(&rounded, &worker->rows, n * sizeof *rounded);
    if (status != FATHOM_OK) return status;
    if (worker->rounded != rows) fathom__to_bf16(rounded, rows->data, n);
    worker->rounded = rows;
    worker->rounded_data = rows->data;
    *out = rounded;
    return FATHOM_OK;
}

static struct fathom__product_shape shape_of(const struct ggml_tensor *node) {
    return (struct fathom__product_shape){.m = ggml_nrows(node->src[1]),
                                          .n = node->src[0]->ne[1],
                                          .k = node->src[0]->ne[0],
                                          .right = FATHOM__RIGHT_PACKED};
}

int fathom__weights_compute(struct fathom__worker *worker, struct ggml_tensor *node) {
    const struct fathom__product_shape shape = shape_of(node);
    const struct fathom__packed *weight = NULL;
    const fathom__bf16 *rows = NULL;
    int status = fathom__accelerator_packed(&weight, worker->accelerator, node->src[0]);
    if (status == FATHOM_OK) status = round_rows(&rows, worker, node->src[1]);
    if (status != FATHOM_OK) return status;
    return fathom__product_run(worker->products, &shape, rows, fathom__packed_bytes(weight), node->data, NULL);
}

bool fathom__gated_find(struct fathom__gated *out, const struct ggml_cgraph *graph, int at) {
    static const enum ggml_op pattern[] = {GGML_OP_MUL_MAT, GGML_OP_MUL_MAT, GGML_OP_GLU, GGML_OP_MUL_MAT};
    if (at + 3 >= graph->n_nodes) return false;
    struct ggml_tensor *const first = graph->nodes[at], *const second = graph->nodes[at + 1],
                              *const joined = graph->nodes[at + 2];
    const int nodes[] = {at, at + 1, at + 2, at + 3};
    if (!ggml_can_fuse_subgraph_ext(graph, nodes, 4, pattern, &nodes[3], 1)) return false;
    *out = (struct fathom__gated){
        .joined = joined, .down = graph->nodes[at + 3], .gate = joined->src[0], .up = joined->src[1]};
    return ((out->gate == first && out->up == second) || (out->gate == second && out->up == first)) &&
           first->src[1] == second->src[1] && out->down->src[1] == joined && fathom__rows_supports(joined);
}

int fathom__gated_compute(struct fathom__worker *worker, const struct fathom__gated *mlp) {
    struct fathom__product_shape gate = shape_of(mlp->gate), up = shape_of(mlp->up);
    const struct fathom__product_shape down = shape_of(mlp->down);
    const struct fathom__packed *gate_weight = NULL, *up_weight = NULL, *down_weight = NULL;
    const fathom__bf16 *rows = NULL;
    fathom__bf16 *inner = NULL, *product = NULL;
    gate.finish = ggml_get_glu_op(mlp->joined) == GGML_GLU_OP_SWIGLU ? FATHOM__FINISH_SILU : FATHOM__FINISH_GELU;
    up.finish = FATHOM__FINISH_TIMES;
    gate.to_bf16 = up.to_bf16 = true;
    int status = fathom__accelerator_packed(&gate_weight, worker->accelerator, mlp->gate->src[0]);
    if (status == FATHOM_OK) status = fathom__accelerator_packed(&up_weight, worker->accelerator, mlp->up->src[0]);
    if (status == FATHOM_OK) status = fathom__accelerator_packed(&down_weight, worker->accelerator, mlp->down->src[0]);
    if (status == FATHOM_OK) status = round_rows(&rows, worker, mlp->gate->src[1]);
    if (status == FATHOM_OK)
        status = fathom__scratch_hold(&inner, &worker->gate, 2 * (size_t)(gate.m * gate.n) * sizeof *inner);
    if (status != FATHOM_OK) return status;
    product = inner + gate.m * gate.n;
    status = fathom__product_run(worker->products, &gate, rows, fathom__packed_bytes(gate_weight), inner, NULL);
    if (status == FATHOM_OK)
        status = fathom__product_run(worker->products, &up, rows, fathom__packed_bytes(up_weight), product, inner);
    if (status == FATHOM_OK)
        status = fathom__product_run(worker->products, &down, product, fathom__packed_bytes(down_weight),
                                     mlp->down->data, NULL);
    return status;
}

#endif
