#include <base/error.h>
#include <base/memory.h>
#include <dictionary/product.h>
#include <dictionary/vector.h>

struct fathom__dense {
    const struct fathom__dense_methods *methods;
    void *state;
    size_t d, n_tiles;
    uint16_t *scratch; /* [n_workers, FATHOM__TILE_FEATURES, d] */
};

static const struct fathom__dense_methods *find_methods(enum fathom__dense_backend backend) {
#ifdef FATHOM_HAVE_DNNL
    if (backend != FATHOM__PRODUCT_GGML) return &fathom__dense_dnnl;
#endif
    return backend == FATHOM__PRODUCT_DNNL ? NULL : &fathom__dense_ggml;
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
    product->n_tiles = (n_features + FATHOM__TILE_FEATURES - 1) / FATHOM__TILE_FEATURES;
    status = fathom__alloc_aligned(&product->scratch, (size_t)n_workers * FATHOM__TILE_FEATURES * d,
                                   sizeof *product->scratch);
    if (!status) status = methods->open(&product->state, d, product->n_tiles, n_workers);
    /* oneDNN may be there and know no bf16 product for this processor. */
    if (status == FATHOM_ERROR_UNSUPPORTED && backend == FATHOM__PRODUCT_BEST && methods != &fathom__dense_ggml) {
        product->methods = &fathom__dense_ggml;
        status = product->methods->open(&product->state, d, product->n_tiles, n_workers);
    }
    if (status)
        fathom__dense_close(product);
    else
        *out = product;
    return status;
}

void fathom__dense_close(fathom__dense *product) {
    if (!product) return;
    if (product->state) product->methods->close(product->state);
    fathom_free(product->scratch);
    fathom_free(product);
}

size_t fathom__dense_tiles(const fathom__dense *product) {
    return product->n_tiles;
}

const char *fathom__dense_name(const fathom__dense *product) {
    return product->methods->name;
}

int fathom__dense_pack(fathom__dense *product, uint32_t worker, size_t tile, const float *const *rows, size_t n) {
    const size_t d = product->d;
    uint16_t *scratch = product->scratch + (size_t)worker * FATHOM__TILE_FEATURES * d;
    for (size_t i = 0; i < n; i++)
        fathom__row_to_bf16(scratch + i * d, rows[i], d);
    if (n < FATHOM__TILE_FEATURES) memset(scratch + n * d, 0, (FATHOM__TILE_FEATURES - n) * d * sizeof *scratch);
    return product->methods->pack(product->state, worker, tile, scratch);
}

int fathom__dense_run(float *out, fathom__dense *product, uint32_t worker, size_t tile, const uint16_t *x,
                      size_t n_rows) {
    return product->methods->run(out, product->state, worker, tile, x, n_rows);
}

bool fathom__dense_can_add(const fathom__dense *product) {
    return product->methods->add != NULL;
}

int fathom__dense_add(float *out, fathom__dense *product, uint32_t worker, const uint16_t *a, const uint16_t *b) {
    return product->methods->add(out, product->state, worker, a, b);
}
