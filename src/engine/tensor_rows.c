#include "engine/tensor_rows.h"
#include "base/error.h"
#include "base/memory.h"
#include <ggml-backend.h>
#include <string.h>

int fathom__tensor_rows_open(struct fathom__tensor_rows *out, struct fathom__bytes *scratch, struct ggml_tensor *tensor,
                             const struct fathom__point *point, size_t n_rows, const int32_t *rows, size_t n_keys) {
    if (tensor->type != GGML_TYPE_F32 && tensor->type != GGML_TYPE_F16 && tensor->type != GGML_TYPE_BF16)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "the engine's node %s has the type %s, not a float type",
                            tensor->name, ggml_type_name(tensor->type));
    struct fathom__tensor_rows view = {
        .tensor = tensor,
        .n_rows = n_rows,
        .heads = point->heads,
        .width = point->width ? point->width : n_keys,
        .neighbours = point->neighbours,
        .rows = rows,
    };
    switch (point->layout) {
    case FATHOM__LAYOUT_ROWS:
        view.row_stride = tensor->nb[1];
        view.head_stride = view.width * ggml_type_size(tensor->type);
        break;
    case FATHOM__LAYOUT_HEADS:
        view.row_stride = tensor->nb[2];
        view.head_stride = tensor->nb[1];
        break;
    case FATHOM__LAYOUT_ATTENTION:
        view.row_stride = tensor->nb[1];
        view.head_stride = tensor->nb[2];
        break;
    }
    ggml_backend_buffer_t buffer = tensor->view_src ? tensor->view_src->buffer : tensor->buffer;
    if (buffer && ggml_backend_buffer_is_host(buffer)) {
        view.own_memory = true;
        view.bytes = tensor->data;
    } else {
        size_t size = ggml_nbytes(tensor);
        int status = fathom__grow(&scratch->bytes, &scratch->capacity, size, 1);
        if (status) return status;
        ggml_backend_tensor_get(tensor, scratch->bytes, 0, size);
        view.bytes = scratch->bytes;
    }
    *out = view;
    return FATHOM_OK;
}

const float *fathom__tensor_rows_direct(const struct fathom__tensor_rows *view) {
    size_t head = view->width * sizeof(float);
    bool packed = view->row_stride == view->heads * head && (view->heads == 1 || view->head_stride == head);
    if (!view->own_memory || view->tensor->type != GGML_TYPE_F32 || !packed || view->neighbours || view->rows)
        return NULL;
    return (const float *)(const void *)view->bytes;
}

/* Channel i of the rows is channel `apart(i)` of the tensor where rotation pairs are neighbours there. */
static size_t apart(size_t i, size_t width) {
    return i < width / 2 ? 2 * i : 2 * (i - width / 2) + 1;
}

static unsigned char *head_at(const struct fathom__tensor_rows *view, size_t row, size_t head) {
    size_t index = view->rows ? (size_t)view->rows[row] : row;
    return view->bytes + index * view->row_stride + head * view->head_stride;
}

static float get(const unsigned char *bytes, size_t i, enum ggml_type type) {
    if (type == GGML_TYPE_F32) {
        float value;
        memcpy(&value, bytes + i * sizeof value, sizeof value);
        return value;
    }
    if (type == GGML_TYPE_F16) {
        ggml_fp16_t value;
        memcpy(&value, bytes + i * sizeof value, sizeof value);
        return ggml_fp16_to_fp32(value);
    }
    ggml_bf16_t value;
    memcpy(&value, bytes + i * sizeof value, sizeof value);
    return ggml_bf16_to_fp32(value);
}

static void put(unsigned char *bytes, size_t i, enum ggml_type type, float value) {
    if (type == GGML_TYPE_F32) {
        memcpy(bytes + i * sizeof value, &value, sizeof value);
    } else if (type == GGML_TYPE_F16) {
        ggml_fp16_t half = ggml_fp32_to_fp16(value);
        memcpy(bytes + i * sizeof half, &half, sizeof half);
    } else {
        ggml_bf16_t half = ggml_fp32_to_bf16(value);
        memcpy(bytes + i * sizeof half, &half, sizeof half);
    }
}

void fathom__tensor_rows_read(float *out, const struct fathom__tensor_rows *view) {
    bool plain = view->tensor->type == GGML_TYPE_F32 && !view->neighbours;
    for (size_t row = 0; row < view->n_rows; row++) {
        for (size_t head = 0; head < view->heads; head++, out += view->width) {
            const unsigned char *bytes = head_at(view, row, head);
            if (plain) {
                memcpy(out, bytes, view->width * sizeof *out);
                continue;
            }
            for (size_t i = 0; i < view->width; i++)
                out[i] = get(bytes, view->neighbours ? apart(i, view->width) : i, view->tensor->type);
        }
    }
}

void fathom__tensor_rows_write(struct fathom__tensor_rows *view, const float *values) {
    bool plain = view->tensor->type == GGML_TYPE_F32 && !view->neighbours;
    for (size_t row = 0; row < view->n_rows; row++) {
        for (size_t head = 0; head < view->heads; head++, values += view->width) {
            unsigned char *bytes = head_at(view, row, head);
            if (plain) {
                memcpy(bytes, values, view->width * sizeof *values);
                continue;
            }
            for (size_t i = 0; i < view->width; i++)
                put(bytes, view->neighbours ? apart(i, view->width) : i, view->tensor->type, values[i]);
        }
    }
    if (!view->own_memory) ggml_backend_tensor_set(view->tensor, view->bytes, 0, ggml_nbytes(view->tensor));
}
