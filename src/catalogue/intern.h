/* Strings as numbers: each different string gets the next number from 0. */
#ifndef FATHOM_CATALOGUE_INTERN_H
#define FATHOM_CATALOGUE_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fathom__intern {
    char *bytes; /* the strings, each with a terminating zero */
    size_t n_bytes, bytes_capacity;
    uint32_t *starts; /* [count + 1] */
    size_t count, starts_capacity;
    uint32_t *slots; /* number + 1, 0 for free; a power of two of them */
    size_t n_slots;
};
#define FATHOM__INTERN_INIT                                                                                            \
    { 0 }

int fathom__intern_add(uint32_t *id, struct fathom__intern *table, const char *bytes, size_t length);
bool fathom__intern_find(uint32_t *id, const struct fathom__intern *table, const char *bytes, size_t length);
/* Zero-terminated, valid until the next addition. *length may be NULL. */
const char *fathom__intern_text(size_t *length, const struct fathom__intern *table, uint32_t id);
void fathom__intern_free(struct fathom__intern *table);

#endif
