#include "catalogue/wordnet_parse.h"

#include "base/error.h"

#include <inttypes.h>
#include <string.h>

bool fathom__wordnet_line(struct fathom__wordnet_lines *lines) {
    while (lines->next < lines->end) {
        lines->cursor = lines->next;
        const char *newline = memchr(lines->cursor, '\n', (size_t)(lines->end - lines->cursor));
        lines->line_end = newline ? newline : lines->end;
        lines->next = newline ? newline + 1 : lines->end;
        lines->number++;
        if (lines->cursor < lines->line_end && *lines->cursor != ' ') return true;
    }
    return false;
}

int fathom__wordnet_field(const char **field, size_t *length, struct fathom__wordnet_lines *lines, const char *what) {
    while (lines->cursor < lines->line_end && *lines->cursor == ' ')
        lines->cursor++;
    const char *start = lines->cursor;
    while (lines->cursor < lines->line_end && *lines->cursor != ' ')
        lines->cursor++;
    if (start == lines->cursor)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: line %" PRIu64 ": %s is missing", lines->path, lines->number,
                            what);
    *field = start;
    *length = (size_t)(lines->cursor - start);
    return FATHOM_OK;
}

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

int fathom__wordnet_number(uint32_t *out, struct fathom__wordnet_lines *lines, unsigned base, uint32_t most,
                           const char *what) {
    const char *field;
    size_t length;
    const int status = fathom__wordnet_field(&field, &length, lines, what);
    if (status) return status;
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        const int digit = digit_value(field[i]);
        if (digit < 0 || (unsigned)digit >= base || (value = value * base + (unsigned)digit) > most)
            return fathom__fail(FATHOM_ERROR_FORMAT,
                                "%s: line %" PRIu64 ": %s should be a number of base %u up to %" PRIu32, lines->path,
                                lines->number, what, base, most);
    }
    *out = (uint32_t)value;
    return FATHOM_OK;
}
