#include <base/error.h>
#include <base/memory.h>
#include <base/tensor.h>

#include <ggml.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[FATHOM__DTYPES] = {
    [FATHOM__F32] = {"F32", 4}, [FATHOM__F16] = {"F16", 2}, [FATHOM__BF16] = {"BF16", 2}, [FATHOM__F64] = {"F64", 8},
    [FATHOM__I32] = {"I32", 4}, [FATHOM__I64] = {"I64", 8}, [FATHOM__U8] = {"U8", 1},
};

size_t fathom__dtype_size(enum fathom__dtype dtype) {
    return dtypes[dtype].size;
}

const char *fathom__dtype_name(enum fathom__dtype dtype) {
    return dtypes[dtype].name;
}

bool fathom__tensor_bytes(size_t *out, enum fathom__dtype dtype, const size_t *shape, size_t n_dimensions) {
    size_t bytes = dtypes[dtype].size;
    for (size_t i = 0; i < n_dimensions; i++) {
        if (shape[i] > 0 && bytes > PTRDIFF_MAX / shape[i]) return false;
        bytes *= shape[i];
    }
    *out = bytes;
    return true;
}

static int check_shape(const struct fathom__tensor *tensor, const char *path, const size_t *shape,
                       size_t n_dimensions) {
    if (tensor->n_dimensions != n_dimensions)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s has %zu dimensions, %zu were expected", path,
                            tensor->name, tensor->n_dimensions, n_dimensions);
    for (size_t i = 0; i < n_dimensions; i++)
        if (shape[i] != SIZE_MAX && shape[i] != tensor->shape[i])
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s has %zu in dimension %zu, %zu was expected", path,
                                tensor->name, tensor->shape[i], i, shape[i]);
    return FATHOM_OK;
}

/* Element by element through memcpy: the data may lie at any address. */
static double element(const struct fathom__tensor *tensor, size_t i) {
    const unsigned char *bytes = (const unsigned char *)tensor->data + i * dtypes[tensor->dtype].size;
    union {
        float f32;
        double f64;
        uint16_t half;
        int32_t i32;
        int64_t i64;
    } value;
    memcpy(&value, bytes, dtypes[tensor->dtype].size);
    switch (tensor->dtype) {
    case FATHOM__F32: return value.f32;
    case FATHOM__F16: return ggml_fp16_to_fp32(value.half);
    case FATHOM__BF16: return ggml_bf16_to_fp32((ggml_bf16_t){value.half});
    case FATHOM__F64: return value.f64;
    case FATHOM__I32: return value.i32;
    case FATHOM__I64: return (double)value.i64;
    default: return *bytes;
    }
}

int fathom__tensor_f32(float **out, const struct fathom__tensor *tensor, const char *path, const size_t *shape,
                       size_t n_dimensions) {
    if (tensor->dtype > FATHOM__F64)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s has dtype %s, a float type was expected", path,
                            tensor->name, dtypes[tensor->dtype].name);
    int status = check_shape(tensor, path, shape, n_dimensions);
    if (status) return status;
    float *values = NULL;
    const size_t n = tensor->bytes / dtypes[tensor->dtype].size;
    status = fathom__alloc_aligned(&values, n, sizeof *values);
    if (status) return status;
    if (tensor->dtype == FATHOM__F32) {
        if (n) memcpy(values, tensor->data, n * sizeof *values);
    } else {
        for (size_t i = 0; i < n; i++)
            values[i] = (float)element(tensor, i);
    }
    *out = values;
    return FATHOM_OK;
}

int fathom__tensor_number(double *out, const struct fathom__tensor *tensor, const char *path) {
    if (tensor->bytes != dtypes[tensor->dtype].size)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s has %zu elements, one was expected", path, tensor->name,
                            tensor->bytes / dtypes[tensor->dtype].size);
    *out = element(tensor, 0);
    return FATHOM_OK;
}

int fathom__tensor_pack(void **out, const void *data, enum fathom__dtype dtype, const size_t *shape,
                        const size_t *strides, size_t n_dimensions) {
    const size_t size = dtypes[dtype].size;
    size_t index[FATHOM__TENSOR_DIMENSIONS] = {0}, bytes = 0, at = 0;
    unsigned char *packed = NULL;
    if (!fathom__tensor_bytes(&bytes, dtype, shape, n_dimensions)) return fathom__fail_memory(SIZE_MAX);
    int status = fathom__alloc_aligned(&packed, bytes, 1);
    if (status) return status;
    for (size_t written = 0; written < bytes; written += size) {
        memcpy(packed + written, (const unsigned char *)data + at * size, size);
        for (size_t i = n_dimensions; i-- > 0;) {
            at += strides[i];
            if (++index[i] < shape[i]) break;
            at -= index[i] * strides[i];
            index[i] = 0;
        }
    }
    *out = packed;
    return FATHOM_OK;
}
