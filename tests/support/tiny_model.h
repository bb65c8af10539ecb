/* Tiny models with random weights, written in milliseconds: enough to run every path that needs no knowledge.
 *
 *   "llama"    4 layers, d_model 64, 4 heads (2 for keys and values), d_mlp 128, its own unembedding, a byte-level BPE
 *              vocabulary that adds no bos, a ChatML template
 *   "gemma3"   4 layers (the third sees everything, the others a window of 8), d_model 64, 4 heads (1) of width 32,
 * d_mlp 128, tied unembedding, a SentencePiece vocabulary with byte tokens that adds bos, a template of its own kind
 *
 * The same seed gives the same bytes. Errors are those of the GGUF writer.
 */
#ifndef FATHOM_TESTS_TINY_MODEL_H
#define FATHOM_TESTS_TINY_MODEL_H

#include "base/gguf_file.h"
#include <stdint.h>

int fathom_test_tiny_model(const char *path, const char *architecture, uint64_t seed);

/* The same in two steps, so that a test can spoil the file in between: take keys away or replace them, leave a tensor
 * out, add one. */
struct fathom_test_tiny {
    fathom__gguf_writer *writer;
    void **storage; /* tensor data, which the writer borrows */
    size_t n_storage, capacity;
    const char *without; /* a tensor that is left out, or NULL: set before _fill */
    uint32_t n_vocab;
};
int fathom_test_tiny_fill(struct fathom_test_tiny *tiny, const char *architecture, uint64_t seed);
/* Adds an f32 tensor of normal random numbers with this standard deviation around `mean`; *data (NULL allowed) can be
 * changed until the commit. */
int fathom_test_tiny_tensor(float **data, struct fathom_test_tiny *tiny, const char *name, const int64_t *shape,
                            size_t n_dimensions, float mean, float deviation, uint64_t seed);
int fathom_test_tiny_commit(struct fathom_test_tiny *tiny, const char *path);
void fathom_test_tiny_free(struct fathom_test_tiny *tiny);

/* A LoRA adapter of rank 2 for the query projection of layer 1 of such a model. */
int fathom_test_tiny_adapter(const char *path, const char *architecture, uint64_t seed);

#endif
