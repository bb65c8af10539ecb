#include "base/error.h"
#include "base/gguf_file.h"

int fathom__gguf_array(struct fathom__gguf_array *out, const fathom__gguf *file, const char *key, bool required) {
    const struct gguf_context *keys = fathom__gguf_keys(file);
    const int64_t id = gguf_find_key(keys, key);
    if (id < 0) {
        if (!required) return FATHOM_OK;
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is missing (an array is expected)", fathom__gguf_path(file), key);
    }
    if (gguf_get_kv_type(keys, id) != GGUF_TYPE_ARRAY) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is of type %s, expected an array", fathom__gguf_path(file), key,
                            gguf_type_name(gguf_get_kv_type(keys, id)));
    }
    out->type = gguf_get_arr_type(keys, id);
    out->n = gguf_get_arr_n(keys, id);
    out->data = out->type == GGUF_TYPE_STRING ? NULL : gguf_get_arr_data(keys, id);
    out->keys = keys;
    out->id = id;
    return FATHOM_OK;
}

const char *fathom__gguf_array_string(const struct fathom__gguf_array *array, size_t index) {
    return gguf_get_arr_str(array->keys, array->id, index);
}

enum gguf_type fathom__gguf_key_type(const fathom__gguf *file, const char *key) {
    const struct gguf_context *keys = fathom__gguf_keys(file);
    const int64_t id = gguf_find_key(keys, key);
    return id < 0 ? GGUF_TYPE_COUNT : gguf_get_kv_type(keys, id);
}

int fathom__gguf_put_array(fathom__gguf_writer *writer, const char *key, enum gguf_type type, const void *data, size_t n) {
    gguf_set_arr_data(fathom__gguf_writer_keys(writer), key, type, data, n);
    return FATHOM_OK;
}

int fathom__gguf_put_strings(fathom__gguf_writer *writer, const char *key, const char *const *strings, size_t n) {
    const char **list = (const char **)(uintptr_t)strings;
    gguf_set_arr_str(fathom__gguf_writer_keys(writer), key, list, n);
    return FATHOM_OK;
}

void fathom__gguf_remove(fathom__gguf_writer *writer, const char *key) {
    gguf_remove_key(fathom__gguf_writer_keys(writer), key);
}
