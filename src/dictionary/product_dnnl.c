/* oneDNN's product. Every worker has its own stream and its own memory objects, and runs single-threaded: the workers
 * share out the rows themselves, and a team inside oneDNN would fight them for the cores. */
#include <dictionary/product.h>

#ifdef FATHOM_HAVE_DNNL

#include <base/error.h>
#include <base/memory.h>
#include <dlfcn.h>
#include <dnnl.h>
#include <dnnl_version.h>

struct lane { /* one worker's objects */
    dnnl_stream_t stream;
    dnnl_memory_t x, packed, out, plain;
    dnnl_memory_t product_scratch, pack_scratch;
};

struct state {
    size_t d, n_tiles, tile_bytes;
    size_t scratch_bytes; /* of a lane */
    unsigned char *packed;
    bool borrows; /* `packed` is the plan's */
    dnnl_engine_t engine;
    dnnl_primitive_t product, pack_tile;
    struct lane *lanes;
    uint32_t n_lanes;
    /* The OpenMP team size of the calling thread, where oneDNN was built on OpenMP; found at run time because other
     * builds have none. */
    void (*set_threads)(int);
    int (*max_threads)(void);
};

static int failed(dnnl_status_t failure, const char *doing) {
    const int status = failure == dnnl_out_of_memory   ? FATHOM_ERROR_MEMORY
                       : failure == dnnl_unimplemented ? FATHOM_ERROR_UNSUPPORTED
                                                       : FATHOM_ERROR_ENGINE;
    return fathom__fail(status, "oneDNN: %s gave status %d", doing, (int)failure);
}

/* Descriptors are values in oneDNN 2 and handles in oneDNN 3. */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t description;
#define DESCRIPTION(d) (d)
static dnnl_status_t describe(description *out, int64_t rows, int64_t columns, dnnl_data_type_t type,
                              dnnl_format_tag_t tag) {
    const dnnl_dims_t shape = {rows, columns};
    return dnnl_memory_desc_create_with_tag(out, 2, shape, type, tag);
}
static void forget(description *d) {
    dnnl_memory_desc_destroy(*d);
}
static dnnl_status_t describe_product(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const description *x,
                                      const description *features, const description *result,
                                      const_dnnl_primitive_attr_t attributes) {
    return dnnl_matmul_primitive_desc_create(out, engine, *x, *features, NULL, *result, attributes);
}
static dnnl_status_t describe_reorder(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const description *from,
                                      const_dnnl_memory_desc_t to, const_dnnl_primitive_attr_t attributes) {
    return dnnl_reorder_primitive_desc_create(out, *from, engine, to, engine, attributes);
}
typedef const_dnnl_memory_desc_t chosen_description;
#else
typedef dnnl_memory_desc_t description;
#define DESCRIPTION(d) (&(d))
static dnnl_status_t describe(description *out, int64_t rows, int64_t columns, dnnl_data_type_t type,
                              dnnl_format_tag_t tag) {
    const dnnl_dims_t shape = {rows, columns};
    return dnnl_memory_desc_init_by_tag(out, 2, shape, type, tag);
}
static void forget(description *d) {
    (void)d;
}
static dnnl_status_t describe_product(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const description *x,
                                      const description *features, const description *result,
                                      const_dnnl_primitive_attr_t attributes) {
    dnnl_matmul_desc_t operation;
    dnnl_status_t status = dnnl_matmul_desc_init(&operation, x, features, NULL, result);
    return status ? status : dnnl_primitive_desc_create(out, &operation, attributes, engine, NULL);
}
static dnnl_status_t describe_reorder(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const description *from,
                                      const dnnl_memory_desc_t *to, const_dnnl_primitive_attr_t attributes) {
    return dnnl_reorder_primitive_desc_create(out, from, engine, to, engine, attributes);
}
typedef const dnnl_memory_desc_t *chosen_description;
#endif

static void close_dnnl(void *handle) {
    struct state *state = handle;
    for (uint32_t i = 0; i < state->n_lanes; i++) {
        struct lane *lane = &state->lanes[i];
        dnnl_memory_destroy(lane->x);
        dnnl_memory_destroy(lane->packed);
        dnnl_memory_destroy(lane->out);
        dnnl_memory_destroy(lane->plain);
        dnnl_memory_destroy(lane->product_scratch);
        dnnl_memory_destroy(lane->pack_scratch);
        dnnl_stream_destroy(lane->stream);
    }
    dnnl_primitive_destroy(state->product);
    dnnl_primitive_destroy(state->pack_tile);
    dnnl_engine_destroy(state->engine);
    fathom_free(state->lanes);
    if (!state->borrows) fathom_free(state->packed);
    fathom_free(state);
}

/* What a lane is made for. */
struct shapes {
    const description *x, *out, *plain;
    chosen_description packed, product_scratch, pack_scratch;
};

static dnnl_status_t open_lane(struct lane *lane, struct state *state, const struct shapes *shapes) {
    dnnl_status_t status = dnnl_stream_create(&lane->stream, state->engine, dnnl_stream_default_flags);
    if (!status) status = dnnl_memory_create(&lane->x, DESCRIPTION(*shapes->x), state->engine, DNNL_MEMORY_NONE);
    if (!status) status = dnnl_memory_create(&lane->out, DESCRIPTION(*shapes->out), state->engine, DNNL_MEMORY_NONE);
    if (!status)
        status = dnnl_memory_create(&lane->plain, DESCRIPTION(*shapes->plain), state->engine, DNNL_MEMORY_NONE);
    if (!status) status = dnnl_memory_create(&lane->packed, shapes->packed, state->engine, DNNL_MEMORY_NONE);
    if (!status)
        status =
            dnnl_memory_create(&lane->product_scratch, shapes->product_scratch, state->engine, DNNL_MEMORY_ALLOCATE);
    if (!status)
        status = dnnl_memory_create(&lane->pack_scratch, shapes->pack_scratch, state->engine, DNNL_MEMORY_ALLOCATE);
    return status;
}

static int open_dnnl(void **out, const struct fathom__dense_plan *plan) {
    struct state *state = NULL;
    description x = {0}, any = {0}, plain = {0}, result = {0};
    dnnl_primitive_desc_t product = NULL, pack_tile = NULL;
    dnnl_primitive_attr_t attributes = NULL;
    struct shapes shapes = {.x = &x, .out = &result, .plain = &plain};
    const int64_t width = (int64_t)plan->d, n_rows = (int64_t)plan->n_rows;
    dnnl_status_t failure;
    int status = fathom__alloc(&state, 1, sizeof *state);
    if (status) return status;
    state->d = plan->d;
    state->n_tiles = plan->n_tiles;
    *(void **)&state->set_threads = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    *(void **)&state->max_threads = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    failure = dnnl_engine_create(&state->engine, dnnl_cpu, 0);
    if (!failure) failure = describe(&x, n_rows, width, dnnl_bf16, dnnl_ab);
    if (!failure) failure = describe(&any, width, FATHOM__TILE_FEATURES, dnnl_bf16, dnnl_format_tag_any);
    if (!failure) failure = describe(&plain, width, FATHOM__TILE_FEATURES, dnnl_bf16, dnnl_ba);
    if (!failure) failure = describe(&result, n_rows, FATHOM__TILE_FEATURES, dnnl_f32, dnnl_ab);
    /* Primitives made under a team of one are also scheduled for one. */
    const int team = state->max_threads ? state->max_threads() : 1;
    if (state->set_threads) state->set_threads(1);
    /* oneDNN's own scratchpad belongs to the thread that makes a primitive; here other threads run it. */
    if (!failure) failure = dnnl_primitive_attr_create(&attributes);
    if (!failure) failure = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (!failure) failure = describe_product(&product, state->engine, &x, &any, &result, attributes);
    if (!failure) failure = dnnl_primitive_create(&state->product, product);
    if (failure) {
        status = failed(failure, "making the product");
        goto done;
    }
    shapes.packed = dnnl_primitive_desc_query_md(product, dnnl_query_weights_md, 0);
    shapes.product_scratch = dnnl_primitive_desc_query_md(product, dnnl_query_scratchpad_md, 0);
    state->tile_bytes = dnnl_memory_desc_get_size(shapes.packed);
    failure = describe_reorder(&pack_tile, state->engine, &plain, shapes.packed, attributes);
    if (!failure) shapes.pack_scratch = dnnl_primitive_desc_query_md(pack_tile, dnnl_query_scratchpad_md, 0);
    if (!failure) failure = dnnl_primitive_create(&state->pack_tile, pack_tile);
    if (!failure)
        state->scratch_bytes =
            dnnl_memory_desc_get_size(shapes.product_scratch) + dnnl_memory_desc_get_size(shapes.pack_scratch);
    status = fathom__alloc(&state->lanes, plan->n_workers, sizeof *state->lanes);
    state->borrows = plan->storage && state->n_tiles * state->tile_bytes <= plan->storage_bytes;
    if (state->borrows)
        state->packed = plan->storage;
    else if (!status)
        status = fathom__alloc_aligned(&state->packed, state->n_tiles, state->tile_bytes);
    while (!status && !failure && state->n_lanes < plan->n_workers)
        failure = open_lane(&state->lanes[state->n_lanes++], state, &shapes);
    if (!status && failure) status = failed(failure, "making memory");
done:
    if (state->set_threads) state->set_threads(team);
    dnnl_primitive_attr_destroy(attributes);
    dnnl_primitive_desc_destroy(product);
    dnnl_primitive_desc_destroy(pack_tile);
    forget(&x);
    forget(&any);
    forget(&plain);
    forget(&result);
    if (status)
        close_dnnl(state);
    else
        *out = state;
    return status;
}

static dnnl_status_t execute(struct state *state, struct lane *lane, dnnl_primitive_t primitive,
                             const dnnl_exec_arg_t *arguments, int n) {
    const int team = state->max_threads ? state->max_threads() : 1;
    if (team != 1 && state->set_threads) state->set_threads(1);
    dnnl_status_t status = dnnl_primitive_execute(primitive, lane->stream, n, arguments);
    if (!status) status = dnnl_stream_wait(lane->stream);
    if (team != 1 && state->set_threads) state->set_threads(team);
    return status;
}

/* oneDNN's handles are not const, though sources are only read. */
static void *unconst(const void *pointer) {
    return (void *)(uintptr_t)pointer;
}

static int pack_dnnl(void *handle, uint32_t worker, size_t tile, const uint16_t *features) {
    struct state *state = handle;
    struct lane *lane = &state->lanes[worker];
    dnnl_memory_set_data_handle(lane->plain, unconst(features));
    dnnl_memory_set_data_handle(lane->packed, state->packed + tile * state->tile_bytes);
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_FROM, lane->plain}, {DNNL_ARG_TO, lane->packed}, {DNNL_ARG_SCRATCHPAD, lane->pack_scratch}};
    dnnl_status_t status = execute(state, lane, state->pack_tile, arguments, 3);
    return status ? failed(status, "packing features") : 0;
}

static int run_dnnl(float *out, void *handle, uint32_t worker, size_t tile, size_t n_tiles, const uint16_t *x,
                    size_t n_rows) {
    (void)n_tiles; /* one */
    (void)n_rows;  /* the primitive's shape is fixed; the rows past n_rows cost time in the last block only */
    struct state *state = handle;
    struct lane *lane = &state->lanes[worker];
    dnnl_memory_set_data_handle(lane->x, unconst(x));
    dnnl_memory_set_data_handle(lane->packed, state->packed + tile * state->tile_bytes);
    dnnl_memory_set_data_handle(lane->out, out);
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, lane->x},
                                         {DNNL_ARG_WEIGHTS, lane->packed},
                                         {DNNL_ARG_DST, lane->out},
                                         {DNNL_ARG_SCRATCHPAD, lane->product_scratch}};
    dnnl_status_t status = execute(state, lane, state->product, arguments, 4);
    return status ? failed(status, "the product") : 0;
}

static void *storage_dnnl(size_t *bytes, const void *handle) {
    const struct state *state = handle;
    *bytes = state->n_tiles * state->tile_bytes;
    return state->packed;
}

static bool borrows_dnnl(const void *handle) {
    const struct state *state = handle;
    return state->borrows;
}

static size_t scratch_dnnl(const void *handle) {
    const struct state *state = handle;
    return state->n_lanes * state->scratch_bytes;
}

static const char *name_dnnl(const void *handle) {
    (void)handle;
    return "oneDNN";
}

const struct fathom__dense_methods fathom__dense_dnnl = {
    .name = name_dnnl,
    .open = open_dnnl,
    .close = close_dnnl,
    .pack = pack_dnnl,
    .run = run_dnnl,
    .storage = storage_dnnl,
    .borrows = borrows_dnnl,
    .scratch = scratch_dnnl,
};

#endif
