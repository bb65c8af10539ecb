#include "base/torch_write.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/zip_write.h"
#include <stdio.h>
#include <string.h>

#define FOLDER "archive"
enum { PICKLE_LIMIT = 1 << 20, MOST_TENSORS = 64, NAME = 40, DEEPEST = 4 };

/* Opcodes of pickle's protocol 2, those of them that are written. */
enum opcode {
    PROTO = 0x80,
    EMPTY_DICT = '}',
    MARK = '(',
    SETITEMS = 'u',
    UNICODE = 'X',
    GLOBAL = 'c',
    TUPLE = 't',
    EMPTY_TUPLE = ')',
    REDUCE = 'R',
    PERSISTENT = 'Q',
    INT32 = 'J',
    LONG1 = 0x8a,
    NEWFALSE = 0x89,
    STOP = '.'
};

struct pickling {
    struct fathom__buffer bytes;
    const struct fathom__tensor *tensors[MOST_TENSORS]; /* storage i holds tensor i */
    size_t n_tensors;
    int status; /* of the first thing that went wrong */
};

static void append(struct pickling *p, const void *bytes, size_t length) {
    if (!p->status) p->status = fathom__buffer_append(&p->bytes, bytes, length);
}

static void put(struct pickling *p, enum opcode opcode) {
    const unsigned char byte = (unsigned char)opcode;
    append(p, &byte, 1);
}

static void put_little_endian(struct pickling *p, uint64_t value, size_t width) {
    unsigned char bytes[sizeof value];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
    append(p, bytes, width);
}

static void put_text(struct pickling *p, const char *text) {
    const size_t length = strlen(text);
    put(p, UNICODE);
    put_little_endian(p, length, 4);
    append(p, text, length);
}

static void put_integer(struct pickling *p, int64_t value) {
    if (value >= INT32_MIN && value <= INT32_MAX) {
        put(p, INT32);
        put_little_endian(p, (uint64_t)value, 4);
        return;
    }
    const unsigned char width = sizeof value;
    put(p, LONG1);
    append(p, &width, 1);
    put_little_endian(p, (uint64_t)value, width);
}

/* "module\nname\n" */
static void put_global(struct pickling *p, const char *module, const char *name) {
    put(p, GLOBAL);
    append(p, module, strlen(module));
    append(p, "\n", 1);
    append(p, name, strlen(name));
    append(p, "\n", 1);
}

static void put_sizes(struct pickling *p, const size_t *sizes, size_t n) {
    put(p, MARK);
    for (size_t i = 0; i < n; i++)
        put_integer(p, (int64_t)sizes[i]);
    put(p, TUPLE);
}

/* A call of _rebuild_tensor_v2 with a reference to the storage, offset, shape, strides, no gradient and no hooks. */
static void put_tensor(struct pickling *p, const struct fathom__tensor *tensor) {
    static const char *const storages[FATHOM__DTYPES] = {
        [FATHOM__F32] = "FloatStorage",  [FATHOM__F16] = "HalfStorage", [FATHOM__BF16] = "BFloat16Storage",
        [FATHOM__F64] = "DoubleStorage", [FATHOM__I32] = "IntStorage",  [FATHOM__I64] = "LongStorage",
        [FATHOM__U8] = "ByteStorage"};
    size_t strides[FATHOM__TENSOR_DIMENSIONS], step = 1;
    char key[NAME];
    if (p->n_tensors == MOST_TENSORS) {
        p->status = fathom__fail(FATHOM_ERROR_LIMIT, "at most %d tensors are written", MOST_TENSORS);
        return;
    }
    for (size_t i = tensor->n_dimensions; i-- > 0; step *= tensor->shape[i])
        strides[i] = step;
    snprintf(key, sizeof key, "%zu", p->n_tensors);
    p->tensors[p->n_tensors++] = tensor;
    put_global(p, "torch._utils", "_rebuild_tensor_v2");
    put(p, MARK);
    put(p, MARK);
    put_text(p, "storage");
    put_global(p, "torch", storages[tensor->dtype]);
    put_text(p, key);
    put_text(p, "cpu");
    put_integer(p, (int64_t)step);
    put(p, TUPLE);
    put(p, PERSISTENT);
    put_integer(p, 0);
    put_sizes(p, tensor->shape, tensor->n_dimensions);
    put_sizes(p, strides, tensor->n_dimensions);
    put(p, NEWFALSE);
    put_global(p, "collections", "OrderedDict");
    put(p, EMPTY_TUPLE);
    put(p, REDUCE);
    put(p, TUPLE);
    put(p, REDUCE);
}

static void put_dict(struct pickling *p, const struct fathom__torch_value *values, size_t n, int depth) {
    put(p, EMPTY_DICT);
    put(p, MARK);
    for (size_t i = 0; i < n && depth < DEEPEST; i++) {
        const struct fathom__torch_value *value = &values[i];
        put_text(p, value->name);
        switch (value->kind) {
        case FATHOM__TORCH_TENSOR: put_tensor(p, &value->tensor); break;
        case FATHOM__TORCH_INTEGER: put_integer(p, value->integer); break;
        case FATHOM__TORCH_TEXT: put_text(p, value->text); break;
        case FATHOM__TORCH_DICT: put_dict(p, value->values, value->n_values, depth + 1); break;
        }
    }
    put(p, SETITEMS);
}

static int write_members(struct fathom__zip_writer *zip, const struct pickling *p) {
    const struct fathom__zip_part pickle = {p->bytes.bytes, p->bytes.length}, order = {"little", 6},
                                  version = {"3\n", 2};
    int status = fathom__zip_write_member(zip, FOLDER "/data.pkl", &pickle, 1);
    if (!status) status = fathom__zip_write_member(zip, FOLDER "/byteorder", &order, 1);
    for (size_t i = 0; i < p->n_tensors && !status; i++) {
        const struct fathom__zip_part storage = {p->tensors[i]->data, p->tensors[i]->bytes};
        char name[NAME];
        snprintf(name, sizeof name, FOLDER "/data/%zu", i);
        status = fathom__zip_write_member(zip, name, &storage, 1);
    }
    return status ? status : fathom__zip_write_member(zip, FOLDER "/version", &version, 1);
}

int fathom__torch_write(const char *path, const struct fathom__torch_value *values, size_t n) {
    struct pickling p = {.bytes = FATHOM__BUFFER_INIT(PICKLE_LIMIT)};
    struct fathom__zip_writer zip;
    put(&p, PROTO);
    append(&p, "\2", 1);
    put_dict(&p, values, n, 0);
    put(&p, STOP);
    if (p.status) {
        fathom__buffer_free(&p.bytes);
        return fathom__wrap(p.status, "%s", path);
    }
    int status = fathom__zip_write_open(&zip, path);
    if (!status) status = write_members(&zip, &p);
    if (!status) status = fathom__zip_write_commit(&zip);
    fathom__zip_write_discard(&zip);
    fathom__buffer_free(&p.bytes);
    return status;
}
