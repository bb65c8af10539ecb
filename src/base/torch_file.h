/* State dicts that torch.save wrote (PyTorch 1.6 and later: a zip archive of a pickle and of raw storages), read
 * without executing anything: src/base/pickle.h says what is read. */
#ifndef FATHOM_BASE_TORCH_FILE_H
#define FATHOM_BASE_TORCH_FILE_H

#include "base/tensor.h"

typedef struct fathom__torch fathom__torch;

/* IO, FORMAT, UNSUPPORTED (a global, an opcode, a big-endian file), LIMIT (a pickle of more than 16 MiB), MEMORY. */
int fathom__torch_open(fathom__torch **out, const char *path);
void fathom__torch_close(fathom__torch *file);
size_t fathom__torch_count(const fathom__torch *file);
const struct fathom__tensor *fathom__torch_at(const fathom__torch *file, size_t index);
const struct fathom__tensor *fathom__torch_find(const fathom__torch *file, const char *name); /* NULL: none */

/* Values that are no tensors, by their name; entries of inner dicts are "outer.inner". With required false a missing
 * one leaves *out untouched. An integer may also be a tensor of one element. FORMAT. */
int fathom__torch_text(const char **out, const fathom__torch *file, const char *name, bool required);
int fathom__torch_integer(int64_t *out, const fathom__torch *file, const char *name, int64_t least, int64_t most,
                          bool required);

#endif
