/* Python pickles of PyTorch state dicts, read without executing anything.
 *
 * Of pickle's opcodes those are known that torch.save emits for dicts of tensors, numbers and texts (protocols 2 and
 * 4); of globals only the ones below. Everything else is refused by its name, because unpickling it would mean calling
 * it.
 *
 *   collections.OrderedDict                     as an empty dict
 *   torch._utils._rebuild_tensor_v2, _rebuild_parameter
 *   torch.FloatStorage, HalfStorage, BFloat16Storage, DoubleStorage, IntStorage, LongStorage, ByteStorage, BoolStorage
 */
#ifndef FATHOM_BASE_PICKLE_H
#define FATHOM_BASE_PICKLE_H

#include "base/tensor.h"

/* A tensor as the pickle describes it; its numbers lie elsewhere. */
struct fathom__pickled_tensor {
    const char *storage; /* the key of its storage, zero-terminated */
    enum fathom__dtype dtype;
    size_t offset, storage_elements; /* in elements */
    size_t n_dimensions;
    size_t shape[FATHOM__TENSOR_DIMENSIONS], strides[FATHOM__TENSOR_DIMENSIONS];
};

enum fathom__pickled_kind {
    FATHOM__PICKLED_INTEGER,
    FATHOM__PICKLED_NUMBER,
    FATHOM__PICKLED_TEXT,
    FATHOM__PICKLED_TENSOR
};

/* An entry of the dict; entries of dicts in it are named "outer.inner". Bools are integers; lists, None and entries
 * whose key is no text are left out. */
struct fathom__pickled_entry {
    const char *name;
    enum fathom__pickled_kind kind;
    int64_t integer;
    double number;
    const char *text;
    struct fathom__pickled_tensor tensor;
};

typedef struct fathom__pickle fathom__pickle;

/* Reads a pickle whose value is a dict; `name` stands in messages. FORMAT (what is wrong at which byte), UNSUPPORTED (a
 * global or opcode that is not read, by name), MEMORY. */
int fathom__pickle_read(fathom__pickle **out, const unsigned char *bytes, size_t length, const char *name);
void fathom__pickle_close(fathom__pickle *pickle);
size_t fathom__pickle_count(const fathom__pickle *pickle);
const struct fathom__pickled_entry *fathom__pickle_at(const fathom__pickle *pickle, size_t index);

#endif
