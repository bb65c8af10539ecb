/* ggml's product on its CPU backend: one small graph a worker, built once, computed by that worker alone. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/product.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <string.h>

enum { GRAPH_NODES = 8 };

struct lane {
    struct ggml_context *context;
    struct ggml_tensor *features, *x, *out;
    struct ggml_cgraph *graph;
    float *rows; /* f32 [n_rows, d]: ggml rounds them itself, as its product for the weights' type asks */
    unsigned char *work;
    struct ggml_cplan plan;
};

struct state {
    size_t d, n_tiles, n_rows;
    uint16_t *packed; /* bf16 [n_tiles, FATHOM__TILE_FEATURES, d] */
    bool borrows;     /* `packed` is the plan's */
    struct lane *lanes;
    uint32_t n_lanes;
};

static void close_ggml(void *handle) {
    struct state *state = handle;
    for (uint32_t i = 0; i < state->n_lanes; i++) {
        ggml_free(state->lanes[i].context);
        fathom_free(state->lanes[i].rows);
        fathom_free(state->lanes[i].work);
    }
    fathom_free(state->lanes);
    if (!state->borrows) fathom_free(state->packed);
    fathom_free(state);
}

static int open_lane(struct lane *lane, size_t d, size_t n_rows) {
    const struct ggml_init_params parameters = {
        .mem_size = GRAPH_NODES * ggml_tensor_overhead() + ggml_graph_overhead_custom(GRAPH_NODES, false),
        .no_alloc = true,
    };
    lane->context = ggml_init(parameters);
    if (!lane->context) return fathom__fail_memory(parameters.mem_size);
    lane->features = ggml_new_tensor_2d(lane->context, GGML_TYPE_BF16, (int64_t)d, FATHOM__TILE_FEATURES);
    lane->x = ggml_new_tensor_2d(lane->context, GGML_TYPE_F32, (int64_t)d, (int64_t)n_rows);
    lane->out = ggml_mul_mat(lane->context, lane->features, lane->x);
    lane->graph = ggml_new_graph_custom(lane->context, GRAPH_NODES, false);
    ggml_build_forward_expand(lane->graph, lane->out);
    lane->plan = ggml_graph_plan(lane->graph, 1, NULL);
    int status = fathom__alloc_aligned(&lane->work, lane->plan.work_size ? lane->plan.work_size : 1, 1);
    if (!status) status = fathom__alloc_aligned(&lane->rows, n_rows * d, sizeof *lane->rows);
    if (status) return status;
    lane->plan.work_data = lane->work;
    lane->x->data = lane->rows;
    return 0;
}

static int open_ggml(void **out, const struct fathom__dense_plan *plan) {
    const size_t count = plan->n_tiles * FATHOM__TILE_FEATURES * plan->d;
    struct state *state = NULL;
    ggml_cpu_init();
    int status = fathom__alloc(&state, 1, sizeof *state);
    if (status) return status;
    state->d = plan->d;
    state->n_tiles = plan->n_tiles;
    state->n_rows = plan->n_rows;
    state->borrows = plan->storage && count * sizeof *state->packed <= plan->storage_bytes;
    status = fathom__alloc(&state->lanes, plan->n_workers, sizeof *state->lanes);
    if (state->borrows)
        state->packed = plan->storage;
    else if (!status)
        status = fathom__alloc_aligned(&state->packed, count, sizeof *state->packed);
    while (!status && state->n_lanes < plan->n_workers)
        status = open_lane(&state->lanes[state->n_lanes++], plan->d, plan->n_rows);
    if (status)
        close_ggml(state);
    else
        *out = state;
    return status;
}

static int pack_ggml(void *handle, uint32_t worker, size_t tile, const uint16_t *features) {
    (void)worker;
    struct state *state = handle;
    const size_t count = FATHOM__TILE_FEATURES * state->d;
    memcpy(state->packed + tile * count, features, count * sizeof *features);
    return 0;
}

static int run_ggml(float *out, void *handle, uint32_t worker, size_t tile, size_t n_tiles, const uint16_t *x,
                    size_t n_rows) {
    (void)n_tiles; /* one */
    (void)n_rows;
    struct state *state = handle;
    struct lane *lane = &state->lanes[worker];
    ggml_bf16_to_fp32_row((const ggml_bf16_t *)(const void *)x, lane->rows, (int64_t)(state->n_rows * state->d));
    lane->features->data = state->packed + tile * FATHOM__TILE_FEATURES * state->d;
    lane->out->data = out;
    enum ggml_status status = ggml_graph_compute(lane->graph, &lane->plan);
    return status == GGML_STATUS_SUCCESS
               ? 0
               : fathom__fail(FATHOM_ERROR_ENGINE, "ggml: the product gave status %d", (int)status);
}

static void *storage_ggml(size_t *bytes, const void *handle) {
    const struct state *state = handle;
    *bytes = state->n_tiles * FATHOM__TILE_FEATURES * state->d * sizeof *state->packed;
    return state->packed;
}

static bool borrows_ggml(const void *handle) {
    const struct state *state = handle;
    return state->borrows;
}

static size_t scratch_ggml(const void *handle) {
    const struct state *state = handle;
    size_t bytes = 0;
    for (uint32_t i = 0; i < state->n_lanes; i++)
        bytes += state->lanes[i].plan.work_size + state->n_rows * state->d * sizeof *state->lanes[i].rows;
    return bytes;
}

static const char *name_ggml(const void *handle) {
    (void)handle;
    return "ggml";
}

const struct fathom__dense_methods fathom__dense_ggml = {
    .name = name_ggml,
    .open = open_ggml,
    .close = close_ggml,
    .pack = pack_ggml,
    .run = run_ggml,
    .storage = storage_ggml,
    .borrows = borrows_ggml,
    .scratch = scratch_ggml,
};
