/* safetensors: reading with every offset checked, writing with a temporary name. */
#ifndef FATHOM_BASE_SAFETENSORS_H
#define FATHOM_BASE_SAFETENSORS_H

#include "base/tensor.h"

typedef struct fathom__safetensors fathom__safetensors;
int fathom__safetensors_open(fathom__safetensors **out, const char *path); /* mapped */
void fathom__safetensors_close(fathom__safetensors *file);
size_t fathom__safetensors_count(const fathom__safetensors *file);
const struct fathom__tensor *fathom__safetensors_at(const fathom__safetensors *file, size_t index);
const struct fathom__tensor *fathom__safetensors_find(const fathom__safetensors *file,
                                                      const char *name); /* NULL: none */
/* A float tensor as new f32, after checking its shape (n_dimensions sizes; SIZE_MAX: any). Errors name file and tensor.
 */
int fathom__safetensors_f32(float **out, const fathom__safetensors *file, const char *name, const size_t *shape,
                            size_t n_dimensions);
const char *fathom__safetensors_metadata(const fathom__safetensors *file, const char *key); /* NULL: none */

/* Writes all tensors at once; metadata is pairs of strings, NULL-ended, or NULL. */
int fathom__safetensors_write(const char *path, const struct fathom__tensor *tensors, size_t n,
                              const char *const *metadata);

#endif
