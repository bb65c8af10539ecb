/* Errors, shared by every function of libfathom.
 *
 * Functions return an int: FATHOM_OK (0) or one of the negative values below. On an error the calling
 * thread's message holds one line that names the file, the key or the argument and what was expected.
 * The library never prints, never exits and never aborts on bad input. Out-parameters come first and are
 * written only on success unless a function says otherwise.
 */
#ifndef FATHOM_ERROR_H
#define FATHOM_ERROR_H

#if defined(__GNUC__)
#define FATHOM_API __attribute__((visibility("default")))
#else
#define FATHOM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum fathom_status {
    FATHOM_OK = 0,
    FATHOM_ERROR_ARGUMENT = -1,    /* an argument is out of its documented range */
    FATHOM_ERROR_MEMORY = -2,      /* an allocation failed, or would exceed a stated limit */
    FATHOM_ERROR_IO = -3,          /* a file could not be opened, read, written or renamed */
    FATHOM_ERROR_FORMAT = -4,      /* a file or text is not of the form it should have */
    FATHOM_ERROR_UNSUPPORTED = -5, /* an architecture, hook point, type or version that is not handled, by name */
    FATHOM_ERROR_MISMATCH = -6,    /* an artefact made on another model, hook point, seed or corpus */
    FATHOM_ERROR_NOT_FOUND = -7,   /* no such feature, label, key or model */
    FATHOM_ERROR_LIMIT = -8,       /* more tokens, rows or bytes than the context, the disk or a stated limit holds */
    FATHOM_ERROR_ENGINE = -9,      /* llama.cpp reported a failure */
    FATHOM_ERROR_NUMERIC = -10,    /* a value is not finite where it must be */
    FATHOM_ERROR_STOPPED = -11     /* a callback asked to stop, or an interrupt was requested */
};

/* The message of the calling thread's last error: one line without a newline, never NULL, "" before any
 * error. Valid until the same thread's next failing call. */
FATHOM_API const char *fathom_error_message(void);

/* A stable lower-case word for a status, such as "format"; "unknown" for a value not listed above. */
FATHOM_API const char *fathom_error_name(int status);

/* The library's version, such as "0.1.0". Static storage. */
FATHOM_API const char *fathom_version(void);

#ifdef __cplusplus
}
#endif
#endif
