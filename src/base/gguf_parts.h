/* What gguf_file.c keeps of a file, as gguf_parse.c found it. */
#ifndef FATHOM_BASE_GGUF_PARTS_H
#define FATHOM_BASE_GGUF_PARTS_H

#include <base/file.h>
#include <base/gguf_file.h>

/* The numbers are those of the file format. */
enum fathom__gguf_type {
    FATHOM__GGUF_UINT8 = 0,
    FATHOM__GGUF_INT8 = 1,
    FATHOM__GGUF_UINT16 = 2,
    FATHOM__GGUF_INT16 = 3,
    FATHOM__GGUF_UINT32 = 4,
    FATHOM__GGUF_INT32 = 5,
    FATHOM__GGUF_FLOAT32 = 6,
    FATHOM__GGUF_BOOL = 7,
    FATHOM__GGUF_STRING = 8,
    FATHOM__GGUF_ARRAY = 9,
    FATHOM__GGUF_UINT64 = 10,
    FATHOM__GGUF_INT64 = 11,
    FATHOM__GGUF_FLOAT64 = 12,
    FATHOM__GGUF_TYPES
};

enum {
    FATHOM__GGUF_VERSION = 3,
    FATHOM__GGUF_KEY_LIMIT = 65535, /* bytes, by the format's specification */
    FATHOM__GGUF_ALIGNMENT = 32,    /* where the file names none */
    FATHOM__GGUF_DIMENSIONS = 4
};
#define FATHOM__GGUF_ALIGNMENT_KEY "general.alignment"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF is read and written on little-endian machines only");

struct fathom__gguf_entry {
    char *key;
    char *text; /* strings: a zero-terminated copy; NULL when the string holds a zero byte */
    enum fathom__gguf_type type, element;
    size_t count;               /* of an array */
    const unsigned char *bytes; /* the value in the file, after its type: for arrays from the element type on */
    size_t length;
};

struct fathom__gguf {
    char *path;
    struct fathom__mapping mapping;
    struct fathom__gguf_entry *entries;
    size_t n_entries, entry_capacity;
    struct fathom__gguf_tensor *tensors;
    size_t n_tensors, tensor_capacity;
    size_t *entry_order, *tensor_order; /* indices in the order of their names */
};

/* Size of a scalar of this type in the file; 0 for strings and arrays. */
size_t fathom__gguf_type_size(enum fathom__gguf_type type);

/* NULL: no such key. */
const struct fathom__gguf_entry *fathom__gguf_entry_find(const fathom__gguf *file, const char *key);

/* Whether a value of general.alignment is one that this reader and the engine take. */
bool fathom__gguf_alignment_valid(enum fathom__gguf_type type, const void *bytes);

/* Fills entries, tensors and their orders from the mapping; on an error what was filled is left for fathom__gguf_close.
 */
int fathom__gguf_parse(fathom__gguf *file);

/* Checks a tensor's type and shape and gives its bytes. `where` and `name` stand in messages, `status` is what errors
 * return. */
int fathom__gguf_tensor_bytes(size_t *bytes, int status, const char *where, const char *name, int32_t type,
                              const int64_t shape[4]);

#endif
