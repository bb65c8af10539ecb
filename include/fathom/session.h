/* Sessions: running a model, and looking into it and changing it while it runs.
 *
 * Everything Fathom does to a model is a tap (read rows at a hook point) or an edit (change rows at a hook
 * point) during a decode. A session owns one engine context with its KV cache; it holds up to n_sequences
 * token sequences that share batches. A session belongs to one thread at a time; different sessions of one
 * model may run on different threads at once.
 */
#ifndef FATHOM_SESSION_H
#define FATHOM_SESSION_H

#include <fathom/hook.h>
#include <fathom/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fathom_session fathom_session;

/* F32 goes without flash attention, which reads f16; Q8_0 takes it always, and needs heads of a multiple of 32. */
enum fathom_kv_type { FATHOM_KV_F16 = 0, FATHOM_KV_F32, FATHOM_KV_Q8_0 };

#define FATHOM_SESSION_SEQUENCES 256 /* the engine's own limit */

struct fathom_session_options {
    uint32_t n_context; /* tokens of KV cache in all, shared by the sequences; 0: min(trained context, 2048) */
    uint32_t n_batch;   /* most rows of one decode; 0: 512. A decode is one graph: taps see all its rows in one block */
    uint32_t n_sequences; /* most sequences at once, up to FATHOM_SESSION_SEQUENCES; 0: 1 */
    uint32_t n_threads;   /* 0: as many as the machine has cores */
    enum fathom_kv_type kv_type;
    /* Attention in one pass over the keys. Faster for batches of many rows and for many sequences in one cache; on some
     * processors much slower for the single rows of writing, on others as fast. Where layers are on a GPU the engine
     * chooses. */
    bool flash_attention;
    /* A cache of its own for each sequence, of n_context / n_sequences tokens rounded up to a multiple of 256: decodes pass
     * over no keys of other sequences, and none is longer than its cache. A decode then takes rows of one sequence, or
     * equally many of each of several whose numbers follow each other; a fork copies keys and values. */
    bool own_caches;
    bool exact; /* F32 KV cache, no flash attention: for comparisons */
};
#define FATHOM_SESSION_OPTIONS_INIT                                                                                    \
    { 0 }

/* Errors: MEMORY, LIMIT, ENGINE, ARGUMENT, UNSUPPORTED (a KV type that the heads do not fit). options may be NULL. */
FATHOM_API int fathom_session_open(fathom_session **out, const fathom_model *model,
                                   const struct fathom_session_options *options);
FATHOM_API void fathom_session_close(fathom_session *session);
FATHOM_API const fathom_model *fathom_session_model(const fathom_session *session);
FATHOM_API uint32_t fathom_session_context(const fathom_session *session); /* n_context in force */
FATHOM_API uint32_t fathom_session_longest(const fathom_session *session); /* most tokens that one sequence can have */
FATHOM_API uint32_t fathom_session_batch(const fathom_session *session);   /* n_batch in force */

/* Rows at one hook point during one decode. Borrowed: valid only inside the callback.
 * Row r is batch row r of the decode: its token id, position and sequence are given with it, and were checked
 * against what the engine computed. */
struct fathom_block {
    struct fathom_hook hook;
    size_t n_rows;
    size_t heads;          /* 1 where the point has no heads */
    size_t width;          /* of a whole row: heads × width per head; row r starts at rows + r * width */
    const float *rows;     /* f32, row-major [n_rows, heads, width / heads] */
    const int32_t *tokens; /* [n_rows] */
    const int32_t *positions;
    const int32_t *sequences;
};

/* Reads rows. Non-zero asks the decode to stop: it returns that value if it is a fathom_status, else STOPPED. */
typedef int (*fathom_tap_fn)(const struct fathom_block *block, void *payload);

/* Changes rows: writes through `rows` ([n_rows, width], the same memory as block->rows) and sets *changed when it did,
 * so that untouched rows are never written back. Same return as a tap. */
typedef int (*fathom_edit_fn)(const struct fathom_block *block, float *rows, bool *changed, void *payload);

/* Adds a tap or an edit to every following decode of the session; *id names it for removal (NULL allowed). At one point
 * edits run in the order they were added, then taps see the result. attn_scores and pattern need a session without
 * flash attention (`exact` is without it everywhere), and can be tapped and edited only on sequences that started at
 * position 0 in a cleared session (the engine's key columns are cells, not positions). Errors: UNSUPPORTED, ARGUMENT, MEMORY. */
FATHOM_API int fathom_session_tap(int *id, fathom_session *session, struct fathom_hook hook, fathom_tap_fn fn,
                                  void *payload);
FATHOM_API int fathom_session_edit(int *id, fathom_session *session, struct fathom_hook hook, fathom_edit_fn fn,
                                   void *payload);
/* Taps and edits that are added from now on see the rows of one sequence only, and are not called where a decode has
 * none of it: a block is then a run of that sequence's rows which stand side by side in the batch. -1, as a session
 * begins: the rows of all sequences. Errors: ARGUMENT (no such sequence). */
FATHOM_API int fathom_session_scope(fathom_session *session, int32_t sequence);
/* Removes one by id; an unknown id is ignored. */
FATHOM_API void fathom_session_unhook(fathom_session *session, int id);
/* Removes all taps and edits. */
FATHOM_API void fathom_session_unhook_all(fathom_session *session);

struct fathom_row {
    int32_t token;
    int32_t position; /* must continue its sequence without a gap */
    int32_t sequence; /* 0 … n_sequences - 1 */
    bool want_logits;
};

/* Runs up to n_batch rows as one graph. If there are taps, no row wants logits and nothing is tapped or edited after
 * some layer, the run stops after that layer: the KV cache of those sequences is then incomplete, and until they are
 * forgotten they go on only in decodes that stop no later (others are refused as ARGUMENT). A tap after the last layer,
 * logits excepted, makes the engine carry all rows through it.
 * Errors: LIMIT (more rows than n_batch, or the context is full: says by how much), ARGUMENT, NUMERIC (logits are not
 * finite), ENGINE, STOPPED, MEMORY. After an error the sequences in the batch have been forgotten, after NUMERIC all
 * sequences. */
FATHOM_API int fathom_session_decode(fathom_session *session, const struct fathom_row *rows, size_t n_rows);

/* Convenience: decodes n tokens as sequence `sequence` from position `start`, in as many decodes as n_batch asks for;
 * logits for all rows (all_logits), or the last one. */
FATHOM_API int fathom_session_feed(fathom_session *session, const int32_t *tokens, size_t n, int32_t sequence,
                                   int32_t start, bool all_logits);

/* Logits [n_vocab] of row `row` of the last decode, which must have wanted them; borrowed until the next decode. For
 * fathom_session_feed with one decode or `row` counted within the last decode. NULL when there are none. */
FATHOM_API const float *fathom_session_logits(const fathom_session *session, size_t row);

/* Drops the KV cache of positions >= from of a sequence (-1: of all sequences). */
FATHOM_API void fathom_session_forget(fathom_session *session, int32_t sequence, int32_t from);
/* Makes `to` (empty) share the KV cache of `from`, or of its first n_tokens positions: what several texts begin with is
 * computed once and, but under own_caches, kept once. Keys and values are what they were computed as, under the edits that were in force then.
 * Errors: ARGUMENT, MEMORY, UNSUPPORTED (a memory that cannot be cut back). */
FATHOM_API int fathom_session_fork(fathom_session *session, int32_t from, int32_t to);
FATHOM_API int fathom_session_fork_prefix(fathom_session *session, int32_t from, int32_t to, int32_t n_tokens);
/* How many rows the context still takes, of all sequences together; what sequences share counts once. */
FATHOM_API uint32_t fathom_session_room(const fathom_session *session);

/* Sampling and generation ---------------------------------------------------------------------------------- */

struct fathom_sampling {
    uint64_t seed;
    float temperature;    /* <= 0: greedy */
    int32_t top_k;        /* <= 0: off */
    float top_p;          /* >= 1 or 0: off */
    float min_p;          /* 0: off */
    float repeat_penalty; /* 1 or 0: off */
    float frequency_penalty, presence_penalty;
    int32_t penalty_window; /* last tokens that penalties look at; 0: 64 */
};
#define FATHOM_SAMPLING_INIT                                                                                           \
    { 0 }

struct fathom_generated {
    int32_t token;
    const char *bytes; /* the token's own bytes */
    size_t n_bytes;
    double log_probability; /* natural logarithm under the model's unmodified distribution (temperature 1) */
    uint32_t index;         /* 0 for the first generated token */
    bool end;               /* an end token: not part of the text */
};
/* Non-zero stops generation cleanly (fathom_generate then returns OK). */
typedef int (*fathom_generate_fn)(const struct fathom_generated *token, void *payload);

/* Feeds `n` prompt tokens as sequence 0 of a freshly cleared session and generates up to max_new tokens, with the
 * session's taps and edits in force throughout. *text (new, fathom_free; NULL allowed) gets the generated UTF-8. `fn`
 * may be NULL.
 * The same seed, model, machine type and options give the same text. Errors: as decode. */
FATHOM_API int fathom_generate(char **text, fathom_session *session, const int32_t *prompt, size_t n, uint32_t max_new,
                               const struct fathom_sampling *sampling, fathom_generate_fn fn, void *payload);

/* Natural-log probabilities of the tokens that follow: out[i] = log p(tokens[i + 1] | tokens[0 … i]) for i < n - 1, on
 * a cleared session. */
FATHOM_API int fathom_log_probabilities(double *out, fathom_session *session, const int32_t *tokens, size_t n);

#ifdef __cplusplus
}
#endif
#endif
