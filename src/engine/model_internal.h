/* A model as the engine room's own files see it. Only src/engine includes this. */
#ifndef FATHOM_ENGINE_MODEL_INTERNAL_H
#define FATHOM_ENGINE_MODEL_INTERNAL_H

#include "base/gguf_file.h"
#include <fathom/model.h>
#include <llama.h>

/* The architectures whose files are checked key by key and whose hook points are known; all else is OTHER. */
enum fathom__architecture {
    FATHOM__ARCH_OTHER,
    FATHOM__ARCH_LLAMA,
    FATHOM__ARCH_QWEN2,
    FATHOM__ARCH_QWEN3,
    FATHOM__ARCH_GEMMA2,
    FATHOM__ARCH_GEMMA3,
    FATHOM__ARCH_GPT2,
    FATHOM__ARCH_GPTNEOX,
    FATHOM__ARCH_PHI3
};

/* The weight files of a model, in split order. */
struct fathom__model_files {
    fathom__gguf **files;
    char **paths;
    size_t n;
};

/* What the architecture's keys say, read and range-checked from the first file. Layers share one number where the key
 * is an array. */
struct fathom__model_shape {
    enum fathom__architecture architecture;
    const char *architecture_name; /* borrowed from the file */
    uint32_t n_layers, d_model, d_mlp, n_heads, n_heads_kv, d_head_k, d_head_v, n_vocab, context_trained, n_rotated;
    uint32_t sliding_window; /* 0: none */
    bool parallel_residual;  /* gptneox: attention and MLP read the same stream, so that there is no resid_mid */
    float norm_epsilon;
    float logit_softcap, attention_softcap; /* 0: none */
};

struct fathom_model {
    struct fathom_model_info info;
    struct fathom__model_shape shape;
    struct llama_model *engine;
    const struct llama_vocab *vocab;
    struct llama_adapter_lora **adapters; /* put into every context by llama_set_adapters_lora */
    float *adapter_scales;
    char (*adapter_identities)[FATHOM_IDENTITY_SIZE];
    size_t n_adapters;
    bool on_gpu;                                    /* layers of it are */
    struct fathom__model_files files;               /* mapped while the model is open */
    char *token_text;                               /* bytes of all tokens, one after another */
    uint32_t *token_offsets;                        /* [n_vocab + 1] into token_text */
    uint8_t *token_flags;                           /* [n_vocab] of FATHOM__TOKEN_… */
    char *path, *name, *quantisation, *engine_name; /* what info borrows */
};

#define FATHOM__TOKEN_SPECIAL 1u
#define FATHOM__TOKEN_END 2u

/* Opens all parts of `path` (a file, or a split model's first part). */
int fathom__model_files_open(struct fathom__model_files *out, const char *path);
void fathom__model_files_close(struct fathom__model_files *files);
/* A tensor by name in whichever part holds it; NULL: none. */
const struct fathom__gguf_tensor *fathom__model_files_find(const struct fathom__model_files *files, const char *name);

#endif
