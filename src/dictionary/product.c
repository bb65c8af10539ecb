#include <base/error.h>
#include <base/memory.h>
#include <dictionary/product.h>
#include <dictionary/vector.h>

struct fathom__dense {
    const struct fathom__dense_methods *methods;
    void *state;
    size_t d, n_tiles;
    unsigned char *scratch; /* [n_workers, scratch_bytes]: what is packed, or what a run gives */
    size_t scratch_bytes;
    bool borrowed; /* the scratch is another product's */
    uint32_t n_workers;
};

static const struct fathom__dense_methods *find_methods(enum fathom__dense_backend backend) {
#ifdef FATHOM_HAVE_DNNL
    if (backend != FATHOM__PRODUCT_GGML) return &fathom__dense_dnnl;
#endif
    return backend == FATHOM__PRODUCT_DNNL ? NULL : &fathom__dense_ggml;
}

static size_t count_tiles(size_t n_features) {
    return (n_features + FATHOM__TILE_FEATURES - 1) / FATHOM__TILE_FEATURES;
}

int fathom__dense_open(fathom__dense **out, enum fathom__dense_backend backend, size_t d, size_t n_features,
                       uint32_t n_workers) {
    const struct fathom__dense_methods *methods = find_methods(backend);
    if (!methods) return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "product: built without oneDNN");
    fathom__dense *product = NULL;
    int status = fathom__alloc(&product, 1, sizeof *product);
    if (status) return status;
    product->methods = methods;
    product->d = d;
    product->n_tiles = count_tiles(n_features);
    product->n_workers = n_workers;
    product->scratch_bytes = FATHOM__TILE_FEATURES * d * sizeof(uint16_t);
    if (product->scratch_bytes < FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES * sizeof(float))
        product->scratch_bytes = FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES * sizeof(float);
    status = fathom__alloc_aligned(&product->scratch, n_workers, product->scratch_bytes);
    const struct fathom__dense_plan plan = {
        .d = d, .n_tiles = product->n_tiles, .n_rows = FATHOM__TILE_ROWS, .n_workers = n_workers};
    if (!status) status = methods->open(&product->state, &plan);
    /* oneDNN may be there and know no bf16 product for this processor. */
    if (status == FATHOM_ERROR_UNSUPPORTED && backend == FATHOM__PRODUCT_BEST && methods != &fathom__dense_ggml) {
        product->methods = &fathom__dense_ggml;
        status = product->methods->open(&product->state, &plan);
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
    const struct fathom__dense_plan plan = {product->d,         product->n_tiles, shape->n_rows,
                                            product->n_workers, shape->storage,   shape->storage_bytes};
    status = product->methods->open(&product->state, &plan);
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
    return product->methods->name;
}

int fathom__dense_pack(fathom__dense *product, uint32_t worker, size_t tile, const float *const *rows, size_t n) {
    const size_t d = product->d;
    uint16_t *scratch = (uint16_t *)(void *)fathom__dense_tile(product, worker);
    for (size_t i = 0; i < n; i++)
        fathom__row_to_bf16(scratch + i * d, rows[i], d);
    if (n < FATHOM__TILE_FEATURES) memset(scratch + n * d, 0, (FATHOM__TILE_FEATURES - n) * d * sizeof *scratch);
    return product->methods->pack(product->state, worker, tile, scratch);
}

int fathom__dense_run(float *out, fathom__dense *product, uint32_t worker, size_t tile, const uint16_t *x,
                      size_t n_rows) {
    return product->methods->run(out, product->state, worker, tile, x, n_rows);
}
