/* UTF-8. */
#ifndef FATHOM_BASE_UTF8_H
#define FATHOM_BASE_UTF8_H

#include <base/buffer.h>
#include <stdbool.h>
#include <stddef.h>

/* True when all bytes are valid UTF-8 (no surrogates, no overlong forms); else *offset of the first bad byte. offset
 * may be NULL. */
bool fathom__utf8_valid(size_t *offset, const char *bytes, size_t length);
/* Length of the longest prefix that does not end inside a character, and holds only whole, valid or plainly invalid
 * bytes: what may be shown now. */
size_t fathom__utf8_whole(const char *bytes, size_t length);
/* New copy with every invalid byte as U+FFFD. */
int fathom__utf8_clean(char **out, const char *bytes, size_t length);
/* The same for one line of a terminal: a name out of a file may hold anything. Control characters become "?". */
int fathom__utf8_line(char **out, const char *bytes, size_t length);
/* As _clean, appended to a buffer, whose length then tells where text that may hold zeros ends. */
int fathom__utf8_append_clean(struct fathom__buffer *buffer, const char *bytes, size_t length);

#endif
