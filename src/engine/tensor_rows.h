/* Rows of an engine tensor as contiguous f32, and back: strided views, other float types and other memories included.
 */
#ifndef FATHOM_ENGINE_TENSOR_ROWS_H
#define FATHOM_ENGINE_TENSOR_ROWS_H

#include "engine/points.h"
#include <ggml.h>
#include <stddef.h>
#include <stdint.h>

struct fathom__tensor_rows {
    struct ggml_tensor *tensor;
    unsigned char *bytes; /* of the tensor: its own memory, or a copy of it */
    bool own_memory;
    size_t n_rows, heads, width; /* width per head */
    size_t row_stride, head_stride;
    bool neighbours;
    const int32_t *rows; /* which rows of the tensor are meant; NULL: the first n_rows */
};

/* A byte buffer that grows and is used again. */
struct fathom__bytes {
    unsigned char *bytes;
    size_t capacity;
};

/* Looks into a computed tensor at `point`; n_keys is the width per head where the point has none of its own. `rows` is
 * borrowed. Errors: UNSUPPORTED (a type that is not a float type), MEMORY. */
int fathom__tensor_rows_open(struct fathom__tensor_rows *out, struct fathom__bytes *scratch, struct ggml_tensor *tensor,
                             const struct fathom__point *point, size_t n_rows, const int32_t *rows, size_t n_keys);
/* The tensor's own memory where that is exactly the rows as f32, else NULL. */
const float *fathom__tensor_rows_direct(const struct fathom__tensor_rows *view);
void fathom__tensor_rows_read(float *out, const struct fathom__tensor_rows *view);
void fathom__tensor_rows_write(struct fathom__tensor_rows *view, const float *values);

#endif
