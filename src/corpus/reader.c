#include <base/buffer.h>
#include <base/error.h>
#include <base/memory.h>
#include <base/utf8.h>
#include <corpus/input.h>
#include <corpus/reader.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { READ_SIZE = 1 << 16, DOCUMENT_LIMIT = 64 << 20, BLANK_LINES = 2 };

enum form { UNKNOWN, TEXT, JSONL };

struct fathom__reader {
    fathom__input *input;
    char *field;
    bool field_named, chats;
    enum form form;
    char *bytes; /* read, not yet split into lines: [start, end) */
    size_t start, end, capacity;
    size_t searched; /* of these, how many are known to hold no "\n" */
    bool at_end;
    uint64_t line;   /* number of the present line, from 1 */
    uint64_t offset; /* of `start` in the decompressed file */
    struct fathom__buffer document;
    json_t *object; /* holds the text of a JSONL document */
};

struct line {
    const char *bytes;
    size_t length;   /* without "\n" */
    uint64_t offset; /* in the decompressed file */
};

static bool ends_with(const char *text, size_t length, const char *end) {
    size_t n = strlen(end);
    return length >= n && memcmp(text + length - n, end, n) == 0;
}

static bool is_jsonl_name(const char *path) {
    size_t length = strlen(path);
    if (ends_with(path, length, ".gz")) length -= strlen(".gz");
    if (ends_with(path, length, ".zst")) length -= strlen(".zst");
    return ends_with(path, length, ".jsonl") || ends_with(path, length, ".ndjson");
}

int fathom__reader_open(fathom__reader **out, const char *path, const char *field) {
    fathom__reader *reader = NULL;
    int status = fathom__alloc(&reader, 1, sizeof *reader);
    if (status) return status;
    reader->document.limit = DOCUMENT_LIMIT;
    reader->form = field || is_jsonl_name(path) ? JSONL : UNKNOWN;
    status = fathom__copy_string(&reader->field, field ? field : "text");
    if (!status) status = fathom__grow(&reader->bytes, &reader->capacity, READ_SIZE, 1);
    if (!status) status = fathom__input_open(&reader->input, path);
    if (status)
        fathom__reader_close(reader);
    else
        *out = reader;
    return status;
}

void fathom__reader_close(fathom__reader *reader) {
    if (!reader) return;
    fathom__input_close(reader->input);
    fathom__buffer_free(&reader->document);
    json_decref(reader->object);
    fathom_free(reader->bytes);
    fathom_free(reader->field);
    fathom_free(reader);
}

void fathom__reader_take_chats(fathom__reader *reader) {
    reader->chats = true;
}

uint64_t fathom__reader_used(const fathom__reader *reader) {
    return fathom__input_is_compressed(reader->input) ? fathom__input_taken(reader->input) : reader->offset;
}

static int read_more(fathom__reader *reader) {
    size_t got = 0;
    if (reader->start > 0) {
        memmove(reader->bytes, reader->bytes + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    if (reader->end > DOCUMENT_LIMIT)
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: line %" PRIu64 " is longer than %d bytes",
                            fathom__input_name(reader->input), reader->line + 1, DOCUMENT_LIMIT);
    int status = fathom__grow(&reader->bytes, &reader->capacity, reader->end + READ_SIZE, 1);
    if (!status)
        status = fathom__input_read(&got, reader->bytes + reader->end, reader->capacity - reader->end, reader->input);
    reader->at_end = !status && got == 0;
    reader->end += got;
    return status;
}

/* Lines end at "\n" and nowhere else. */
static int next_line(struct line *line, bool *more, fathom__reader *reader) {
    const char *end = NULL;
    for (;;) {
        size_t have = reader->end - reader->start;
        const char *bytes = reader->bytes + reader->start;
        if (have > reader->searched) end = memchr(bytes + reader->searched, '\n', have - reader->searched);
        if (end || reader->at_end) break;
        reader->searched = have;
        int status = read_more(reader);
        if (status) return status;
    }
    size_t have = reader->end - reader->start;
    *more = have > 0;
    if (!*more) return FATHOM_OK;
    *line = (struct line){reader->bytes + reader->start, end ? (size_t)(end - (reader->bytes + reader->start)) : have,
                          reader->offset};
    size_t used = line->length + (end != NULL);
    reader->start += used;
    reader->offset += used;
    reader->searched = 0;
    reader->line++;
    size_t bad;
    if (!fathom__utf8_valid(&bad, line->bytes, line->length))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: line %" PRIu64 ": invalid UTF-8 at byte %" PRIu64 " of the text",
                            fathom__input_name(reader->input), reader->line, line->offset + bad);
    if (reader->line == 1 && line->length >= 3 && memcmp(line->bytes, "\xef\xbb\xbf", 3) == 0) {
        line->bytes += 3; /* a byte order mark is no text */
        line->length -= 3;
    }
    return FATHOM_OK;
}

static bool is_blank(const struct line *line) {
    for (size_t i = 0; i < line->length; i++)
        if (line->bytes[i] != ' ' && line->bytes[i] != '\t' && line->bytes[i] != '\r') return false;
    return true;
}

/* A line that holds a form feed and nothing else but blanks. */
static bool is_break(const struct line *line) {
    size_t feeds = 0;
    for (size_t i = 0; i < line->length; i++) {
        if (line->bytes[i] == '\f')
            feeds++;
        else if (line->bytes[i] != ' ' && line->bytes[i] != '\t' && line->bytes[i] != '\r')
            return false;
    }
    return feeds > 0;
}

static int line_failed(int status, const fathom__reader *reader) {
    return fathom__wrap(status, "%s: line %" PRIu64, fathom__input_name(reader->input), reader->line);
}

static json_t *parse_line(const struct line *line, json_error_t *error) {
    return json_loadb(line->bytes, line->length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, error);
}

/* An array of messages, each with a role and a content, as the document's text. */
static int take_chat(const char **text, size_t *length, fathom__reader *reader, const json_t *value) {
    const size_t n = json_array_size(value);
    int status = FATHOM_OK;
    if (n == 0)
        return line_failed(fathom__fail(FATHOM_ERROR_FORMAT, "the key \"%s\" %s, an array of messages was expected",
                                        reader->field, !value ? "is missing" : "has another type or is empty"),
                           reader);
    for (size_t i = 0; i < n; i++) {
        const json_t *message = json_array_get(value, i);
        if (!json_is_string(json_object_get(message, "role")) || !json_is_string(json_object_get(message, "content")))
            return line_failed(fathom__fail(FATHOM_ERROR_FORMAT,
                                            "message %zu of \"%s\": a \"role\" and a \"content\" were expected, both "
                                            "strings",
                                            i, reader->field),
                               reader);
    }
    char *dumped = json_dumps(value, JSON_COMPACT);
    if (!dumped) return fathom__fail_memory(0);
    fathom__buffer_clear(&reader->document);
    status = fathom__buffer_text(&reader->document, dumped);
    free(dumped);
    if (status) return line_failed(status, reader);
    *text = reader->document.bytes;
    *length = reader->document.length;
    return FATHOM_OK;
}

static int take_json(const char **text, size_t *length, fathom__reader *reader, const struct line *line) {
    json_error_t error;
    json_decref(reader->object);
    reader->object = parse_line(line, &error);
    if (!reader->object)
        return line_failed(
            fathom__fail(FATHOM_ERROR_FORMAT, "not valid JSON: %s (column %d)", error.text, error.column), reader);
    if (!json_is_object(reader->object))
        return line_failed(
            fathom__fail(FATHOM_ERROR_FORMAT, "an object with the key \"%s\" was expected", reader->field), reader);
    const json_t *value = json_object_get(reader->object, reader->field);
    if (reader->chats) return take_chat(text, length, reader, value);
    if (!json_is_string(value))
        return line_failed(fathom__fail(FATHOM_ERROR_FORMAT, "the key \"%s\" %s, a string was expected", reader->field,
                                        value ? "has another type" : "is missing"),
                           reader);
    *text = json_string_value(value);
    *length = json_string_length(value);
    return FATHOM_OK;
}

/* Gathers lines up to a break: a form feed on a line of its own, or two blank lines and more. `line` is the first one.
 */
static int take_text(const char **text, size_t *length, fathom__reader *reader, struct line line) {
    size_t blank = 0, content = 0;
    bool more = true;
    int status = FATHOM_OK;
    fathom__buffer_clear(&reader->document);
    while (more && !is_break(&line)) {
        blank = is_blank(&line) ? blank + 1 : 0;
        if (blank >= BLANK_LINES && content > 0) break;
        if (content > 0 || blank == 0) {
            if (reader->document.length > 0) status = fathom__buffer_append(&reader->document, "\n", 1);
            if (!status) status = fathom__buffer_append(&reader->document, line.bytes, line.length);
            if (status) return line_failed(status, reader);
            if (blank == 0) content = reader->document.length;
        }
        status = next_line(&line, &more, reader);
        if (status) return status;
    }
    *text = reader->document.bytes ? reader->document.bytes : "";
    *length = content; /* leaves blank lines at the end out */
    return FATHOM_OK;
}

static void choose_form(fathom__reader *reader, const struct line *line) {
    json_error_t error;
    const char *first = line->bytes;
    while (*first == ' ' || *first == '\t')
        first++;
    json_t *object = *first == '{' ? parse_line(line, &error) : NULL;
    reader->form = json_is_object(object) ? JSONL : TEXT;
    json_decref(object);
}

int fathom__reader_next(const char **text, size_t *length, bool *more, fathom__reader *reader) {
    size_t found = 0;
    while (found == 0) {
        struct line line;
        int status = next_line(&line, more, reader);
        if (status || !*more) return status;
        if (is_blank(&line)) continue;
        if (reader->form == UNKNOWN) choose_form(reader, &line);
        status = reader->form == JSONL ? take_json(text, &found, reader, &line) : take_text(text, &found, reader, line);
        if (status) return status;
    }
    *length = found;
    return FATHOM_OK;
}
