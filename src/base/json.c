#include <base/buffer.h>
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/utf8.h>

#include <inttypes.h>
#include <string.h>

enum { DOCUMENT_LIMIT = 64 << 20, INDENT = 2, DIGITS = 15 };

int fathom__json_parse(json_t **out, const char *text, size_t length, const char *name) {
    json_error_t error;
    if (length > DOCUMENT_LIMIT)
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: JSON of more than %d bytes", name, DOCUMENT_LIMIT);
    json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: line %d: not valid JSON: %s", name, error.line, error.text);
    *out = value;
    return FATHOM_OK;
}

int fathom__json_load(json_t **out, const char *path) {
    char *text = NULL;
    size_t length = 0;
    int status = fathom__file_read(&text, &length, path, DOCUMENT_LIMIT);
    if (!status) status = fathom__json_parse(out, text, length, path);
    fathom_free(text);
    return status;
}

static int append(const char *bytes, size_t length, void *payload) {
    return fathom__buffer_append(payload, bytes, length);
}

int fathom__json_text(char **out, const json_t *value, bool indented) {
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    size_t flags = (indented ? JSON_INDENT(INDENT) : JSON_COMPACT) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(DIGITS);
    int status = FATHOM_OK;
    if (!value || json_dump_callback(value, append, &buffer, flags))
        status = fathom__fail(FATHOM_ERROR_MEMORY, "JSON text could not be made");
    else
        status = fathom__buffer_take(out, &buffer);
    fathom__buffer_free(&buffer);
    return status;
}

int fathom__json_write(const char *path, const json_t *value) {
    char *text = NULL;
    struct fathom__writer writer;
    int status = fathom__json_text(&text, value, true);
    if (status) return fathom__wrap(status, "%s", path);
    status = fathom__writer_open(&writer, path);
    if (!status) {
        status = fathom__writer_write(&writer, text, strlen(text));
        if (!status) status = fathom__writer_write(&writer, "\n", 1);
        if (!status) status = fathom__writer_commit(&writer);
        fathom__writer_discard(&writer);
    }
    fathom_free(text);
    return status;
}

json_t *fathom__json_string(const char *bytes, size_t length) {
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    json_t *string = NULL;
    if (!fathom__utf8_append_clean(&buffer, bytes, length)) string = json_stringn_nocheck(buffer.bytes, buffer.length);
    fathom__buffer_free(&buffer);
    return string;
}

static const char *type_name(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    default: return "null";
    }
}

/* *value is NULL when the key is missing and need not be there. */
static int member(const json_t **value, const json_t *object, const char *key, bool required, const char *expected,
                  const char *where) {
    if (!json_is_object(object))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s where an object with the key \"%s\" was expected", where,
                            object ? type_name(object) : "nothing", key);
    *value = json_object_get(object, key);
    if (!*value && required)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the key \"%s\" (%s) is missing", where, key, expected);
    return FATHOM_OK;
}

static int mistyped(const json_t *value, const char *key, const char *expected, const char *where) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\" is %s, %s was expected", where, key, type_name(value),
                        expected);
}

int fathom__json_get_string(const char **out, const json_t *object, const char *key, bool required, const char *where) {
    const json_t *value = NULL;
    int status = member(&value, object, key, required, "a string", where);
    if (status || !value) return status;
    if (!json_is_string(value)) return mistyped(value, key, "a string", where);
    *out = json_string_value(value);
    return FATHOM_OK;
}

int fathom__json_get_integer(int64_t *out, const json_t *object, const char *key, int64_t least, int64_t most,
                             bool required, const char *where) {
    const json_t *value = NULL;
    int status = member(&value, object, key, required, "an integer", where);
    if (status || !value) return status;
    if (!json_is_integer(value)) return mistyped(value, key, "an integer", where);
    json_int_t integer = json_integer_value(value);
    if (integer < least || integer > most)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: \"%s\" is %" JSON_INTEGER_FORMAT ", %" PRId64 " to %" PRId64 " was expected", where,
                            key, integer, least, most);
    *out = integer;
    return FATHOM_OK;
}

int fathom__json_get_number(double *out, const json_t *object, const char *key, bool required, const char *where) {
    const json_t *value = NULL;
    int status = member(&value, object, key, required, "a number", where);
    if (status || !value) return status;
    if (!json_is_number(value)) return mistyped(value, key, "a number", where);
    *out = json_number_value(value);
    return FATHOM_OK;
}

int fathom__json_get_bool(bool *out, const json_t *object, const char *key, bool required, const char *where) {
    const json_t *value = NULL;
    int status = member(&value, object, key, required, "a boolean", where);
    if (status || !value) return status;
    if (!json_is_boolean(value)) return mistyped(value, key, "a boolean", where);
    *out = json_is_true(value);
    return FATHOM_OK;
}
