#include <base/error.h>
#include <base/gguf_parts.h>
#include <base/hash.h>
#include <base/memory.h>

#include <inttypes.h>
#include <string.h>

int fathom__gguf_open(fathom__gguf **out, const char *path) {
    fathom__gguf *file = NULL;
    int status = fathom__alloc(&file, 1, sizeof *file);
    if (status) return status;
    status = fathom__copy_string(&file->path, path);
    if (!status) status = fathom__file_map(&file->mapping, path);
    if (!status) status = fathom__gguf_parse(file);
    if (status)
        fathom__gguf_close(file);
    else
        *out = file;
    return status;
}

void fathom__gguf_close(fathom__gguf *file) {
    if (!file) return;
    for (size_t i = 0; i < file->n_entries; i++) {
        fathom_free(file->entries[i].key);
        fathom_free(file->entries[i].text);
    }
    for (size_t i = 0; i < file->n_tensors; i++)
        fathom_free((void *)(uintptr_t)file->tensors[i].name);
    fathom_free(file->entries);
    fathom_free(file->tensors);
    fathom_free(file->entry_order);
    fathom_free(file->tensor_order);
    fathom__file_unmap(&file->mapping);
    fathom_free(file->path);
    fathom_free(file);
}

const char *fathom__gguf_path(const fathom__gguf *file) {
    return file->path;
}

size_t fathom__gguf_tensor_count(const fathom__gguf *file) {
    return file->n_tensors;
}

const struct fathom__gguf_tensor *fathom__gguf_tensor_at(const fathom__gguf *file, size_t index) {
    return &file->tensors[index];
}

const struct fathom__gguf_tensor *fathom__gguf_tensor_find(const fathom__gguf *file, const char *name) {
    size_t low = 0, high = file->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct fathom__gguf_tensor *tensor = &file->tensors[file->tensor_order[middle]];
        int order = strcmp(name, tensor->name);
        if (order == 0) return tensor;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

size_t fathom__gguf_dimensions(const struct fathom__gguf_tensor *tensor) {
    size_t n = FATHOM__GGUF_DIMENSIONS;
    while (n > 1 && tensor->shape[n - 1] == 1)
        n--;
    return n;
}

int fathom__gguf_rows_f32(float *out, const struct fathom__gguf_tensor *tensor, int64_t first, int64_t n) {
    int64_t rows = tensor->shape[1] * tensor->shape[2] * tensor->shape[3], width = tensor->shape[0];
    if (first < 0 || n < 0 || first > rows || n > rows - first)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "tensor %s: rows %" PRId64 " to %" PRId64 " asked for, it has %" PRId64, tensor->name,
                            first, first + n - 1, rows);
    if (n == 0 || width == 0) return FATHOM_OK;
    const unsigned char *bytes =
        (const unsigned char *)tensor->data + (size_t)first * ggml_row_size(tensor->type, width);
    if (tensor->type == GGML_TYPE_F32) {
        memcpy(out, bytes, (size_t)n * (size_t)width * sizeof *out);
        return FATHOM_OK;
    }
    ggml_to_float_t to_float = ggml_get_type_traits(tensor->type)->to_float;
    if (!to_float)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "tensor %s: values of type %s cannot be turned into floats",
                            tensor->name, ggml_type_name(tensor->type));
    to_float(bytes, out, n * width);
    return FATHOM_OK;
}

const struct fathom__gguf_entry *fathom__gguf_entry_find(const fathom__gguf *file, const char *key) {
    size_t low = 0, high = file->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct fathom__gguf_entry *entry = &file->entries[file->entry_order[middle]];
        int order = strcmp(key, entry->key);
        if (order == 0) return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool fathom__gguf_has(const fathom__gguf *file, const char *key) {
    return fathom__gguf_entry_find(file, key) != NULL;
}

size_t fathom__gguf_key_count(const fathom__gguf *file) {
    return file->n_entries;
}

const char *fathom__gguf_key_at(const fathom__gguf *file, size_t index) {
    return file->entries[index].key;
}

int fathom__gguf_hash_keys(char out[33], const fathom__gguf *file) {
    fathom__hash *hash = NULL;
    const int status = fathom__hash_open(&hash);
    if (status) return status;
    for (size_t i = 0; i < file->n_entries; i++) {
        const struct fathom__gguf_entry *entry = &file->entries[i];
        const uint32_t type = entry->type;
        const uint64_t length = entry->length;
        fathom__hash_add(hash, entry->key, strlen(entry->key) + 1);
        fathom__hash_add(hash, &type, sizeof type);
        fathom__hash_add(hash, &length, sizeof length);
        fathom__hash_add(hash, entry->bytes, entry->length);
    }
    fathom__hash_text(out, hash);
    fathom__hash_close(hash);
    return FATHOM_OK;
}

static const char *type_name(enum fathom__gguf_type type) {
    static const char *const names[FATHOM__GGUF_TYPES] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                                          "int32",  "float32", "bool",   "string", "array",
                                                          "uint64", "int64",   "float64"};
    return names[type];
}

/* *entry is NULL when the key is missing and need not be there. */
static int get(const struct fathom__gguf_entry **entry, const fathom__gguf *file, const char *key, bool required,
               const char *expected) {
    *entry = fathom__gguf_entry_find(file, key);
    if (!*entry && required)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the key %s (%s) is missing", file->path, key, expected);
    return FATHOM_OK;
}

static int mistyped(const fathom__gguf *file, const struct fathom__gguf_entry *entry, const char *expected) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s has type %s, %s was expected", file->path, entry->key,
                        type_name(entry->type), expected);
}

int fathom__gguf_string(const char **out, const fathom__gguf *file, const char *key, bool required) {
    const struct fathom__gguf_entry *entry;
    int status = get(&entry, file, key, required, "a string");
    if (status || !entry) return status;
    if (entry->type != FATHOM__GGUF_STRING) return mistyped(file, entry, "string");
    if (!entry->text) return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the string %s holds a zero byte", file->path, key);
    *out = entry->text;
    return FATHOM_OK;
}

/* Any integer as a sign and a magnitude, so that both ends of the 64-bit range fit. False for other types. */
static bool read_integer(bool *negative, uint64_t *magnitude, const struct fathom__gguf_entry *entry) {
    uint64_t raw = 0;
    int64_t value;
    size_t size = fathom__gguf_type_size(entry->type);
    if (size) memcpy(&raw, entry->bytes, size);
    switch (entry->type) {
    case FATHOM__GGUF_UINT8:
    case FATHOM__GGUF_UINT16:
    case FATHOM__GGUF_UINT32:
    case FATHOM__GGUF_UINT64:
        *negative = false;
        *magnitude = raw;
        return true;
    case FATHOM__GGUF_INT8: value = (int8_t)raw; break;
    case FATHOM__GGUF_INT16: value = (int16_t)raw; break;
    case FATHOM__GGUF_INT32: value = (int32_t)raw; break;
    case FATHOM__GGUF_INT64: value = (int64_t)raw; break;
    default: return false;
    }
    *negative = value < 0;
    *magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    return true;
}

int fathom__gguf_integer(int64_t *out, const fathom__gguf *file, const char *key, int64_t least, int64_t most,
                         bool required) {
    const struct fathom__gguf_entry *entry;
    bool negative = false;
    uint64_t magnitude = 0;
    int status = get(&entry, file, key, required, "an integer");
    if (status || !entry) return status;
    if (!read_integer(&negative, &magnitude, entry)) return mistyped(file, entry, "an integer");
    bool fits = negative || magnitude <= INT64_MAX;
    int64_t value = negative ? (int64_t)-magnitude : (int64_t)magnitude;
    if (!fits || value < least || value > most)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s is %s%" PRIu64 ", %" PRId64 " to %" PRId64 " was expected",
                            file->path, key, negative ? "-" : "", magnitude, least, most);
    *out = value;
    return FATHOM_OK;
}

int fathom__gguf_number(double *out, const fathom__gguf *file, const char *key, bool required) {
    const struct fathom__gguf_entry *entry;
    bool negative;
    uint64_t magnitude;
    int status = get(&entry, file, key, required, "a number");
    if (status || !entry) return status;
    if (entry->type == FATHOM__GGUF_FLOAT32) {
        float value;
        memcpy(&value, entry->bytes, sizeof value);
        *out = value;
    } else if (entry->type == FATHOM__GGUF_FLOAT64) {
        memcpy(out, entry->bytes, sizeof *out);
    } else if (read_integer(&negative, &magnitude, entry)) {
        *out = negative ? -(double)magnitude : (double)magnitude;
    } else {
        return mistyped(file, entry, "a number");
    }
    return FATHOM_OK;
}

int fathom__gguf_bool(bool *out, const fathom__gguf *file, const char *key, bool required) {
    const struct fathom__gguf_entry *entry;
    int status = get(&entry, file, key, required, "a bool");
    if (status || !entry) return status;
    if (entry->type != FATHOM__GGUF_BOOL) return mistyped(file, entry, "bool");
    *out = entry->bytes[0] != 0;
    return FATHOM_OK;
}

int fathom__gguf_array_length(size_t *out, const fathom__gguf *file, const char *key, bool required) {
    const struct fathom__gguf_entry *entry;
    int status = get(&entry, file, key, required, "an array");
    if (status || !entry) return status;
    if (entry->type != FATHOM__GGUF_ARRAY) return mistyped(file, entry, "array");
    *out = entry->count;
    return FATHOM_OK;
}
