/* Arrays among a GGUF's keys. */
#include <base/error.h>
#include <base/gguf_parts.h>

#include <string.h>

int fathom__gguf_array(struct fathom__gguf_array *out, const fathom__gguf *file, const char *key, bool required) {
    size_t n;
    const struct fathom__gguf_entry *entry = fathom__gguf_entry_find(file, key);
    int status = fathom__gguf_array_length(&n, file, key, required);
    if (status || !entry) return status;
    out->type = (enum gguf_type)entry->element;
    out->n = n;
    out->data = entry->bytes + sizeof(uint32_t) + sizeof(uint64_t);
    return FATHOM_OK;
}

bool fathom__gguf_array_integer(int64_t *out, const struct fathom__gguf_array *array, size_t index) {
    const size_t size = fathom__gguf_type_size((enum fathom__gguf_type)array->type);
    const unsigned char *bytes = array->data + index * size;
    uint64_t raw = 0;
    memcpy(&raw, bytes, size);
    switch (array->type) {
    case GGUF_TYPE_BOOL: *out = raw != 0; return true;
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_UINT16:
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_UINT64: *out = (int64_t)raw; return raw <= INT64_MAX;
    case GGUF_TYPE_INT8: *out = (int8_t)raw; return true;
    case GGUF_TYPE_INT16: *out = (int16_t)raw; return true;
    case GGUF_TYPE_INT32: *out = (int32_t)raw; return true;
    case GGUF_TYPE_INT64: *out = (int64_t)raw; return true;
    default: return false;
    }
}

const char *fathom__gguf_array_string(size_t *length, const struct fathom__gguf_array *array, size_t *cursor) {
    uint64_t bytes;
    memcpy(&bytes, array->data + *cursor, sizeof bytes);
    const char *string = (const char *)array->data + *cursor + sizeof bytes;
    *cursor += sizeof bytes + (size_t)bytes;
    *length = (size_t)bytes;
    return string;
}

enum gguf_type fathom__gguf_key_type(const fathom__gguf *file, const char *key) {
    const struct fathom__gguf_entry *entry = fathom__gguf_entry_find(file, key);
    return entry ? (enum gguf_type)entry->type : GGUF_TYPE_COUNT;
}
