/* UTF-8: cleaned text is valid, valid text stays as it is, and what may be shown now is a prefix of it. */
#include <base/error.h>
#include <base/memory.h>
#include <base/utf8.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const char *text = (const char *)bytes;
    struct fathom__buffer clean = FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    size_t bad = 0, whole = fathom__utf8_whole(text, length);
    bool valid = fathom__utf8_valid(&bad, text, length);
    if (fathom__utf8_append_clean(&clean, text, length)) return 0;
    if (!fathom__utf8_valid(NULL, clean.bytes, clean.length)) abort();
    if (valid && (clean.length != length || memcmp(clean.bytes, text, length) != 0 || whole != length)) abort();
    if (!valid && bad >= length) abort();
    if (whole > length || length - whole > 3) abort();
    fathom__buffer_free(&clean);
    return 0;
}
