/* NumPy's .npz: a zip archive of arrays, each a member NAME.npy (stored or deflated). */
#ifndef FATHOM_BASE_NPZ_H
#define FATHOM_BASE_NPZ_H

#include "base/tensor.h"

typedef struct fathom__npz fathom__npz;

/* Arrays of f2, f4, f8, i4, i8, u1 and bool, little-endian. Errors name file and member: IO, FORMAT, UNSUPPORTED
 * (another type, among them Python objects, which NumPy would load by executing them). */
int fathom__npz_open(fathom__npz **out, const char *path);
void fathom__npz_close(fathom__npz *file);
size_t fathom__npz_count(const fathom__npz *file);
const struct fathom__tensor *fathom__npz_at(const fathom__npz *file, size_t index);
const struct fathom__tensor *fathom__npz_find(const fathom__npz *file, const char *name); /* NULL: none */

/* Writes f32 tensors, stored, under a temporary name. */
int fathom__npz_write(const char *path, const struct fathom__tensor *tensors, size_t n);

#endif
