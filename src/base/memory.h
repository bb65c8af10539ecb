/* Allocation with checked sizes. Everything given to callers as "new" comes from here and goes back by fathom_free. */
#ifndef FATHOM_BASE_MEMORY_H
#define FATHOM_BASE_MEMORY_H

#include <fathom/model.h> /* fathom_free */
#include <stddef.h>

/* count * size zeroed bytes in *out (non-NULL also when count is 0). MEMORY on overflow or exhaustion. */
int fathom__alloc(void *out, size_t count, size_t size);
/* The same without zeroing, aligned to 64 bytes, for tensors. Freed by fathom_free as well. */
int fathom__alloc_aligned(void *out, size_t count, size_t size);
/* Grows *array (of elements of `size`) to hold at least `needed`, doubling; *capacity is updated. */
int fathom__grow(void *array, size_t *capacity, size_t needed, size_t size);
/* New copies. */
int fathom__copy_string(char **out, const char *text);
int fathom__copy_bytes(char **out, const char *bytes, size_t length); /* adds a terminating zero */
/* New text by printf. */
int fathom__format(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
