/* Writing state dicts as torch.save does (a zip archive of a pickle and of raw storages), so that torch.load reads them
 * with weights_only, which executes nothing but the rebuilding of tensors. */
#ifndef FATHOM_BASE_TORCH_WRITE_H
#define FATHOM_BASE_TORCH_WRITE_H

#include "base/tensor.h"

enum fathom__torch_kind { FATHOM__TORCH_TENSOR, FATHOM__TORCH_INTEGER, FATHOM__TORCH_TEXT, FATHOM__TORCH_DICT };

/* An entry of the dict, or of one in it. */
struct fathom__torch_value {
    const char *name;
    enum fathom__torch_kind kind;
    struct fathom__tensor tensor; /* row-major; its own name is not looked at */
    int64_t integer;
    const char *text;
    const struct fathom__torch_value *values; /* of a dict */
    size_t n_values;
};

/* Under a temporary name, then renamed. Errors: IO, MEMORY, LIMIT (4 GiB). */
int fathom__torch_write(const char *path, const struct fathom__torch_value *values, size_t n);

#endif
