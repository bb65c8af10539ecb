/* What nearly every test file needs: cmocka, and a look at the library's message. */
#ifndef FATHOM_TESTS_CHECK_H
#define FATHOM_TESTS_CHECK_H

#include <fathom/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Fails unless a call returned `status` and, on an error, its message holds `part`. */
#define check_status(call_, status_, part_) check_status_at((call_), (status_), (part_), __FILE__, __LINE__)

static inline void check_status_at(int found, int expected, const char *part, const char *file, int line) {
    const char *message = found == FATHOM_OK ? "" : fathom_error_message();
    if (found != expected) {
        print_error("%s:%d: %s, expected %s; message: %s\n", file, line, fathom_error_name(found),
                    fathom_error_name(expected), message);
        _fail(file, line);
    }
    if (found != FATHOM_OK && (strstr(message, part) == NULL || strchr(message, '\n') != NULL)) {
        print_error("%s:%d: the message \"%s\" lacks \"%s\" or is not one line\n", file, line, message, part);
        _fail(file, line);
    }
}

#define check_ok(call_) check_status((call_), FATHOM_OK, "")

#endif
