/* How the library reports: fathom__fail sets the thread's message and returns the status. */
#ifndef FATHOM_BASE_ERROR_H
#define FATHOM_BASE_ERROR_H

#include <fathom/error.h>
#include <stddef.h>

/* Sets the calling thread's message and returns `status`, so that errors read `return fathom__fail(…)`. */
int fathom__fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the present message and returns `status`: callers add what they know, never overwrite. */
int fathom__wrap(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The two errors that are the same everywhere. */
int fathom__fail_memory(size_t bytes);
int fathom__fail_errno(
    const char *path,
    const char *doing); /* IO, or LIMIT for a full disk, with strerror(errno): "PATH: cannot DOING: …" */

/* Adopts a callback's non-zero return: a fathom_status as it is, anything else as STOPPED. */
int fathom__callback_status(int returned);

#endif
