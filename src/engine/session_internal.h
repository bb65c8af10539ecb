/* A session as the engine room's own files see it. */
#ifndef FATHOM_ENGINE_SESSION_INTERNAL_H
#define FATHOM_ENGINE_SESSION_INTERNAL_H

#include "engine/graph.h"
#include "engine/holdings.h"
#include "engine/model_internal.h"
#include "engine/points.h"
#include "engine/tensor_rows.h"
#include <fathom/session.h>
#include <llama.h>

/* A tap or an edit; exactly one of the functions is set. */
struct fathom__hooked {
    int id;
    struct fathom_hook hook;
    const struct fathom__point *point;
    fathom_tap_fn tap;
    fathom_edit_fn edit;
    void *payload;
    int32_t sequence; /* whose rows it sees; -1: of all */
    bool removed;     /* left out from now on; the entry goes before the next decode */
    size_t watch;
};

enum fathom__watch_role {
    FATHOM__WATCH_VALUES, /* after the node was computed, its values go through the hooks */
    FATHOM__WATCH_CUT,    /* the node has only to be computed before the next one is asked for */
    FATHOM__WATCH_SCORES  /* before the softmax node is computed, its input goes through the hooks, scaled and masked */
};

/* A node that a decode waits for, with the hooks that live there. */
struct fathom__watch {
    const struct fathom__point *point;
    enum fathom__watch_role role;
    const char *name;
    uint32_t hash, occurrence;
    uint32_t passed; /* nodes of this name in the present decode */
    bool wanted, done;
};

struct fathom__sequence {
    int32_t length; /* tokens in the KV cache */
    uint32_t reach; /* ordinal of the last graph node computed for all of them; FATHOM__WHOLE when every layer was */
};
#define FATHOM__WHOLE UINT32_MAX

/* Whether the KV cell of a token is its position. */
enum fathom__cells { FATHOM__CELLS_EMPTY, FATHOM__CELLS_POSITIONS, FATHOM__CELLS_MIXED };

struct fathom_session {
    const fathom_model *model;
    struct llama_context *context;
    struct ggml_threadpool *workers;
    llama_memory_t memory;
    uint32_t n_context, n_batch, n_sequences;
    uint32_t longest;     /* of one sequence */
    bool own_caches;      /* of sequences: each decode is of equally many rows of sequences that follow each other */
    bool flash_attention; /* taken, or left to the engine */

    struct fathom__sequence *sequences;
    enum fathom__cells cells;
    int32_t only_sequence; /* under FATHOM__CELLS_POSITIONS */
    struct fathom__holdings holdings;

    struct fathom__graph graph; /* while it is being recorded */
    bool recording, known;
    struct fathom__points points;

    struct fathom__hooked *hooks;
    size_t n_hooks, hooks_capacity;
    int last_id;
    int32_t scope; /* `sequence` of hooks that are added */
    bool hooks_changed;
    struct fathom__watch *watches;
    size_t n_watches, watches_capacity;
    uint32_t *slots; /* hash table over watches: index + 1, 0 for empty */
    size_t n_slots, slots_capacity;

    /* The batch, and the same rows as blocks show them. */
    struct llama_batch batch;
    int32_t *one_sequence_each;
    int32_t *logit_tokens, *logit_positions, *logit_sequences, *logit_rows; /* of rows that want logits */
    size_t n_logits;
    bool logits_valid;
    bool *wants_logits; /* [n_batch], of the last decode */

    /* The decode that is under way. */
    bool running, stop_allowed, stopped, tokens_seen, positions_seen;
    int status;
    size_t n_rows, n_outputs, n_wanted, n_done;
    int32_t n_keys;
    float *values;
    size_t values_capacity;
    struct fathom__bytes scratch;
};

/* The engine's callback for every graph node. */
bool fathom__session_on_node(struct ggml_tensor *tensor, bool ask, void *session);

/* Learns where the hook points are, by a decode of one token in the empty session. */
int fathom__session_learn(struct fathom_session *session);
/* Takes the recorded graph as the session's; ends recording. */
int fathom__session_take_graph(struct fathom_session *session);

/* Makes the list of watched nodes follow the list of hooks. */
int fathom__session_prepare_watches(struct fathom_session *session);
/* Sets the watches up for a decode of rows [n_rows] whose batch is filled in. */
void fathom__session_arm(struct fathom_session *session, bool complete);
/* After a decode: an error when a wanted node never came up. */
int fathom__session_check_done(const struct fathom_session *session);

/* As fathom_session_decode; with `complete` every layer is computed even where no row wants logits. */
int fathom__session_decode(struct fathom_session *session, const struct fathom_row *rows, size_t n_rows, bool complete);

/* Called after each part of a feed with the index of its first token. Non-zero ends the feed with it. */
typedef int (*fathom__fed_fn)(size_t first, size_t n, void *payload);
/* As fathom_session_feed, in parts of at most `part` tokens; fn may be NULL. */
int fathom__session_feed(struct fathom_session *session, const int32_t *tokens, size_t n, int32_t sequence,
                         int32_t start, bool all_logits, size_t part, fathom__fed_fn fn, void *payload);

#endif
