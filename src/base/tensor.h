/* Tensors as files hold them, and as f32. */
#ifndef FATHOM_BASE_TENSOR_H
#define FATHOM_BASE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FATHOM__TENSOR_DIMENSIONS 8

enum fathom__dtype { FATHOM__F32, FATHOM__F16, FATHOM__BF16, FATHOM__F64, FATHOM__I32, FATHOM__I64, FATHOM__U8 };
#define FATHOM__DTYPES (FATHOM__U8 + 1)

struct fathom__tensor {
    const char *name;
    enum fathom__dtype dtype;
    size_t n_dimensions;
    size_t shape[FATHOM__TENSOR_DIMENSIONS];
    const void *data; /* little-endian, row-major; may be unaligned */
    size_t bytes;
};

size_t fathom__dtype_size(enum fathom__dtype dtype);
const char *fathom__dtype_name(enum fathom__dtype dtype); /* as safetensors calls it */

/* The bytes of a tensor of this shape; false when they are more than PTRDIFF_MAX. */
bool fathom__tensor_bytes(size_t *out, enum fathom__dtype dtype, const size_t *shape, size_t n_dimensions);

/* A float tensor as new f32, after checking its shape (n_dimensions sizes; SIZE_MAX: any). Errors name path and tensor.
 */
int fathom__tensor_f32(float **out, const struct fathom__tensor *tensor, const char *path, const size_t *shape,
                       size_t n_dimensions);
/* The one number of a tensor of one element, of whatever type. FORMAT. */
int fathom__tensor_number(double *out, const struct fathom__tensor *tensor, const char *path);

/* Row-major copy, new, of elements that lie `strides` (in elements) apart. The caller has checked that all of them lie
 * in `data`. */
int fathom__tensor_pack(void **out, const void *data, enum fathom__dtype dtype, const size_t *shape,
                        const size_t *strides, size_t n_dimensions);

#endif
