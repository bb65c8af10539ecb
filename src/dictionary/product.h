/* The one dense product: rows [n, d] times features [F, d] transposed, tile by tile.
 *
 * Features are packed once (after each change) into tiles of FATHOM__TILE_FEATURES; a run multiplies up to
 * FATHOM__TILE_ROWS rows by one tile, so that what comes out is still in the core's own cache when it is looked at.
 * Numbers are rounded to bf16 and summed in f32. A GPU does it where the engine has one (several tiles in a run, since
 * each costs it a start and two copies), else oneDNN where it was found, else ggml.
 */
#ifndef FATHOM_DICTIONARY_PRODUCT_H
#define FATHOM_DICTIONARY_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FATHOM__TILE_FEATURES 256
#define FATHOM__TILE_ROWS 256

typedef struct fathom__dense fathom__dense;

enum fathom__dense_backend {
    FATHOM__PRODUCT_BEST,
    FATHOM__PRODUCT_HOST, /* the best on the processor: where features are packed anew for every few runs */
    FATHOM__PRODUCT_DNNL,
    FATHOM__PRODUCT_GGML,
    FATHOM__PRODUCT_DEVICE /* by ggml's backend for a GPU; where there is none, by the one for the processor */
};

/* What BEST means in this process from now on: so that a test has everything computed by a backend that would not be
 * chosen. */
void fathom__dense_prefer(enum fathom__dense_backend backend);

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

/* out[t, r, i] = x[r] · feature (tile + t) * FATHOM__TILE_FEATURES + i, f32 [n_tiles, R, FATHOM__TILE_FEATURES], where R
 * is FATHOM__TILE_ROWS or the shape's n_rows, and rows past n_rows are left undefined. x is bf16 [R, d] whatever n_rows
 * is (rows past n_rows are read and may hold anything finite). ENGINE. */
int fathom__dense_run(float *out, fathom__dense *product, uint32_t worker, size_t tile, size_t n_tiles,
                      const uint16_t *x, size_t n_rows);
/* How many tiles a run should take at once where the caller looks at them one after another: 1 where they are computed
 * so. */
size_t fathom__dense_span(const fathom__dense *product);
/* Floats from one of a run's tiles to the next. */
size_t fathom__dense_room(const fathom__dense *product);

const char *fathom__dense_name(const fathom__dense *product);
/* A worker's room for what a run of as many tiles as the span gives, where the caller has none: lost when the same
 * worker packs. */
float *fathom__dense_tile(const fathom__dense *product, uint32_t worker);
/* Where the packed tiles lie, aligned to 64 bytes. A caller who packs anew before the next run may use it meanwhile.
 * NULL and 0 bytes where they do not lie in the host's memory. */
void *fathom__dense_storage(size_t *bytes, const fathom__dense *product);
/* All memory that the product holds, borrowed scratch and storage aside, the backend's own scratch included as far as
 * it tells. */
size_t fathom__dense_bytes(const fathom__dense *product);

/* What a backend fills in. */
struct fathom__dense_plan {
    size_t d, n_tiles, n_rows;
    uint32_t n_workers;
    void *storage; /* for the packed tiles, if they are not more bytes than these; NULL: none */
    size_t storage_bytes;
    bool any_device; /* also one that is no GPU */
};
struct fathom__dense_methods {
    const char *(*name)(const void *state);
    int (*open)(void **state, const struct fathom__dense_plan *plan);
    void (*close)(void *state);
    /* bf16 [FATHOM__TILE_FEATURES, d] */
    int (*pack)(void *state, uint32_t worker, size_t tile, const uint16_t *features);
    /* n_tiles: at most the span */
    int (*run)(float *out, void *state, uint32_t worker, size_t tile, size_t n_tiles, const uint16_t *x, size_t n_rows);
    void *(*storage)(size_t *bytes, const void *state);
    bool (*borrows)(const void *state);   /* whether the packed tiles lie in the plan's storage */
    size_t (*scratch)(const void *state); /* bytes, beside the packed tiles */
    size_t (*span)(const void *state);    /* NULL: 1 */
};
extern const struct fathom__dense_methods fathom__dense_dnnl; /* only where FATHOM_HAVE_DNNL is defined */
extern const struct fathom__dense_methods fathom__dense_ggml;
extern const struct fathom__dense_methods fathom__dense_device;

#endif
