/* Models that learned nothing, or forgot what some layers had learned, as controls for whatever is found in those that
 * did. */
#ifndef FATHOM_SHUFFLE_H
#define FATHOM_SHUFFLE_H

#include <fathom/error.h>
#include <fathom/progress.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes a copy of the model at `path` that learned nothing, in which the values of every tensor (norms and embeddings
 * included, tables of the rotation not) are in another order, drawn by seed. Matrices become bf16 unless they are f32.
 * The copy is a model of its own, with an identity of its own: dictionaries of the source are refused on it, and what
 * is trained on it belongs to it. Memory: the largest tensor in f32. Written to a temporary name and renamed. Errors: as
 * fathom_model_derive. Heap et al. 2025 compare dictionaries of such models with those of trained ones. */
FATHOM_API int fathom_model_shuffle(const char *out_path, const char *path, uint64_t seed, fathom_progress_fn progress,
                                    void *payload);

/* The same for the tensors of layers first_layer … last_layer alone; all others are the source's, bit by bit and of its
 * types. A model that differs from another in a known place: what a crosscoder of the two should find. Errors: as above;
 * ARGUMENT (a range that the model has not). */
FATHOM_API int fathom_model_shuffle_layers(const char *out_path, const char *path, uint32_t first_layer,
                                           uint32_t last_layer, uint64_t seed, fathom_progress_fn progress,
                                           void *payload);

#ifdef __cplusplus
}
#endif
#endif
