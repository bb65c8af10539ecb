/* The accelerator's inside. A worker is one engine context's backend: it belongs to one thread at a time and holds
 * the memory and the prepared products of the operations, which are in accelerator_weights.c,
 * accelerator_rows.c and accelerator_attention.c. */
#ifndef FATHOM_ENGINE_ACCELERATOR_PARTS_H
#define FATHOM_ENGINE_ACCELERATOR_PARTS_H

#include "engine/accelerator.h"
#include <ggml.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t fathom__bf16;
struct fathom__worker;
struct fathom__products;
struct fathom__packed;

/* A piece of memory that is reused from operation to operation; its content does not survive growth. */
struct fathom__scratch {
    void *bytes;
    size_t size;
};
int fathom__scratch_hold(void *out, struct fathom__scratch *scratch, size_t size);

/* A rotation's table for positions 0, 1, …: [n_positions, 2, n_rotated] factors of a channel and of its partner. */
struct fathom__rotation {
    float base, scale, magnitude, *table;
    const float *factors;
    int32_t n_rotated, mode, n_positions, capacity;
};
#define FATHOM__ROTATIONS 4 /* models with sliding windows rotate with two bases */

struct fathom__worker {
    fathom__accelerator *accelerator;
    struct fathom__products *products;
    struct fathom__scratch rows, gate, keys, values, queries, scores, weights, sums, mask, ranges;
    const void *rounded; /* the tensor whose bf16 form is in `rows`: q, k and v, and gate and up, share one input */
    const void *rounded_data;
    const void *ranged_mask; /* the mask whose live ranges are in `ranges` */
    struct fathom__rotation rotations[FATHOM__ROTATIONS];
    size_t next_rotation;
};

/* Products (accelerator_product.c): c[m, n] = finish(a[m, k] · b), bf16 with sums in f32. */
enum fathom__product_right {
    FATHOM__RIGHT_PACKED, /* weights [n, k], in the layout that oneDNN wants */
    FATHOM__RIGHT_ROWS,   /* [n, k] row-major: a product with the transpose */
    FATHOM__RIGHT_COLUMNS /* [k, n] row-major */
};
/* What is done to c before it is written. */
enum fathom__product_finish {
    FATHOM__FINISH_PLAIN,
    FATHOM__FINISH_SILU,
    FATHOM__FINISH_GELU, /* the tanh form */
    FATHOM__FINISH_TIMES /* multiplied by `other`, bf16 [m, n] */
};
struct fathom__product_shape {
    int64_t m, n, k;
    enum fathom__product_right right;
    enum fathom__product_finish finish;
    bool to_bf16; /* c is bf16 */
};
int fathom__products_open(struct fathom__products **out);
void fathom__products_close(struct fathom__products *products);
int fathom__product_run(struct fathom__products *products, const struct fathom__product_shape *shape,
                        const fathom__bf16 *a, const void *b, void *c, const fathom__bf16 *other);

/* Whether this machine multiplies bf16 in hardware. */
bool fathom__product_fast(void);

/* A weight matrix [n, k] of any type in the packed layout, new; `close` frees it. */
int fathom__packed_open(struct fathom__packed **out, const struct ggml_tensor *weight);
const void *fathom__packed_bytes(const struct fathom__packed *packed);
void fathom__packed_close(struct fathom__packed *packed);
/* The packed form of a weight out of the accelerator's store, made at the first call; valid as long as the
 * accelerator. */
int fathom__accelerator_packed(const struct fathom__packed **out, fathom__accelerator *accelerator,
                               const struct ggml_tensor *weight);

void fathom__to_bf16(fathom__bf16 *out, const float *in, size_t n);

/* Operations: whether one is handled as this node asks for it, and its computation. A fathom_status. */
bool fathom__rows_supports(const struct ggml_tensor *node);
int fathom__rows_compute(struct fathom__worker *worker, struct ggml_tensor *node);
/* y = gain · x / rms(x): a norm and the product with its gain in one pass over the rows. */
int fathom__rows_norm_gain(const struct ggml_tensor *norm, struct ggml_tensor *product);
bool fathom__rows_can_norm_gain(const struct ggml_tensor *norm, const struct ggml_tensor *product);
bool fathom__weights_supports(const struct ggml_tensor *node);
int fathom__weights_compute(struct fathom__worker *worker, struct ggml_tensor *node);
/* A gated MLP in one piece: the gate's activation and the product with the other half happen while their rows are
 * still in the processor's registers, and only bf16 goes from one product to the next. */
struct fathom__gated {
    struct ggml_tensor *up, *gate, *joined, *down;
};
struct ggml_cgraph;
bool fathom__gated_find(struct fathom__gated *out, const struct ggml_cgraph *graph,
                        int at); /* in four nodes from `at` */
int fathom__gated_compute(struct fathom__worker *worker, const struct fathom__gated *mlp);
bool fathom__attention_supports(const struct ggml_tensor *node);
int fathom__attention_compute(struct fathom__worker *worker, struct ggml_tensor *node);

#endif
