/* The one dense product: rows [n, d] times features [F, d] transposed, tile by tile.
 *
 * Features are packed once (after each change) into tiles of FATHOM__TILE_FEATURES; a run multiplies up to
 * FATHOM__TILE_ROWS rows by one tile, so that what comes out is still in the core's own cache when it is looked at.
 * Numbers are rounded to bf16 and summed in f32. oneDNN does it where it was found, else ggml.
 */
#ifndef FATHOM_DICTIONARY_PRODUCT_H
#define FATHOM_DICTIONARY_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FATHOM__TILE_FEATURES 256
#define FATHOM__TILE_ROWS 256

typedef struct fathom__dense fathom__dense;

enum fathom__dense_backend { FATHOM__PRODUCT_BEST, FATHOM__PRODUCT_DNNL, FATHOM__PRODUCT_GGML };

/* d: a multiple of FATHOM__LANES. n_workers threads may pack and run at once, each with its own number. Errors: MEMORY,
 * UNSUPPORTED (a backend that is not there), ENGINE. */
int fathom__dense_open(fathom__dense **out, enum fathom__dense_backend backend, size_t d, size_t n_features,
                       uint32_t n_workers);
/* A product of other features by the same backend, width and workers, which uses the scratch of `other`: it is closed
 * before that, and no worker uses both at once. Its runs are of n_rows <= FATHOM__TILE_ROWS in place of that many. Its
 * tiles lie in `storage` (borrowed, aligned to 64 bytes) where that is given and large enough. */
struct fathom__dense_shape {
    size_t n_features, n_rows;
    void *storage; /* or NULL */
    size_t storage_bytes;
};
int fathom__dense_open_beside(fathom__dense **out, const fathom__dense *other, const struct fathom__dense_shape *shape);
/* Bytes of so many features' tiles, packed as `product` has them. */
size_t fathom__dense_tile_bytes(const fathom__dense *product, size_t n_features);
void fathom__dense_close(fathom__dense *product);
size_t fathom__dense_tiles(const fathom__dense *product);

/* Packs tile `tile` from f32 feature rows of width d. rows[i] is feature tile * FATHOM__TILE_FEATURES + i; n may be
 * less than a tile's number: the rest are zeros. ENGINE. */
int fathom__dense_pack(fathom__dense *product, uint32_t worker, size_t tile, const float *const *rows, size_t n);

/* out[r, i] = x[r] · feature tile * FATHOM__TILE_FEATURES + i, f32 [n_rows, FATHOM__TILE_FEATURES]. x is bf16
 * [FATHOM__TILE_ROWS, d] whatever n_rows is (rows past n_rows are read and may hold anything finite); out has room
 * for FATHOM__TILE_ROWS rows. ENGINE. */
int fathom__dense_run(float *out, fathom__dense *product, uint32_t worker, size_t tile, const uint16_t *x,
                      size_t n_rows);

const char *fathom__dense_name(const fathom__dense *product);
/* A worker's room for what a run gives, where the caller has none: lost when the same worker packs. */
float *fathom__dense_tile(const fathom__dense *product, uint32_t worker);
/* Where the packed tiles lie, aligned to 64 bytes. A caller who packs anew before the next run may use it meanwhile. */
void *fathom__dense_storage(size_t *bytes, const fathom__dense *product);
/* All memory that the product holds, borrowed scratch and storage aside, the backend's own scratch included as far as it tells. */
size_t fathom__dense_bytes(const fathom__dense *product);

/* What a backend fills in. */
struct fathom__dense_plan {
    size_t d, n_tiles, n_rows;
    uint32_t n_workers;
    void *storage; /* for the packed tiles, if they are not more bytes than these; NULL: none */
    size_t storage_bytes;
};
struct fathom__dense_methods {
    const char *name;
    int (*open)(void **state, const struct fathom__dense_plan *plan);
    void (*close)(void *state);
    /* bf16 [FATHOM__TILE_FEATURES, d] */
    int (*pack)(void *state, uint32_t worker, size_t tile, const uint16_t *features);
    int (*run)(float *out, void *state, uint32_t worker, size_t tile, const uint16_t *x, size_t n_rows);
    void *(*storage)(size_t *bytes, const void *state);
    bool (*borrows)(const void *state);   /* whether the packed tiles lie in the plan's storage */
    size_t (*scratch)(const void *state); /* bytes, beside the packed tiles */
};
extern const struct fathom__dense_methods fathom__dense_dnnl; /* only where FATHOM_HAVE_DNNL is defined */
extern const struct fathom__dense_methods fathom__dense_ggml;

#endif
