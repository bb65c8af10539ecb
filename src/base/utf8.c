#include <base/buffer.h>
#include <base/utf8.h>

#include <fathom/error.h>
#include <stdint.h>
#include <string.h>

enum { INVALID = -1, INCOMPLETE = 0, LONGEST_CHARACTER = 4 };

static const char replacement[] = "\xef\xbf\xbd";

/* Length of the character at the start of bytes (length >= 1), INCOMPLETE if they could still become one, else INVALID.
 * The ranges are those of the Unicode Standard, table 3-7. */
static int step(const unsigned char *bytes, size_t length) {
    unsigned char lead = bytes[0];
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return INVALID;
    int size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    unsigned char least = 0x80, most = 0xbf;
    if (lead == 0xe0) least = 0xa0;
    if (lead == 0xed) most = 0x9f;
    if (lead == 0xf0) least = 0x90;
    if (lead == 0xf4) most = 0x8f;
    for (int i = 1; i < size; i++) {
        if ((size_t)i == length) return INCOMPLETE;
        if (bytes[i] < least || bytes[i] > most) return INVALID;
        least = 0x80;
        most = 0xbf;
    }
    return size;
}

bool fathom__utf8_valid(size_t *offset, const char *bytes, size_t length) {
    const unsigned char *text = (const unsigned char *)bytes;
    for (size_t i = 0; i < length;) {
        int size = step(text + i, length - i);
        if (size <= 0) {
            if (offset) *offset = i;
            return false;
        }
        i += (size_t)size;
    }
    return true;
}

size_t fathom__utf8_whole(const char *bytes, size_t length) {
    const unsigned char *text = (const unsigned char *)bytes;
    for (size_t back = 1; back < LONGEST_CHARACTER && back <= length; back++) {
        if ((text[length - back] & 0xc0) == 0x80) continue;
        return step(text + length - back, back) == INCOMPLETE ? length - back : length;
    }
    return length;
}

int fathom__utf8_append_clean(struct fathom__buffer *buffer, const char *bytes, size_t length) {
    size_t bad = 0;
    int status = 0;
    while (!status && !fathom__utf8_valid(&bad, bytes, length)) {
        status = fathom__buffer_append(buffer, bytes, bad);
        if (!status) status = fathom__buffer_text(buffer, replacement);
        bytes += bad + 1;
        length -= bad + 1;
    }
    return status ? status : fathom__buffer_append(buffer, bytes, length);
}

int fathom__utf8_clean(char **out, const char *bytes, size_t length) {
    struct fathom__buffer buffer = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    int status = fathom__utf8_append_clean(&buffer, bytes, length);
    if (!status) status = fathom__buffer_take(out, &buffer);
    fathom__buffer_free(&buffer);
    return status;
}

int fathom__utf8_line(char **out, const char *bytes, size_t length) {
    const unsigned char delete = 0x7f, second_controls[] = {0xc2, 0x80, 0x9f}; /* U+0080 to U+009F */
    int status = fathom__utf8_clean(out, bytes, length);
    if (status) return status;
    unsigned char *text = (unsigned char *)*out;
    for (size_t i = 0; text[i]; i++) {
        const bool second =
            text[i] == second_controls[0] && text[i + 1] >= second_controls[1] && text[i + 1] <= second_controls[2];
        if (second) {
            memmove(text + i, text + i + 1, strlen(*out + i));
            text[i] = '?';
        } else if (text[i] < ' ' || text[i] == delete) {
            text[i] = '?';
        }
    }
    return FATHOM_OK;
}
