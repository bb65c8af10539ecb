#include "server/call_reader.h"
#include "base/error.h"
#include <fathom/error.h>
#include <string.h>

enum { MOST_BYTES = 1 << 30 };

void fathom__call_reader_open(struct fathom__call_reader *out, const struct fathom__tool_format *format) {
    *out = (struct fathom__call_reader){.format = format,
                                        .held = FATHOM__BUFFER_INIT(MOST_BYTES),
                                        .name = FATHOM__BUFFER_INIT(MOST_BYTES),
                                        .text = FATHOM__BUFFER_INIT(MOST_BYTES),
                                        .arguments = FATHOM__BUFFER_INIT(MOST_BYTES)};
}

void fathom__call_reader_close(struct fathom__call_reader *reader) {
    fathom__buffer_free(&reader->held);
    fathom__buffer_free(&reader->name);
    fathom__buffer_free(&reader->text);
    fathom__buffer_free(&reader->arguments);
}

/* Text is told as far as it cannot be the beginning of the opening. */
static int read_text(struct fathom__call_reader *reader, char c) {
    const char *opening = reader->format->opening;
    const size_t n = strlen(opening);
    struct fathom__buffer *held = &reader->held;
    int status = fathom__buffer_append(held, &c, 1);
    size_t from = 0;
    while (!status && from < held->length && memcmp(held->bytes + from, opening, held->length - from) != 0)
        from++;
    if (!status && from > 0) status = fathom__buffer_append(&reader->text, held->bytes, from);
    if (status) return status;
    held->length -= from;
    memmove(held->bytes, held->bytes + from, held->length + 1);
    if (held->length == n) {
        fathom__buffer_clear(held);
        reader->state = FATHOM__CALL_NAME;
    }
    return FATHOM_OK;
}

static int read_arguments(struct fathom__call_reader *reader, char c) {
    if (reader->escaped) {
        reader->escaped = false;
    } else if (reader->in_string) {
        reader->escaped = c == '\\';
        reader->in_string = c != '"';
    } else if (c == '"') {
        reader->in_string = true;
    } else if (c == '{' || c == '[') {
        reader->depth++;
    } else if ((c == '}' || c == ']') && --reader->depth == 0) {
        reader->state = FATHOM__CALL_WHOLE;
    }
    return fathom__buffer_append(&reader->arguments, &c, 1);
}

static int read_byte(struct fathom__call_reader *reader, char c) {
    if (reader->state == FATHOM__CALL_NAME && !fathom__tool_name_character(c)) {
        reader->state = FATHOM__CALL_BETWEEN;
        reader->named = true;
    }
    switch (reader->state) {
    case FATHOM__CALL_NONE: return read_text(reader, c);
    case FATHOM__CALL_NAME: return fathom__buffer_append(&reader->name, &c, 1);
    case FATHOM__CALL_BETWEEN:
        if (++reader->n_between == strlen(reader->format->between)) reader->state = FATHOM__CALL_ARGUMENTS;
        return FATHOM_OK;
    case FATHOM__CALL_ARGUMENTS: return read_arguments(reader, c);
    default: return FATHOM_OK; /* the closing */
    }
}

int fathom__call_reader_add(struct fathom__call_reader *reader, const char *bytes, size_t n, bool end) {
    int status = FATHOM_OK;
    fathom__buffer_clear(&reader->text);
    fathom__buffer_clear(&reader->arguments);
    reader->named = false;
    for (size_t i = 0; i < n && !status; i++)
        status = read_byte(reader, bytes[i]);
    if (!status && end && reader->held.length > 0) {
        status = fathom__buffer_append(&reader->text, reader->held.bytes, reader->held.length);
        fathom__buffer_clear(&reader->held);
    }
    return status;
}
