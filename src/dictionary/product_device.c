/* ggml's product on a GPU, or on any other device that ggml has a backend for.
 *
 * Features lie there as f32, though rounded to bf16: every backend multiplies f32, sums in f32, and what narrower type
 * it works in (TF32, f16) holds such numbers. f16 has less range: rows go there scaled by a power of two, which what
 * comes out is multiplied by again. A run takes several tiles, so that one copy each way and one start are shared.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/product.h>
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

enum {
    GRAPH_NODES = 16,
    SPAN = 16,       /* tiles of a run: 4 MiB of f32 come back, long enough beside a kernel's start and a copy's */
    MOST_SHIFT = 100 /* powers of two that a row is scaled by, so that neither factor leaves f32 */
};

/* One backend for all products: its queue, its libraries' handles and its scratch are made once. Backends are not for
 * several threads at once. */
static struct {
    pthread_mutex_t lock;
    ggml_backend_t backend;
    size_t users;
} device = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct lane {
    float *rows;  /* f32 [the larger of n_rows and FATHOM__TILE_FEATURES, d]: on their way to the device */
    float *scale; /* [n_rows] */
};

struct state {
    size_t d, n_tiles, n_rows, span;
    struct ggml_context *context; /* of the features alone */
    struct ggml_tensor *features; /* f32 [n_tiles * FATHOM__TILE_FEATURES, d] */
    ggml_backend_buffer_t buffer;
    ggml_gallocr_t allocator;
    unsigned char *graph_memory;
    size_t graph_bytes;
    struct lane *lanes;
    uint32_t n_lanes;
};

static ggml_backend_dev_t find_device(bool any) {
    ggml_backend_dev_t found = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU);
    if (!found) found = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_IGPU);
    if (!found && any) found = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return found;
}

static int take_device(bool any) {
    ggml_backend_dev_t found = find_device(any);
    int status = 0;
    pthread_mutex_lock(&device.lock);
    if (!device.backend && found) device.backend = ggml_backend_dev_init(found, NULL);
    if (device.backend)
        device.users++;
    else
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "product: %s could not be opened",
                              found ? ggml_backend_dev_name(found) : "a GPU");
    pthread_mutex_unlock(&device.lock);
    return status;
}

static void give_device(void) {
    pthread_mutex_lock(&device.lock);
    if (--device.users == 0) {
        ggml_backend_free(device.backend);
        device.backend = NULL;
    }
    pthread_mutex_unlock(&device.lock);
}

static void close_device(void *handle) {
    struct state *state = handle;
    for (uint32_t i = 0; state->lanes && i < state->n_lanes; i++) {
        fathom_free(state->lanes[i].rows);
        fathom_free(state->lanes[i].scale);
    }
    fathom_free(state->lanes);
    fathom_free(state->graph_memory);
    ggml_gallocr_free(state->allocator);
    ggml_backend_buffer_free(state->buffer);
    ggml_free(state->context);
    fathom_free(state);
    give_device();
}

struct run {
    struct ggml_context *context;
    struct ggml_cgraph *graph;
    struct ggml_tensor *x, *scale, *out; /* out: [n_tiles, n_rows, FATHOM__TILE_FEATURES] */
};

static struct run describe_run(const struct state *state, size_t tile, size_t n_tiles, size_t n_rows) {
    const struct ggml_init_params parameters = {state->graph_bytes, state->graph_memory, true};
    struct run run = {.context = ggml_init(parameters)};
    struct ggml_tensor *features =
        ggml_view_2d(run.context, state->features, (int64_t)state->d, (int64_t)(n_tiles * FATHOM__TILE_FEATURES),
                     state->features->nb[1], tile * FATHOM__TILE_FEATURES * state->features->nb[1]);
    run.x = ggml_new_tensor_2d(run.context, GGML_TYPE_F32, (int64_t)state->d, (int64_t)n_rows);
    run.scale = ggml_new_tensor_2d(run.context, GGML_TYPE_F32, 1, (int64_t)n_rows);
    ggml_set_input(run.x);
    ggml_set_input(run.scale);
    struct ggml_tensor *product = ggml_mul_mat(run.context, features, run.x);
    ggml_prec_set_acc(product, GGML_PREC_F32);
    run.out = ggml_mul(run.context, product, run.scale);
    if (n_tiles > 1 && n_rows > 1)
        run.out = ggml_cont(run.context, ggml_permute(run.context,
                                                      ggml_reshape_3d(run.context, run.out, FATHOM__TILE_FEATURES,
                                                                      (int64_t)n_tiles, (int64_t)n_rows),
                                                      0, 2, 1, 3));
    ggml_set_output(run.out);
    run.graph = ggml_new_graph_custom(run.context, GRAPH_NODES, false);
    ggml_build_forward_expand(run.graph, run.out);
    return run;
}

/* Whether the device can do a whole run, and its scratch for one. */
static int reserve_run(struct state *state) {
    struct run run = describe_run(state, 0, state->span, state->n_rows);
    int status = 0;
    for (int i = 0; i < ggml_graph_n_nodes(run.graph) && !status; i++)
        if (!ggml_backend_supports_op(device.backend, ggml_graph_node(run.graph, i)))
            status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "product: %s has no %s of f32",
                                  ggml_backend_name(device.backend), ggml_op_desc(ggml_graph_node(run.graph, i)));
    if (!status && !ggml_gallocr_reserve(state->allocator, run.graph))
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "product: no room on %s", ggml_backend_name(device.backend));
    ggml_free(run.context);
    return status;
}

static int open_features(struct state *state) {
    const struct ggml_init_params parameters = {.mem_size = ggml_tensor_overhead(), .no_alloc = true};
    state->context = ggml_init(parameters);
    if (!state->context) return fathom__fail_memory(parameters.mem_size);
    state->features = ggml_new_tensor_2d(state->context, GGML_TYPE_F32, (int64_t)state->d,
                                         (int64_t)(state->n_tiles * FATHOM__TILE_FEATURES));
    state->buffer = ggml_backend_alloc_ctx_tensors(state->context, device.backend);
    if (!state->buffer)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "product: no room for %zu bytes on %s",
                            ggml_nbytes(state->features), ggml_backend_name(device.backend));
    ggml_backend_buffer_clear(state->buffer, 0);
    state->allocator = ggml_gallocr_new(ggml_backend_get_default_buffer_type(device.backend));
    return state->allocator ? 0 : fathom__fail_memory(0);
}

static int open_lanes(struct state *state, uint32_t n_lanes) {
    const size_t rows = state->n_rows > FATHOM__TILE_FEATURES ? state->n_rows : FATHOM__TILE_FEATURES;
    state->graph_bytes = GRAPH_NODES * ggml_tensor_overhead() + ggml_graph_overhead_custom(GRAPH_NODES, false);
    int status = fathom__alloc_aligned(&state->graph_memory, state->graph_bytes, 1);
    if (!status) status = fathom__alloc(&state->lanes, n_lanes, sizeof *state->lanes);
    for (state->n_lanes = 0; !status && state->n_lanes < n_lanes; state->n_lanes++) {
        struct lane *lane = &state->lanes[state->n_lanes];
        status = fathom__alloc_aligned(&lane->rows, rows * state->d, sizeof *lane->rows);
        if (!status) status = fathom__alloc(&lane->scale, state->n_rows, sizeof *lane->scale);
    }
    return status;
}

static int open_device(void **out, const struct fathom__dense_plan *plan) {
    struct state *state = NULL;
    int status = take_device(plan->any_device);
    if (status) return status;
    status = fathom__alloc(&state, 1, sizeof *state);
    if (status) {
        give_device();
        return status;
    }
    state->d = plan->d;
    state->n_tiles = plan->n_tiles;
    state->n_rows = plan->n_rows;
    state->span = plan->n_tiles < SPAN ? plan->n_tiles : SPAN;
    status = open_lanes(state, plan->n_workers);
    if (!status) {
        pthread_mutex_lock(&device.lock);
        status = open_features(state);
        if (!status) status = reserve_run(state);
        pthread_mutex_unlock(&device.lock);
    }
    if (status)
        close_device(state);
    else
        *out = state;
    return status;
}

static int pack_device(void *handle, uint32_t worker, size_t tile, const uint16_t *features) {
    const struct state *state = handle;
    const size_t count = FATHOM__TILE_FEATURES * state->d;
    float *rows = state->lanes[worker].rows;
    ggml_bf16_to_fp32_row((const ggml_bf16_t *)(const void *)features, rows, (int64_t)count);
    pthread_mutex_lock(&device.lock);
    ggml_backend_tensor_set(state->features, rows, tile * count * sizeof *rows, count * sizeof *rows);
    pthread_mutex_unlock(&device.lock);
    return 0;
}

/* Rows whose largest number lies in [1/2, 1), and what to multiply by to undo it. Rows that are not finite stay so. */
static void load_rows(const struct lane *lane, const uint16_t *x, size_t n_rows, size_t d) {
    ggml_bf16_to_fp32_row((const ggml_bf16_t *)(const void *)x, lane->rows, (int64_t)(n_rows * d));
    for (size_t r = 0; r < n_rows; r++) {
        float *row = lane->rows + r * d, largest = 0;
        int exponent = 0;
        for (size_t j = 0; j < d; j++)
            largest = fmaxf(largest, fabsf(row[j]));
        if (largest > 0 && isfinite(largest)) frexpf(largest, &exponent);
        if (exponent < -MOST_SHIFT) exponent = -MOST_SHIFT;
        if (exponent > MOST_SHIFT) exponent = MOST_SHIFT;
        const float down = ldexpf(1, -exponent);
        for (size_t j = 0; j < d; j++)
            row[j] *= down;
        lane->scale[r] = ldexpf(1, exponent);
    }
}

static int compute(float *out, const struct state *state, const struct lane *lane, const struct run *run) {
    if (!ggml_gallocr_alloc_graph(state->allocator, run->graph))
        return fathom__fail(FATHOM_ERROR_ENGINE, "product: no room on %s", ggml_backend_name(device.backend));
    ggml_backend_tensor_set(run->x, lane->rows, 0, ggml_nbytes(run->x));
    ggml_backend_tensor_set(run->scale, lane->scale, 0, ggml_nbytes(run->scale));
    enum ggml_status failure = ggml_backend_graph_compute(device.backend, run->graph);
    if (failure != GGML_STATUS_SUCCESS)
        return fathom__fail(FATHOM_ERROR_ENGINE, "%s: the product gave status %d", ggml_backend_name(device.backend),
                            (int)failure);
    ggml_backend_tensor_get(run->out, out, 0, ggml_nbytes(run->out));
    return 0;
}

static int run_device(float *out, void *handle, uint32_t worker, size_t tile, size_t n_tiles, const uint16_t *x,
                      size_t n_rows) {
    const struct state *state = handle;
    const struct lane *lane = &state->lanes[worker];
    const size_t given = n_rows * FATHOM__TILE_FEATURES, wanted = state->n_rows * FATHOM__TILE_FEATURES;
    load_rows(lane, x, n_rows, state->d);
    pthread_mutex_lock(&device.lock);
    const struct run run = describe_run(state, tile, n_tiles, n_rows);
    int status = compute(out, state, lane, &run);
    ggml_free(run.context);
    pthread_mutex_unlock(&device.lock);
    for (size_t t = n_tiles; t-- > 1 && given < wanted;)
        memmove(out + t * wanted, out + t * given, given * sizeof *out);
    return status;
}

static void *storage_device(size_t *bytes, const void *handle) {
    (void)handle;
    *bytes = 0;
    return NULL;
}

static bool borrows_device(const void *handle) {
    (void)handle;
    return false;
}

static size_t scratch_device(const void *handle) {
    const struct state *state = handle;
    const size_t rows = state->n_rows > FATHOM__TILE_FEATURES ? state->n_rows : FATHOM__TILE_FEATURES;
    return state->graph_bytes + state->n_lanes * (rows * state->d + state->n_rows) * sizeof(float);
}

static size_t span_device(const void *handle) {
    const struct state *state = handle;
    return state->span;
}

static const char *name_device(const void *handle) {
    (void)handle;
    return ggml_backend_name(device.backend);
}

const struct fathom__dense_methods fathom__dense_device = {
    .name = name_device,
    .open = open_device,
    .close = close_device,
    .pack = pack_device,
    .run = run_device,
    .storage = storage_device,
    .borrows = borrows_device,
    .scratch = scratch_device,
    .span = span_device,
};
