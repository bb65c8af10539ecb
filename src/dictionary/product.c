#include <base/error.h>
#include <base/memory.h>
#include <dictionary/product.h>
#include <dictionary/vector.h>
#include <fathom/model.h>
#include <stdatomic.h>

struct fathom__dense {
    const struct fathom__dense_methods *methods;
    void *state;
    size_t d, n_tiles, n_rows, span;
    unsigned char *scratch; /* [n_workers, scratch_bytes]: what is packed, or what a run gives */
    size_t scratch_bytes;
    bool borrowed; /* the scratch is another product's */
    uint32_t n_workers;
};

static atomic_int preferred = FATHOM__PRODUCT_BEST;

void fathom__dense_prefer(enum fathom__dense_backend backend) {
    atomic_store(&preferred, (int)backend);
}

static size_t list_methods(const struct fathom__dense_methods *out[3], enum fathom__dense_backend backend) {
    size_t n = 0;
    if (backend == FATHOM__PRODUCT_BEST) backend = (enum fathom__dense_backend)atomic_load(&preferred);
    const bool host = backend == FATHOM__PRODUCT_BEST || backend == FATHOM__PRODUCT_HOST;
    if (backend == FATHOM__PRODUCT_DEVICE || (backend == FATHOM__PRODUCT_BEST && fathom_gpu_present()))
        out[n++] = &fathom__dense_device;
#ifdef FATHOM_HAVE_DNNL
    if (host || backend == FATHOM__PRODUCT_DNNL) out[n++] = &fathom__dense_dnnl;
#endif
    if (host || backend == FATHOM__PRODUCT_GGML) out[n++] = &fathom__dense_ggml;
    return n;
}

static size_t count_tiles(size_t n_features) {
    return (n_features + FATHOM__TILE_FEATURES - 1) / FATHOM__TILE_FEATURES;
}

/* By the first of them that can: there may be a GPU without the room, and oneDNN may know no bf16 product for this
 * processor. */
static int open_first(fathom__dense *product, enum fathom__dense_backend backend,
                      const struct fathom__dense_plan *plan) {
    const struct fathom__dense_methods *methods[3];
    const size_t n = list_methods(methods, backend);
    int status = n ? 0 : fathom__fail(FATHOM_ERROR_UNSUPPORTED, "product: built without oneDNN");
    for (size_t i = 0; i < n; i++) {
        product->methods = methods[i];
        status = methods[i]->open(&product->state, plan);
        if (status != FATHOM_ERROR_UNSUPPORTED) break;
    }
    return status;
}

static int open_scratch(fathom__dense *product) {
    const size_t features = FATHOM__TILE_FEATURES * product->d * sizeof(uint16_t),
                 products = product->span * FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES * sizeof(float);
    product->scratch_bytes = features > products ? features : products;
    return fathom__alloc_aligned(&product->scratch, product->n_workers, product->scratch_bytes);
}

static size_t find_span(const fathom__dense *product) {
    return product->methods->span ? product->methods->span(product->state) : 1;
}

int fathom__dense_open(fathom__dense **out, enum fathom__dense_backend backend, size_t d, size_t n_features,
                       uint32_t n_workers) {
    fathom__dense *product = NULL;
    int status = fathom__alloc(&product, 1, sizeof *product);
    if (status) return status;
    product->d = d;
    product->n_tiles = count_tiles(n_features);
    product->n_rows = FATHOM__TILE_ROWS;
    product->n_workers = n_workers;
    const struct fathom__dense_plan plan = {.d = d,
                                            .n_tiles = product->n_tiles,
                                            .n_rows = product->n_rows,
                                            .n_workers = n_workers,
                                            .any_device = !fathom_gpu_present()};
    status = open_first(product, backend, &plan);
    if (!status) {
        product->span = find_span(product);
        status = open_scratch(product);
    }
    if (status)
        fathom__dense_close(product);
    else
        *out = product;
    return status;
}

int fathom__dense_open_beside(fathom__dense **out, const fathom__dense *other,
                              const struct fathom__dense_shape *shape) {
    fathom__dense *product = NULL;
    int status = fathom__alloc(&product, 1, sizeof *product);
    if (status) return status;
    *product = *other;
    product->state = NULL;
    product->borrowed = true;
    product->n_tiles = count_tiles(shape->n_features);
    product->n_rows = shape->n_rows;
    const struct fathom__dense_plan plan = {.d = product->d,
                                            .n_tiles = product->n_tiles,
                                            .n_rows = product->n_rows,
                                            .n_workers = product->n_workers,
                                            .storage = shape->storage,
                                            .storage_bytes = shape->storage_bytes};
    status = product->methods->open(&product->state, &plan);
    if (!status && find_span(product) < product->span) product->span = find_span(product);
    if (status)
        fathom__dense_close(product);
    else
        *out = product;
    return status;
}

void fathom__dense_close(fathom__dense *product) {
    if (!product) return;
    if (product->state) product->methods->close(product->state);
    if (!product->borrowed) fathom_free(product->scratch);
    fathom_free(product);
}

size_t fathom__dense_tiles(const fathom__dense *product) {
    return product->n_tiles;
}

float *fathom__dense_tile(const fathom__dense *product, uint32_t worker) {
    return (float *)(void *)(product->scratch + worker * product->scratch_bytes);
}

void *fathom__dense_storage(size_t *bytes, const fathom__dense *product) {
    return product->methods->storage(bytes, product->state);
}

size_t fathom__dense_tile_bytes(const fathom__dense *product, size_t n_features) {
    size_t packed;
    fathom__dense_storage(&packed, product);
    return packed / product->n_tiles * count_tiles(n_features);
}

size_t fathom__dense_bytes(const fathom__dense *product) {
    size_t packed;
    fathom__dense_storage(&packed, product);
    if (product->methods->borrows(product->state)) packed = 0;
    return packed + (product->borrowed ? 0 : product->n_workers * product->scratch_bytes) +
           product->methods->scratch(product->state);
}

const char *fathom__dense_name(const fathom__dense *product) {
    return product->methods->name(product->state);
}

int fathom__dense_pack(fathom__dense *product, uint32_t worker, size_t tile, const float *const *rows, size_t n) {
    const size_t d = product->d;
    uint16_t *scratch = (uint16_t *)(void *)fathom__dense_tile(product, worker);
    for (size_t i = 0; i < n; i++)
        fathom__row_to_bf16(scratch + i * d, rows[i], d);
    if (n < FATHOM__TILE_FEATURES) memset(scratch + n * d, 0, (FATHOM__TILE_FEATURES - n) * d * sizeof *scratch);
    return product->methods->pack(product->state, worker, tile, scratch);
}

size_t fathom__dense_span(const fathom__dense *product) {
    return product->span;
}

size_t fathom__dense_room(const fathom__dense *product) {
    return product->n_rows * FATHOM__TILE_FEATURES;
}

int fathom__dense_run(float *out, fathom__dense *product, uint32_t worker, size_t tile, size_t n_tiles,
                      const uint16_t *x, size_t n_rows) {
    const size_t room = fathom__dense_room(product);
    int status = 0;
    for (size_t first = 0; first < n_tiles && !status; first += product->span) {
        const size_t left = n_tiles - first, n = left < product->span ? left : product->span;
        status = product->methods->run(out + first * room, product->state, worker, tile + first, n, x, n_rows);
    }
    return status;
}
