#include <base/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 1024 };

static _Thread_local char message[MESSAGE_SIZE];

/* Keeps the promise of one printable line: names and keys come from files and may hold anything. */
static void make_one_line(char *text) {
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = *c == '\n' || *c == '\t' ? ' ' : '?';
}

/* vsnprintf may have cut a character in two at the end of a full buffer. */
static void trim_partial_character(char *text, size_t length) {
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (length - (start - 1) < need) text[start - 1] = '\0';
}

static void set_message(const char *text, int wanted) {
    size_t length = strlen(text);
    memcpy(message, text, length + 1);
    if (wanted >= MESSAGE_SIZE) trim_partial_character(message, length);
    make_one_line(message);
}

int fathom__fail(int status, const char *format, ...) {
    /* The arguments may point into the present message. */
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    set_message(text, wanted);
    return status;
}

int fathom__wrap(int status, const char *format, ...) {
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (wanted >= 0 && wanted < MESSAGE_SIZE)
        wanted += snprintf(text + wanted, sizeof text - (size_t)wanted, ": %s", message);
    set_message(text, wanted);
    return status;
}

int fathom__fail_memory(size_t bytes) {
    return fathom__fail(FATHOM_ERROR_MEMORY, "out of memory: %zu bytes were asked for", bytes);
}

int fathom__fail_errno(const char *path, const char *doing) {
    char reason[128];
    int code = errno;
    /* The XSI and the GNU strerror_r differ; strerror_l and strerror do not, but only the first is safe in threads. */
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    const char *text = strerror_r(code, reason, sizeof reason);
#else
    const char *text = strerror_r(code, reason, sizeof reason) == 0 ? reason : "unknown error";
#endif
    const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    return fathom__fail(full ? FATHOM_ERROR_LIMIT : FATHOM_ERROR_IO, "%s: cannot %s: %s", path, doing, text);
}

int fathom__callback_status(int returned) {
    if (returned == FATHOM_OK) return FATHOM_OK;
    if (returned <= FATHOM_ERROR_ARGUMENT && returned > FATHOM_ERROR_STOPPED) return returned;
    return fathom__fail(FATHOM_ERROR_STOPPED, "stopped by the caller");
}

const char *fathom_error_message(void) {
    return message;
}

const char *fathom_error_name(int status) {
    switch (status) {
    case FATHOM_OK: return "ok";
    case FATHOM_ERROR_ARGUMENT: return "argument";
    case FATHOM_ERROR_MEMORY: return "memory";
    case FATHOM_ERROR_IO: return "io";
    case FATHOM_ERROR_FORMAT: return "format";
    case FATHOM_ERROR_UNSUPPORTED: return "unsupported";
    case FATHOM_ERROR_MISMATCH: return "mismatch";
    case FATHOM_ERROR_NOT_FOUND: return "not found";
    case FATHOM_ERROR_LIMIT: return "limit";
    case FATHOM_ERROR_ENGINE: return "engine";
    case FATHOM_ERROR_NUMERIC: return "numeric";
    case FATHOM_ERROR_STOPPED: return "stopped";
    default: return "unknown";
    }
}

const char *fathom_version(void) {
    return FATHOM_VERSION;
}
