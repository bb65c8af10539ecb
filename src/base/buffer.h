/* A growable run of bytes with a hard limit, always zero-terminated. */
#ifndef FATHOM_BASE_BUFFER_H
#define FATHOM_BASE_BUFFER_H

#include <stddef.h>

struct fathom__buffer {
    char *bytes;
    size_t length, capacity, limit;
};

#define FATHOM__BUFFER_INIT(limit_)                                                                                    \
    { NULL, 0, 0, (limit_) }

int fathom__buffer_append(struct fathom__buffer *buffer, const void *bytes, size_t length); /* LIMIT, MEMORY */
int fathom__buffer_text(struct fathom__buffer *buffer, const char *text);
int fathom__buffer_format(struct fathom__buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends text with &, <, >, " and ' as HTML entities. */
int fathom__buffer_html(struct fathom__buffer *buffer, const char *text, size_t length);
void fathom__buffer_clear(struct fathom__buffer *buffer); /* length 0, memory kept */
/* Gives the bytes away (never NULL on OK) and leaves the buffer empty. */
int fathom__buffer_take(char **out, struct fathom__buffer *buffer);
void fathom__buffer_free(struct fathom__buffer *buffer);

#endif
