#include <base/buffer.h>
#include <base/error.h>
#include <base/memory.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `length` more bytes and the terminating zero. */
static int reserve(struct fathom__buffer *buffer, size_t length) {
    if (length > buffer->limit || buffer->length > buffer->limit - length)
        return fathom__fail(FATHOM_ERROR_LIMIT, "text would grow over its limit of %zu bytes", buffer->limit);
    if (buffer->length + length == SIZE_MAX) return fathom__fail_memory(SIZE_MAX);
    return fathom__grow(&buffer->bytes, &buffer->capacity, buffer->length + length + 1, 1);
}

int fathom__buffer_append(struct fathom__buffer *buffer, const void *bytes, size_t length) {
    int status = reserve(buffer, length);
    if (status) return status;
    if (length) memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    buffer->bytes[buffer->length] = '\0';
    return FATHOM_OK;
}

int fathom__buffer_text(struct fathom__buffer *buffer, const char *text) {
    return fathom__buffer_append(buffer, text, strlen(text));
}

int fathom__buffer_format(struct fathom__buffer *buffer, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    int status = length < 0 ? fathom__fail(FATHOM_ERROR_ARGUMENT, "text could not be formatted")
                            : reserve(buffer, (size_t)length);
    if (!status) {
        vsnprintf(buffer->bytes + buffer->length, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
    return status;
}

int fathom__buffer_html(struct fathom__buffer *buffer, const char *text, size_t length) {
    size_t plain = 0;
    int status = FATHOM_OK;
    for (size_t i = 0; i < length && !status; i++) {
        const char *entity = text[i] == '&'    ? "&amp;"
                             : text[i] == '<'  ? "&lt;"
                             : text[i] == '>'  ? "&gt;"
                             : text[i] == '"'  ? "&quot;"
                             : text[i] == '\'' ? "&#39;"
                                               : NULL;
        if (!entity) continue;
        status = fathom__buffer_append(buffer, text + plain, i - plain);
        if (!status) status = fathom__buffer_text(buffer, entity);
        plain = i + 1;
    }
    return status ? status : fathom__buffer_append(buffer, text + plain, length - plain);
}

void fathom__buffer_clear(struct fathom__buffer *buffer) {
    buffer->length = 0;
    if (buffer->bytes) buffer->bytes[0] = '\0';
}

int fathom__buffer_take(char **out, struct fathom__buffer *buffer) {
    int status = reserve(buffer, 0);
    if (status) return status;
    buffer->bytes[buffer->length] = '\0';
    *out = buffer->bytes;
    buffer->bytes = NULL;
    buffer->length = buffer->capacity = 0;
    return FATHOM_OK;
}

void fathom__buffer_free(struct fathom__buffer *buffer) {
    free(buffer->bytes);
    buffer->bytes = NULL;
    buffer->length = buffer->capacity = 0;
}
