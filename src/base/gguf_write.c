/* The writing half of gguf_file.h. */
#include <base/buffer.h>
#include <base/error.h>
#include <base/gguf_parts.h>
#include <base/memory.h>

#include <string.h>

struct key_value {
    char *key;
    char *bytes; /* the value's type and the value, as in the file */
    size_t length;
};

struct maker {
    fathom__gguf_make_fn make;
    void *payload;
};

struct fathom__gguf_writer {
    struct key_value *keys;
    size_t n_keys, key_capacity;
    struct fathom__gguf_tensor *tensors; /* names are owned, data borrowed */
    uint32_t *n_dimensions;
    struct maker *makers; /* of tensors without data */
    size_t n_tensors, tensor_capacity, dimension_capacity, maker_capacity;
};

int fathom__gguf_writer_open(fathom__gguf_writer **out) {
    return fathom__alloc(out, 1, sizeof **out);
}

void fathom__gguf_writer_close(fathom__gguf_writer *writer) {
    if (!writer) return;
    for (size_t i = 0; i < writer->n_keys; i++) {
        fathom_free(writer->keys[i].key);
        fathom_free(writer->keys[i].bytes);
    }
    for (size_t i = 0; i < writer->n_tensors; i++)
        fathom_free((void *)(uintptr_t)writer->tensors[i].name);
    fathom_free(writer->keys);
    fathom_free(writer->tensors);
    fathom_free(writer->n_dimensions);
    fathom_free(writer->makers);
    fathom_free(writer);
}

/* Puts a type and the value's bytes under a key; a value that is there already is replaced. */
static int put(fathom__gguf_writer *writer, const char *key, enum fathom__gguf_type type, const void *bytes,
               size_t length) {
    size_t key_length = strlen(key);
    struct fathom__buffer value = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    const uint32_t type_number = (uint32_t)type;
    char *name = NULL;
    if (key_length == 0 || key_length > FATHOM__GGUF_KEY_LIMIT)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a GGUF key has %zu bytes, 1 to %d were expected", key_length,
                            FATHOM__GGUF_KEY_LIMIT);
    if (strcmp(key, FATHOM__GGUF_ALIGNMENT_KEY) == 0 && !fathom__gguf_alignment_valid(type, bytes))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s must be a uint32 and a power of two of at least 8", key);
    struct key_value *present = NULL;
    for (size_t i = 0; i < writer->n_keys && !present; i++)
        if (strcmp(writer->keys[i].key, key) == 0) present = &writer->keys[i];
    int status = fathom__buffer_append(&value, &type_number, sizeof type_number);
    if (!status) status = fathom__buffer_append(&value, bytes, length);
    if (!status && !present) {
        status = fathom__grow(&writer->keys, &writer->key_capacity, writer->n_keys + 1, sizeof *writer->keys);
        if (!status) status = fathom__copy_string(&name, key);
        if (!status) {
            present = &writer->keys[writer->n_keys++];
            *present = (struct key_value){name, NULL, 0};
        }
    }
    if (!status) {
        fathom_free(present->bytes);
        *present = (struct key_value){present->key, value.bytes, value.length};
    } else {
        fathom__buffer_free(&value);
    }
    return status;
}

int fathom__gguf_put_string(fathom__gguf_writer *writer, const char *key, const char *value) {
    struct fathom__buffer bytes = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    const uint64_t length = strlen(value);
    int status = fathom__buffer_append(&bytes, &length, sizeof length);
    if (!status) status = fathom__buffer_append(&bytes, value, (size_t)length);
    if (!status) status = put(writer, key, FATHOM__GGUF_STRING, bytes.bytes, bytes.length);
    fathom__buffer_free(&bytes);
    return status;
}

int fathom__gguf_put_integer(fathom__gguf_writer *writer, const char *key, uint32_t value) {
    return put(writer, key, FATHOM__GGUF_UINT32, &value, sizeof value);
}

int fathom__gguf_put_number(fathom__gguf_writer *writer, const char *key, float value) {
    return put(writer, key, FATHOM__GGUF_FLOAT32, &value, sizeof value);
}

int fathom__gguf_put_bool(fathom__gguf_writer *writer, const char *key, bool value) {
    const unsigned char byte = value;
    return put(writer, key, FATHOM__GGUF_BOOL, &byte, sizeof byte);
}

int fathom__gguf_put_scalar(fathom__gguf_writer *writer, const char *key, enum gguf_type type, const void *value) {
    const size_t size = fathom__gguf_type_size((enum fathom__gguf_type)type);
    if (size == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: a number or a bool was expected", key);
    return put(writer, key, (enum fathom__gguf_type)type, value, size);
}

static int put_array(fathom__gguf_writer *writer, const char *key, enum gguf_type type, const void *data, size_t length,
                     uint64_t n) {
    struct fathom__buffer bytes = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    const uint32_t element = (uint32_t)type;
    int status = fathom__buffer_append(&bytes, &element, sizeof element);
    if (!status) status = fathom__buffer_append(&bytes, &n, sizeof n);
    if (!status) status = fathom__buffer_append(&bytes, data, length);
    if (!status) status = put(writer, key, FATHOM__GGUF_ARRAY, bytes.bytes, bytes.length);
    fathom__buffer_free(&bytes);
    return status;
}

int fathom__gguf_put_array(fathom__gguf_writer *writer, const char *key, enum gguf_type type, const void *data,
                           size_t n) {
    const size_t size = fathom__gguf_type_size((enum fathom__gguf_type)type);
    if (size == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: an array of numbers or bools was expected", key);
    return put_array(writer, key, type, data, n * size, n);
}

int fathom__gguf_put_strings(fathom__gguf_writer *writer, const char *key, const char *const *strings, size_t n) {
    struct fathom__buffer bytes = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    int status = FATHOM_OK;
    for (size_t i = 0; i < n && !status; i++) {
        const uint64_t length = strlen(strings[i]);
        status = fathom__buffer_append(&bytes, &length, sizeof length);
        if (!status) status = fathom__buffer_append(&bytes, strings[i], (size_t)length);
    }
    if (!status) status = put_array(writer, key, GGUF_TYPE_STRING, n > 0 ? bytes.bytes : "", bytes.length, n);
    fathom__buffer_free(&bytes);
    return status;
}

void fathom__gguf_remove(fathom__gguf_writer *writer, const char *key) {
    for (size_t i = 0; i < writer->n_keys; i++) {
        if (strcmp(writer->keys[i].key, key) != 0) continue;
        fathom_free(writer->keys[i].key);
        fathom_free(writer->keys[i].bytes);
        writer->keys[i] = writer->keys[--writer->n_keys];
        return;
    }
}

int fathom__gguf_put_all(fathom__gguf_writer *writer, const fathom__gguf *from) {
    int status = FATHOM_OK;
    for (size_t i = 0; i < from->n_entries && !status; i++) {
        const struct fathom__gguf_entry *entry = &from->entries[i];
        status = put(writer, entry->key, entry->type, entry->bytes, entry->length);
    }
    return status;
}

int fathom__gguf_put_tensor(fathom__gguf_writer *writer, const char *name, enum ggml_type type, const int64_t *shape,
                            size_t n_dimensions, const void *data) {
    struct fathom__gguf_tensor tensor = {.type = type, .shape = {1, 1, 1, 1}, .data = data};
    size_t length = strlen(name);
    if (length == 0 || length >= GGML_MAX_NAME)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a GGUF tensor's name has %zu bytes, 1 to %d were expected", length,
                            GGML_MAX_NAME - 1);
    if (n_dimensions < 1 || n_dimensions > FATHOM__GGUF_DIMENSIONS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "tensor %s has %zu dimensions, 1 to %d were expected", name,
                            n_dimensions, FATHOM__GGUF_DIMENSIONS);
    for (size_t i = 0; i < writer->n_tensors; i++)
        if (strcmp(writer->tensors[i].name, name) == 0)
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "two tensors to write are named %s", name);
    memcpy(tensor.shape, shape, n_dimensions * sizeof *shape);
    int status = fathom__gguf_tensor_bytes(&tensor.bytes, FATHOM_ERROR_ARGUMENT, "GGUF to write", name, (int32_t)type,
                                           tensor.shape);
    if (!status)
        status =
            fathom__grow(&writer->tensors, &writer->tensor_capacity, writer->n_tensors + 1, sizeof *writer->tensors);
    if (!status)
        status = fathom__grow(&writer->n_dimensions, &writer->dimension_capacity, writer->n_tensors + 1,
                              sizeof *writer->n_dimensions);
    if (!status)
        status = fathom__grow(&writer->makers, &writer->maker_capacity, writer->n_tensors + 1, sizeof *writer->makers);
    char *copy = NULL;
    if (!status) status = fathom__copy_string(&copy, name);
    if (status) return status;
    tensor.name = copy;
    writer->tensors[writer->n_tensors] = tensor;
    writer->n_dimensions[writer->n_tensors] = (uint32_t)n_dimensions;
    writer->makers[writer->n_tensors] = (struct maker){NULL, NULL};
    writer->n_tensors++;
    return FATHOM_OK;
}

int fathom__gguf_put_made(fathom__gguf_writer *writer, const char *name, enum ggml_type type, const int64_t *shape,
                          size_t n_dimensions, fathom__gguf_make_fn make, void *payload) {
    int status = fathom__gguf_put_tensor(writer, name, type, shape, n_dimensions, NULL);
    if (!status) writer->makers[writer->n_tensors - 1] = (struct maker){make, payload};
    return status;
}

static int put_name(struct fathom__buffer *out, const char *name) {
    const uint64_t length = strlen(name);
    int status = fathom__buffer_append(out, &length, sizeof length);
    return status ? status : fathom__buffer_append(out, name, (size_t)length);
}

static size_t padding(size_t length, size_t alignment) {
    return (alignment - length % alignment) % alignment;
}

/* Header, keys and tensor records, padded to where the data start. */
static int build_head(struct fathom__buffer *head, const fathom__gguf_writer *writer, size_t alignment) {
    static const char zeros[FATHOM__GGUF_ALIGNMENT];
    const uint32_t version = FATHOM__GGUF_VERSION;
    const uint64_t n_tensors = writer->n_tensors, n_keys = writer->n_keys;
    int status = fathom__buffer_text(head, "GGUF");
    if (!status) status = fathom__buffer_append(head, &version, sizeof version);
    if (!status) status = fathom__buffer_append(head, &n_tensors, sizeof n_tensors);
    if (!status) status = fathom__buffer_append(head, &n_keys, sizeof n_keys);
    for (size_t i = 0; i < writer->n_keys && !status; i++) {
        status = put_name(head, writer->keys[i].key);
        if (!status) status = fathom__buffer_append(head, writer->keys[i].bytes, writer->keys[i].length);
    }
    uint64_t offset = 0;
    for (size_t i = 0; i < writer->n_tensors && !status; i++) {
        const struct fathom__gguf_tensor *tensor = &writer->tensors[i];
        const int32_t type = tensor->type;
        status = put_name(head, tensor->name);
        if (!status) status = fathom__buffer_append(head, &writer->n_dimensions[i], sizeof *writer->n_dimensions);
        if (!status)
            status = fathom__buffer_append(head, tensor->shape, writer->n_dimensions[i] * sizeof *tensor->shape);
        if (!status) status = fathom__buffer_append(head, &type, sizeof type);
        if (!status) status = fathom__buffer_append(head, &offset, sizeof offset);
        offset += tensor->bytes + padding(tensor->bytes, alignment);
    }
    for (size_t left = padding(head->length, alignment); left > 0 && !status;) {
        size_t part = left < sizeof zeros ? left : sizeof zeros;
        status = fathom__buffer_append(head, zeros, part);
        left -= part;
    }
    return status;
}

/* A copied file may bring an alignment of its own, which was checked when it was opened. */
static size_t alignment_of(const fathom__gguf_writer *writer) {
    uint32_t alignment = FATHOM__GGUF_ALIGNMENT;
    for (size_t i = 0; i < writer->n_keys; i++)
        if (strcmp(writer->keys[i].key, FATHOM__GGUF_ALIGNMENT_KEY) == 0)
            memcpy(&alignment, writer->keys[i].bytes + sizeof(uint32_t), sizeof alignment);
    return alignment;
}

int fathom__gguf_writer_commit(fathom__gguf_writer *writer, const char *path) {
    struct fathom__buffer head = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    struct fathom__writer file;
    size_t alignment = alignment_of(writer);
    int status = fathom__writer_open(&file, path);
    if (status) return status;
    status = build_head(&head, writer, alignment);
    if (!status) status = fathom__writer_write(&file, head.bytes, head.length);
    for (size_t i = 0; i < writer->n_tensors && !status; i++) {
        const struct fathom__gguf_tensor *tensor = &writer->tensors[i];
        const struct maker *maker = &writer->makers[i];
        status = maker->make ? maker->make(&file, tensor, maker->payload)
                             : fathom__writer_write(&file, tensor->data, tensor->bytes);
        for (size_t left = padding(tensor->bytes, alignment); left > 0 && !status; left--)
            status = fathom__writer_write(&file, "", 1);
    }
    if (!status) status = fathom__writer_commit(&file);
    fathom__writer_discard(&file);
    fathom__buffer_free(&head);
    return status;
}
