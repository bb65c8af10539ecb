#include <base/error.h>
#include <base/gguf_parts.h>
#include <base/memory.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The part of the file that was not read yet. */
struct cursor {
    const fathom__gguf *file;
    const unsigned char *next;
    size_t left;
};

size_t fathom__gguf_type_size(enum fathom__gguf_type type) {
    switch (type) {
    case FATHOM__GGUF_UINT8:
    case FATHOM__GGUF_INT8:
    case FATHOM__GGUF_BOOL: return 1;
    case FATHOM__GGUF_UINT16:
    case FATHOM__GGUF_INT16: return 2;
    case FATHOM__GGUF_UINT32:
    case FATHOM__GGUF_INT32:
    case FATHOM__GGUF_FLOAT32: return 4;
    case FATHOM__GGUF_UINT64:
    case FATHOM__GGUF_INT64:
    case FATHOM__GGUF_FLOAT64: return 8;
    default: return 0;
    }
}

static bool take(void *out, struct cursor *cursor, size_t size) {
    if (cursor->left < size) return false;
    memcpy(out, cursor->next, size);
    cursor->next += size;
    cursor->left -= size;
    return true;
}

/* A length and that many bytes, which stay in the file. */
static bool take_string(const char **out, size_t *length, struct cursor *cursor) {
    uint64_t n;
    if (!take(&n, cursor, sizeof n) || n > cursor->left) return false;
    *out = (const char *)cursor->next;
    *length = (size_t)n;
    cursor->next += n;
    cursor->left -= (size_t)n;
    return true;
}

static int truncated(const struct cursor *cursor, const char *what, const char *name) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the file ends inside %s%s%s", cursor->file->path, what,
                        *name ? " " : "", name);
}

/* A key or a tensor's name as a new string. */
static int take_name(char **out, struct cursor *cursor, const char *what, size_t index, size_t limit) {
    const char *bytes;
    size_t length;
    if (!take_string(&bytes, &length, cursor))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the file ends inside the name of %s %zu", cursor->file->path,
                            what, index);
    if (length == 0 || length > limit || memchr(bytes, 0, length))
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: the name of %s %zu has %zu bytes, 1 to %zu without zeros were expected",
                            cursor->file->path, what, index, length, limit);
    return fathom__copy_bytes(out, bytes, length);
}

static int take_array(struct fathom__gguf_entry *entry, struct cursor *cursor) {
    uint32_t element;
    uint64_t count;
    if (!take(&element, cursor, sizeof element) || !take(&count, cursor, sizeof count))
        return truncated(cursor, "the key", entry->key);
    if (element >= FATHOM__GGUF_TYPES || element == FATHOM__GGUF_ARRAY)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: %s is an array of type %" PRIu32 ", a scalar or string type was expected",
                            cursor->file->path, entry->key, element);
    entry->element = (enum fathom__gguf_type)element;
    size_t size = fathom__gguf_type_size(entry->element);
    /* A string takes at least its length; the check keeps hostile counts from any further arithmetic. */
    if (count > cursor->left / (size ? size : sizeof(uint64_t)))
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: %s has %" PRIu64 " elements, more than the rest of the file holds", cursor->file->path,
                            entry->key, count);
    entry->count = (size_t)count;
    if (size) {
        cursor->next += entry->count * size;
        cursor->left -= entry->count * size;
        return FATHOM_OK;
    }
    for (size_t i = 0; i < entry->count; i++) {
        const char *bytes;
        size_t length;
        if (!take_string(&bytes, &length, cursor)) return truncated(cursor, "the key", entry->key);
    }
    return FATHOM_OK;
}

static int take_value(struct fathom__gguf_entry *entry, struct cursor *cursor) {
    uint32_t type;
    if (!take(&type, cursor, sizeof type)) return truncated(cursor, "the key", entry->key);
    if (type >= FATHOM__GGUF_TYPES)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s has type %" PRIu32 ", 0 to %d was expected",
                            cursor->file->path, entry->key, type, FATHOM__GGUF_TYPES - 1);
    entry->type = (enum fathom__gguf_type)type;
    entry->bytes = cursor->next;
    int status = FATHOM_OK;
    if (entry->type == FATHOM__GGUF_ARRAY) {
        status = take_array(entry, cursor);
    } else if (entry->type == FATHOM__GGUF_STRING) {
        const char *bytes;
        size_t length;
        if (!take_string(&bytes, &length, cursor)) return truncated(cursor, "the key", entry->key);
        if (!memchr(bytes, 0, length)) status = fathom__copy_bytes(&entry->text, bytes, length);
    } else {
        unsigned char scalar[sizeof(uint64_t)];
        if (!take(scalar, cursor, fathom__gguf_type_size(entry->type))) return truncated(cursor, "the key", entry->key);
    }
    entry->length = (size_t)(cursor->next - entry->bytes);
    return status;
}

static int parse_entries(fathom__gguf *file, struct cursor *cursor, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        int status = fathom__grow(&file->entries, &file->entry_capacity, file->n_entries + 1, sizeof *file->entries);
        if (status) return status;
        struct fathom__gguf_entry *entry = &file->entries[file->n_entries];
        *entry = (struct fathom__gguf_entry){0};
        status = take_name(&entry->key, cursor, "key", (size_t)i, FATHOM__GGUF_KEY_LIMIT);
        if (status) return status;
        file->n_entries++;
        status = take_value(entry, cursor);
        if (status) return status;
    }
    return FATHOM_OK;
}

int fathom__gguf_tensor_bytes(size_t *bytes, int status, const char *where, const char *name, int32_t type,
                              const int64_t shape[4]) {
    if (type < 0 || type >= GGML_TYPE_COUNT || ggml_blck_size((enum ggml_type)type) <= 0 ||
        ggml_type_size((enum ggml_type)type) == 0)
        return fathom__fail(status, "%s: tensor %s has type %" PRId32 ", which the engine does not know", where, name,
                            type);
    /* Sizes of 0 count as 1 here: products of some of the sizes are taken elsewhere, and must not overflow either. */
    uint64_t elements = 1;
    bool empty = false;
    for (int i = 0; i < FATHOM__GGUF_DIMENSIONS; i++) {
        if (shape[i] < 0)
            return fathom__fail(status, "%s: tensor %s has a dimension of %" PRId64 ", at least 0 was expected", where,
                                name, shape[i]);
        if (shape[i] > 0 && elements > (uint64_t)(INT64_MAX / shape[i]))
            return fathom__fail(status, "%s: tensor %s has a shape of more than 2^63 elements", where, name);
        if (shape[i] > 0) elements *= (uint64_t)shape[i];
        empty = empty || shape[i] == 0;
    }
    if (empty) elements = 0;
    uint64_t block = (uint64_t)ggml_blck_size((enum ggml_type)type), size = ggml_type_size((enum ggml_type)type);
    if ((uint64_t)shape[0] % block)
        return fathom__fail(status,
                            "%s: tensor %s has rows of %" PRId64 " elements, a multiple of %" PRIu64
                            " was expected for type %s",
                            where, name, shape[0], block, ggml_type_name((enum ggml_type)type));
    if (elements / block > (uint64_t)PTRDIFF_MAX / size)
        return fathom__fail(status, "%s: tensor %s has a shape of more than 2^63 bytes", where, name);
    *bytes = (size_t)(elements / block * size);
    return FATHOM_OK;
}

/* A tensor's record; its offset is kept aside until it is known where the data start. */
static int parse_tensor(struct fathom__gguf_tensor *tensor, uint64_t *offset, struct cursor *cursor) {
    uint32_t n_dimensions;
    int32_t type;
    if (!take(&n_dimensions, cursor, sizeof n_dimensions))
        return truncated(cursor, "the record of tensor", tensor->name);
    if (n_dimensions > FATHOM__GGUF_DIMENSIONS)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s has %" PRIu32 " dimensions, at most %d were expected",
                            cursor->file->path, tensor->name, n_dimensions, FATHOM__GGUF_DIMENSIONS);
    for (uint32_t i = 0; i < FATHOM__GGUF_DIMENSIONS; i++) {
        tensor->shape[i] = 1;
        if (i < n_dimensions && !take(&tensor->shape[i], cursor, sizeof tensor->shape[i]))
            return truncated(cursor, "the record of tensor", tensor->name);
    }
    if (!take(&type, cursor, sizeof type) || !take(offset, cursor, sizeof *offset))
        return truncated(cursor, "the record of tensor", tensor->name);
    int status = fathom__gguf_tensor_bytes(&tensor->bytes, FATHOM_ERROR_FORMAT, cursor->file->path, tensor->name, type,
                                           tensor->shape);
    if (!status) tensor->type = (enum ggml_type)type;
    return status;
}

static int parse_tensors(fathom__gguf *file, struct cursor *cursor, uint64_t count, uint64_t **offsets) {
    size_t offset_capacity = 0;
    for (uint64_t i = 0; i < count; i++) {
        int status = fathom__grow(&file->tensors, &file->tensor_capacity, file->n_tensors + 1, sizeof *file->tensors);
        if (!status) status = fathom__grow(offsets, &offset_capacity, file->n_tensors + 1, sizeof **offsets);
        if (status) return status;
        struct fathom__gguf_tensor *tensor = &file->tensors[file->n_tensors];
        *tensor = (struct fathom__gguf_tensor){0};
        char *name;
        status = take_name(&name, cursor, "tensor", (size_t)i, GGML_MAX_NAME - 1);
        if (status) return status;
        tensor->name = name;
        status = parse_tensor(tensor, &(*offsets)[file->n_tensors], cursor);
        file->n_tensors++;
        if (status) return status;
    }
    return FATHOM_OK;
}

bool fathom__gguf_alignment_valid(enum fathom__gguf_type type, const void *bytes) {
    uint32_t alignment;
    if (type != FATHOM__GGUF_UINT32) return false;
    memcpy(&alignment, bytes, sizeof alignment);
    /* Multiples of 8 keep every element type aligned in the mapping; the engine asks for powers of two. */
    return alignment >= 8 && (alignment & (alignment - 1)) == 0;
}

static int read_alignment(size_t *out, const fathom__gguf *file) {
    uint32_t alignment = FATHOM__GGUF_ALIGNMENT;
    for (size_t i = 0; i < file->n_entries; i++) {
        const struct fathom__gguf_entry *entry = &file->entries[i];
        if (strcmp(entry->key, FATHOM__GGUF_ALIGNMENT_KEY) != 0) continue;
        if (!fathom__gguf_alignment_valid(entry->type, entry->bytes))
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s must be a uint32 and a power of two of at least 8",
                                file->path, entry->key);
        memcpy(&alignment, entry->bytes, sizeof alignment);
    }
    *out = alignment;
    return FATHOM_OK;
}

/* Tensor data lie one after another, each padded to the alignment: what the engine asks for too. */
static int place_tensors(fathom__gguf *file, const struct cursor *cursor, const uint64_t *offsets) {
    size_t alignment = 0;
    int status = read_alignment(&alignment, file);
    if (status) return status;
    size_t start = (size_t)(cursor->next - file->mapping.bytes);
    size_t padding = (alignment - start % alignment) % alignment;
    size_t room = cursor->left > padding ? cursor->left - padding : 0;
    const unsigned char *data = file->mapping.bytes + start + (room ? padding : 0);
    size_t expected = 0;
    for (size_t i = 0; i < file->n_tensors; i++) {
        struct fathom__gguf_tensor *tensor = &file->tensors[i];
        if (offsets[i] != expected)
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s lies at offset %" PRIu64 ", %zu was expected",
                                file->path, tensor->name, offsets[i], expected);
        if (expected > room || tensor->bytes > room - expected)
            return fathom__fail(FATHOM_ERROR_FORMAT,
                                "%s: the data of tensor %s (%zu bytes at offset %zu) go beyond the end of the file",
                                file->path, tensor->name, tensor->bytes, expected);
        tensor->data = data + expected;
        /* Both terms are within the file's length, so that only the padding can pass its end, which the next tensor
         * meets. */
        expected += tensor->bytes;
        expected += (alignment - expected % alignment) % alignment;
    }
    return FATHOM_OK;
}

/* Sorting by a name that the elements hold: qsort's comparison has no payload, so the pairs carry it. */
struct named {
    const char *name;
    size_t index;
};

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int sort_names(size_t **out, struct named *pairs, size_t n, const char *path, const char *what) {
    int status = fathom__alloc(out, n, sizeof **out);
    if (status) return status;
    qsort(pairs, n, sizeof *pairs, compare_names);
    for (size_t i = 0; i < n; i++) {
        (*out)[i] = pairs[i].index;
        if (i > 0 && strcmp(pairs[i - 1].name, pairs[i].name) == 0)
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: two %s are named %s", path, what, pairs[i].name);
    }
    return FATHOM_OK;
}

static int sort_all(fathom__gguf *file) {
    size_t most = file->n_entries > file->n_tensors ? file->n_entries : file->n_tensors;
    struct named *pairs = NULL;
    int status = fathom__alloc(&pairs, most, sizeof *pairs);
    if (status) return status;
    for (size_t i = 0; i < file->n_entries; i++)
        pairs[i] = (struct named){file->entries[i].key, i};
    status = sort_names(&file->entry_order, pairs, file->n_entries, file->path, "keys");
    for (size_t i = 0; i < file->n_tensors && !status; i++)
        pairs[i] = (struct named){file->tensors[i].name, i};
    if (!status) status = sort_names(&file->tensor_order, pairs, file->n_tensors, file->path, "tensors");
    fathom_free(pairs);
    return status;
}

int fathom__gguf_parse(fathom__gguf *file) {
    struct cursor cursor = {file, file->mapping.bytes, file->mapping.length};
    char magic[4];
    uint32_t version;
    uint64_t n_tensors, n_entries, *offsets = NULL;
    if (!take(magic, &cursor, sizeof magic) || memcmp(magic, "GGUF", sizeof magic) != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: not a GGUF file: it does not begin with \"GGUF\"", file->path);
    if (!take(&version, &cursor, sizeof version) || !take(&n_tensors, &cursor, sizeof n_tensors) ||
        !take(&n_entries, &cursor, sizeof n_entries))
        return truncated(&cursor, "its header", "");
    if (version != FATHOM__GGUF_VERSION && version != FATHOM__GGUF_VERSION - 1)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: GGUF version %" PRIu32 ", 2 or 3 was expected", file->path,
                            version);
    /* Every entry and every record takes at least its name's length, so that larger counts cannot be true. */
    if (n_entries > cursor.left / sizeof(uint64_t) || n_tensors > cursor.left / sizeof(uint64_t))
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: %" PRIu64 " keys and %" PRIu64 " tensors are more than the file holds", file->path,
                            n_entries, n_tensors);
    int status = parse_entries(file, &cursor, n_entries);
    if (!status) status = parse_tensors(file, &cursor, n_tensors, &offsets);
    if (!status) status = sort_all(file);
    if (!status) status = place_tensors(file, &cursor, offsets);
    fathom_free(offsets);
    return status;
}
