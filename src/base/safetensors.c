#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/safetensors.h>

#include <stdlib.h>
#include <string.h>

/* The format's own limit on its header. */
enum { HEADER_LIMIT = 100 * 1000 * 1000 };

#define METADATA_KEY "__metadata__"

struct fathom__safetensors {
    char *path;
    struct fathom__mapping mapping;
    json_t *header; /* owns the tensors' names and the metadata */
    struct fathom__tensor *tensors;
    size_t n;
    const unsigned char *data;
    size_t data_length;
};

static int bad(const fathom__safetensors *file, const char *name, const char *expected) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s: %s", file->path, name, expected);
}

static int read_dtype(enum fathom__dtype *out, const fathom__safetensors *file, const char *name,
                      const json_t *record) {
    const char *dtype = json_string_value(json_object_get(record, "dtype"));
    if (!dtype) return bad(file, name, "the key \"dtype\" (a string) is missing");
    for (int i = 0; i < FATHOM__DTYPES; i++) {
        if (strcmp(fathom__dtype_name((enum fathom__dtype)i), dtype) != 0) continue;
        *out = (enum fathom__dtype)i;
        return FATHOM_OK;
    }
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                        "%s: tensor %s: dtype %s; F32, F16, BF16, F64, I32, I64 and U8 are read", file->path, name,
                        dtype);
}

static bool read_size(size_t *out, const json_t *value) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static int read_shape(struct fathom__tensor *tensor, const fathom__safetensors *file, const json_t *record) {
    const json_t *shape = json_object_get(record, "shape");
    if (!json_is_array(shape)) return bad(file, tensor->name, "the key \"shape\" (an array) is missing");
    tensor->n_dimensions = json_array_size(shape);
    if (tensor->n_dimensions > FATHOM__TENSOR_DIMENSIONS)
        return bad(file, tensor->name, "at most 8 dimensions were expected");
    for (size_t i = 0; i < tensor->n_dimensions; i++)
        if (!read_size(&tensor->shape[i], json_array_get(shape, i)))
            return bad(file, tensor->name, "sizes of at least 0 were expected in \"shape\"");
    if (!fathom__tensor_bytes(&tensor->bytes, tensor->dtype, tensor->shape, tensor->n_dimensions))
        return bad(file, tensor->name, "its shape takes more than 2^63 bytes");
    return FATHOM_OK;
}

static int read_tensor(struct fathom__tensor *tensor, const fathom__safetensors *file, const json_t *record) {
    size_t first, last;
    int status = read_dtype(&tensor->dtype, file, tensor->name, record);
    if (!status) status = read_shape(tensor, file, record);
    if (status) return status;
    const json_t *offsets = json_object_get(record, "data_offsets");
    if (json_array_size(offsets) != 2 || !read_size(&first, json_array_get(offsets, 0)) ||
        !read_size(&last, json_array_get(offsets, 1)))
        return bad(file, tensor->name, "two integers of at least 0 were expected in \"data_offsets\"");
    if (first > last || last > file->data_length)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s: data_offsets %zu to %zu, within 0 to %zu was expected",
                            file->path, tensor->name, first, last, file->data_length);
    if (last - first != tensor->bytes)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s: %zu bytes of data, its shape takes %zu", file->path,
                            tensor->name, last - first, tensor->bytes);
    tensor->data = file->data + first;
    return FATHOM_OK;
}

static int compare_places(const void *a, const void *b) {
    const struct fathom__tensor *x = *(const struct fathom__tensor *const *)a,
                                *y = *(const struct fathom__tensor *const *)b;
    const unsigned char *p = x->data, *q = y->data;
    if (p != q) return p < q ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* The format allows neither holes nor overlaps. */
static int check_cover(const fathom__safetensors *file) {
    const struct fathom__tensor **order = NULL;
    int status = fathom__alloc(&order, file->n, sizeof *order);
    if (status) return status;
    for (size_t i = 0; i < file->n; i++)
        order[i] = &file->tensors[i];
    qsort(order, file->n, sizeof *order, compare_places);
    const unsigned char *next = file->data;
    for (size_t i = 0; i < file->n && !status; i++) {
        if ((const unsigned char *)order[i]->data != next)
            status = bad(file, order[i]->name, "its data overlap another tensor's or leave a hole before them");
        next += order[i]->bytes;
    }
    if (!status && next != file->data + file->data_length)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: %zu bytes after the last tensor's data", file->path,
                              (size_t)(file->data + file->data_length - next));
    fathom_free(order);
    return status;
}

static int check_metadata(const fathom__safetensors *file) {
    json_t *metadata = json_object_get(file->header, METADATA_KEY), *value;
    const char *key;
    if (!metadata) return FATHOM_OK;
    if (!json_is_object(metadata))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"" METADATA_KEY "\" must be an object of strings", file->path);
    json_object_foreach (metadata, key, value) {
        if (!json_is_string(value))
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"" METADATA_KEY "\": \"%s\" must be a string", file->path,
                                key);
    }
    return FATHOM_OK;
}

static int parse(fathom__safetensors *file) {
    uint64_t length = 0;
    if (file->mapping.length < sizeof length)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: not a safetensors file: it has %zu bytes, at least 8 were expected", file->path,
                            file->mapping.length);
    memcpy(&length, file->mapping.bytes, sizeof length);
    size_t rest = file->mapping.length - sizeof length;
    if (length > rest || length > HEADER_LIMIT)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: not a safetensors file: a header of %llu bytes in a file of %zu",
                            file->path, (unsigned long long)length, file->mapping.length);
    int status = fathom__json_parse(&file->header, (const char *)file->mapping.bytes + sizeof length, (size_t)length,
                                    file->path);
    if (status) return status;
    if (!json_is_object(file->header))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: its header must be a JSON object", file->path);
    file->data = file->mapping.bytes + sizeof length + length;
    file->data_length = rest - (size_t)length;
    status = fathom__alloc(&file->tensors, json_object_size(file->header), sizeof *file->tensors);
    if (status) return status;
    const char *name;
    json_t *record;
    json_object_foreach (file->header, name, record) {
        if (strcmp(name, METADATA_KEY) == 0) continue;
        struct fathom__tensor *tensor = &file->tensors[file->n];
        tensor->name = name;
        status = read_tensor(tensor, file, record);
        if (status) return status;
        file->n++;
    }
    status = check_metadata(file);
    return status ? status : check_cover(file);
}

int fathom__safetensors_open(fathom__safetensors **out, const char *path) {
    fathom__safetensors *file = NULL;
    int status = fathom__alloc(&file, 1, sizeof *file);
    if (status) return status;
    status = fathom__copy_string(&file->path, path);
    if (!status) status = fathom__file_map(&file->mapping, path);
    if (!status) status = parse(file);
    if (status)
        fathom__safetensors_close(file);
    else
        *out = file;
    return status;
}

void fathom__safetensors_close(fathom__safetensors *file) {
    if (!file) return;
    json_decref(file->header);
    fathom__file_unmap(&file->mapping);
    fathom_free(file->tensors);
    fathom_free(file->path);
    fathom_free(file);
}

size_t fathom__safetensors_count(const fathom__safetensors *file) {
    return file->n;
}

const struct fathom__tensor *fathom__safetensors_at(const fathom__safetensors *file, size_t index) {
    return &file->tensors[index];
}

const struct fathom__tensor *fathom__safetensors_find(const fathom__safetensors *file, const char *name) {
    for (size_t i = 0; i < file->n; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

const char *fathom__safetensors_metadata(const fathom__safetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, METADATA_KEY), key));
}

int fathom__safetensors_f32(float **out, const fathom__safetensors *file, const char *name, const size_t *shape,
                            size_t n_dimensions) {
    const struct fathom__tensor *tensor = fathom__safetensors_find(file, name);
    if (!tensor) return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s is missing", file->path, name);
    return fathom__tensor_f32(out, tensor, file->path, shape, n_dimensions);
}

/* The header as text, padded with spaces so that the data begin at a multiple of 8. */
static int build_header(char **out, const struct fathom__tensor *tensors, size_t n, const char *const *metadata) {
    json_t *header = json_object();
    int status = FATHOM_OK;
    bool built = header != NULL;
    if (metadata && built) {
        json_t *pairs = json_object();
        for (const char *const *pair = metadata; pair[0] && pair[1]; pair += 2)
            built = json_object_set_new(pairs, pair[0], fathom__json_string(pair[1], strlen(pair[1]))) == 0 && built;
        built = json_object_set_new(header, METADATA_KEY, pairs) == 0 && built;
    }
    size_t offset = 0;
    for (size_t i = 0; i < n && built; i++) {
        const struct fathom__tensor *tensor = &tensors[i];
        json_t *shape = json_array();
        for (size_t j = 0; j < tensor->n_dimensions; j++)
            json_array_append_new(shape, json_integer((json_int_t)tensor->shape[j]));
        json_t *record = json_pack("{s:s, s:o, s:[I,I]}", "dtype", fathom__dtype_name(tensor->dtype), "shape", shape,
                                   "data_offsets", (json_int_t)offset, (json_int_t)(offset + tensor->bytes));
        built = json_object_set_new(header, tensor->name, record) == 0;
        offset += tensor->bytes;
    }
    if (!built)
        status = fathom__fail(FATHOM_ERROR_MEMORY, "the header could not be made");
    else if (json_object_size(header) != n + (metadata != NULL))
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "two tensors have the same name");
    else
        status = fathom__json_text(out, header, false);
    json_decref(header);
    return status;
}

static int check_tensor(const struct fathom__tensor *tensor) {
    size_t bytes = 0;
    if (tensor->n_dimensions > FATHOM__TENSOR_DIMENSIONS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "tensor %s has %zu dimensions, at most %d were expected",
                            tensor->name, tensor->n_dimensions, FATHOM__TENSOR_DIMENSIONS);
    if (!fathom__tensor_bytes(&bytes, tensor->dtype, tensor->shape, tensor->n_dimensions))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "tensor %s has a shape of more than 2^63 bytes", tensor->name);
    if (bytes != tensor->bytes)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "tensor %s has %zu bytes, its shape takes %zu", tensor->name,
                            tensor->bytes, bytes);
    return FATHOM_OK;
}

int fathom__safetensors_write(const char *path, const struct fathom__tensor *tensors, size_t n,
                              const char *const *metadata) {
    char *header = NULL;
    struct fathom__writer writer;
    int status = FATHOM_OK;
    for (size_t i = 0; i < n && !status; i++)
        status = check_tensor(&tensors[i]);
    if (!status) status = build_header(&header, tensors, n, metadata);
    if (status) return fathom__wrap(status, "%s", path);
    status = fathom__writer_open(&writer, path);
    if (!status) {
        size_t length = strlen(header);
        uint64_t padded = (length + 7) / 8 * 8;
        status = fathom__writer_write(&writer, &padded, sizeof padded);
        if (!status) status = fathom__writer_write(&writer, header, length);
        if (!status) status = fathom__writer_write(&writer, "       ", (size_t)padded - length);
        for (size_t i = 0; i < n && !status; i++)
            status = fathom__writer_write(&writer, tensors[i].data, tensors[i].bytes);
        if (!status) status = fathom__writer_commit(&writer);
        fathom__writer_discard(&writer);
    }
    fathom_free(header);
    return status;
}
