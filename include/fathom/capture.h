/* Capture: the rows of hook points, for a text or a corpus, in one safetensors file.
 *
 * The model is run as it is, each sequence as one decode. For large corpora harvest.h streams rows instead of holding
 * them.
 */
#ifndef FATHOM_CAPTURE_H
#define FATHOM_CAPTURE_H

#include <fathom/corpus.h>
#include <fathom/hook.h>
#include <fathom/progress.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_capture_options {
    const char *const *hooks; /* names or aliases, each point once */
    size_t n_hooks;
    uint32_t context;    /* tokens of a sequence; 0: 512, or what the model was trained on if that is less */
    uint32_t n_threads;  /* 0: all cores */
    bool exact;          /* F32 KV cache and no flash attention; scores and pattern imply it */
    bool parse_special;  /* read "<|im_start|>" and the like in the text as one token */
    uint64_t max_tokens; /* 0: all */
    uint64_t max_bytes;  /* of rows held in memory; 0: 4 GiB */
    fathom_progress_fn progress;
    void *payload;
};
#define FATHOM_CAPTURE_OPTIONS_INIT                                                                                    \
    { 0 }

/* Runs documents and keeps what was tapped. A document longer than the context is cut; every sequence starts with the
 * model's bos where its tokenizer adds one. */
typedef struct fathom_capture fathom_capture;
FATHOM_API int fathom_capture_open(fathom_capture **out, const fathom_model *model,
                                   const struct fathom_capture_options *options);
FATHOM_API void fathom_capture_close(fathom_capture *capture);

/* Errors: those of tokenising and sessions; LIMIT when the rows would take more than max_bytes. */
FATHOM_API int fathom_capture_text(fathom_capture *capture, const char *text, size_t length);
FATHOM_API int fathom_capture_corpus(fathom_capture *capture, fathom_corpus *corpus);

/* Rows so far, and their tokens, positions in their sequences, and documents (from 0). Borrowed until the next text. */
FATHOM_API size_t fathom_capture_rows(const int32_t **tokens, const int32_t **positions, const int32_t **documents,
                                      const fathom_capture *capture);
/* Rows of the hook with this index in the options: f32 [rows, *width]. Scores and patterns of sequences of different
 * lengths are filled up with -inf and 0. Borrowed until the next text. */
FATHOM_API const float *fathom_capture_values(size_t *width, const fathom_capture *capture, size_t hook);

/* Writes a safetensors file: f32 [tokens, width] for every hook under its full name; i32 [tokens] "tokens", "position"
 * and "document"; the model's name, identity and engine as metadata. Errors: IO; FORMAT when there are no rows. */
FATHOM_API int fathom_capture_write(const fathom_capture *capture, const char *path);

#ifdef __cplusplus
}
#endif
#endif
