#include <base/error.h>
#include <base/memory.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSOR_ALIGNMENT = 64, FIRST_CAPACITY = 16 };

/* The out-parameters are pointers to pointers of any type; memcpy stores them without breaking aliasing rules. */
static void store(void *out, void *pointer) {
    memcpy(out, &pointer, sizeof pointer);
}

static int checked_size(size_t *bytes, size_t count, size_t size) {
    if (size != 0 && count > PTRDIFF_MAX / size) return fathom__fail_memory(SIZE_MAX);
    *bytes = count * size;
    return FATHOM_OK;
}

int fathom__alloc(void *out, size_t count, size_t size) {
    size_t bytes = 0;
    int status = checked_size(&bytes, count, size);
    if (status) return status;
    void *pointer = calloc(1, bytes ? bytes : 1);
    if (!pointer) return fathom__fail_memory(bytes);
    store(out, pointer);
    return FATHOM_OK;
}

int fathom__alloc_aligned(void *out, size_t count, size_t size) {
    size_t bytes = 0;
    int status = checked_size(&bytes, count, size);
    if (status) return status;
    /* posix_memalign's pointers go back by free, like all others. */
    void *pointer = NULL;
    if (posix_memalign(&pointer, TENSOR_ALIGNMENT, bytes ? bytes : 1)) return fathom__fail_memory(bytes);
    store(out, pointer);
    return FATHOM_OK;
}

int fathom__grow(void *array, size_t *capacity, size_t needed, size_t size) {
    void *present;
    memcpy(&present, array, sizeof present);
    if (needed <= *capacity && present) return FATHOM_OK;
    size_t grown = *capacity > SIZE_MAX / 2 ? needed : *capacity * 2;
    if (grown < FIRST_CAPACITY) grown = FIRST_CAPACITY;
    if (grown < needed) grown = needed;
    size_t bytes = 0;
    int status = checked_size(&bytes, grown, size);
    if (status) return status;
    void *pointer = realloc(present, bytes);
    if (!pointer) return fathom__fail_memory(bytes);
    store(array, pointer);
    *capacity = grown;
    return FATHOM_OK;
}

int fathom__copy_bytes(char **out, const char *bytes, size_t length) {
    if (length >= PTRDIFF_MAX) return fathom__fail_memory(length);
    char *copy = malloc(length + 1);
    if (!copy) return fathom__fail_memory(length + 1);
    if (length) memcpy(copy, bytes, length);
    copy[length] = '\0';
    *out = copy;
    return FATHOM_OK;
}

int fathom__copy_string(char **out, const char *text) {
    return fathom__copy_bytes(out, text, strlen(text));
}

int fathom__format(char **out, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    if (!text) return fathom__fail_memory(length < 0 ? 0 : (size_t)length + 1);
    *out = text;
    return FATHOM_OK;
}

void fathom_free(void *pointer) {
    free(pointer);
}
