/* Harvest: a corpus through a model, as a stream of activation blocks.
 *
 * Documents are tokenised, chats by the model's own template, cut into sequences of `context` tokens (the model's bos
 * first where its tokenizer adds one), and run. For speed the harvest may use derived copies of the model (bf16, layers after the last hook left out) and
 * run one single-threaded context per core side by side; blocks are nevertheless delivered one at a time, in corpus
 * order, on the calling thread, so that the same seed gives the same stream whatever the number of threads. Where the
 * engine was built for a GPU and finds one, one context runs there instead (docs/gpu.md).
 */
#ifndef FATHOM_HARVEST_H
#define FATHOM_HARVEST_H

#include <fathom/corpus.h>
#include <fathom/hook.h>
#include <fathom/progress.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_harvest_options {
    const char *const *hooks; /* names or aliases */
    size_t n_hooks;
    uint32_t context;    /* tokens of a sequence; 0: 256 */
    uint32_t n_threads;  /* 0: all cores */
    uint64_t max_tokens; /* the stream ends after so many rows, skipped ones included; 0: the whole corpus */
    /* rows at the start that are run past without being delivered (resume); whole sequences are skipped without running
     * the model */
    uint64_t skip_tokens;
    bool original; /* run the model as it is, not a derived bf16 copy */
    bool no_gpu;   /* run it on the processor also where the engine has a GPU, which then holds all layers otherwise */
    fathom_progress_fn progress;
    void *payload;
};
#define FATHOM_HARVEST_OPTIONS_INIT                                                                                    \
    { 0 }

struct fathom_harvest_block {
    size_t n_rows;
    size_t n_hooks;
    const float *const *rows; /* rows[h] is f32 [n_rows, widths[h]], row-major; borrowed during the callback */
    const size_t *widths;
    const int32_t *tokens;     /* [n_rows] */
    const int32_t *positions;  /* [n_rows], from 0 in each sequence */
    const uint64_t *documents; /* [n_rows] */
    const uint8_t *roles;      /* [n_rows] enum fathom_chat_role: whose words the token is, in a chat */
    uint64_t first_row;        /* rows delivered before this block, skipped ones included */
};

/* Non-zero stops: a fathom_status is returned as it is, anything else as STOPPED. */
typedef int (*fathom_harvest_fn)(const struct fathom_harvest_block *block, void *payload);

/* Runs the corpus through the model and hands over every block. *rows (NULL allowed) gets the rows delivered.
 * Errors: those of model, session and corpus; NUMERIC when an activation is not finite (names hook, token, document
 * and position). */
FATHOM_API int fathom_harvest(uint64_t *rows, const char *model_path, fathom_corpus *corpus,
                              const struct fathom_harvest_options *options, fathom_harvest_fn fn, void *payload);

#ifdef __cplusplus
}
#endif
#endif
