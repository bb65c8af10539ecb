/* A batcher as its own files see it. */
#ifndef FATHOM_SERVER_BATCHER_INTERNAL_H
#define FATHOM_SERVER_BATCHER_INTERNAL_H

#include "base/buffer.h"
#include "engine/sampler.h"
#include "server/batcher.h"
#include "server/job_text.h"
#include "steer/footprint.h"
#include <pthread.h>

enum fathom__job_state { FATHOM__JOB_WAITS, FATHOM__JOB_RUNS, FATHOM__JOB_DONE };

/* Written by the batcher's thread under the lock, but for what only that thread reads. */
struct fathom__job {
    fathom__batcher *batcher;
    fathom__job *next; /* in the queue */
    struct fathom__job_request request;
    struct fathom__footprint footprint; /* of its plan */
    enum fathom__job_state state;
    bool cancelled;
    double begun;
    size_t n_cached;
    struct fathom__job_text text;
    struct fathom__job_token *tokens; /* of the answer */
    size_t n_tokens, token_capacity;
    struct fathom__candidate_token *top;    /* [n_tokens, n_top] */
    float *levels;                          /* [n of prompt + max_new, n_watches] */
    struct fathom__feature_level *features; /* [n of prompt + max_new, n_features] */
    float *rows;                            /* [n, width] */
    size_t top_capacity;
    size_t n_ready; /* tokens whose levels are known too */
    size_t n_taken, taken_bytes;
    enum fathom__finish finish;
    int status; /* of FAILED, with its message */
    char *message;
    pthread_cond_t changed;
};

/* One sequence of the session: a job that runs in it, or what the last one left. */
struct fathom__slot {
    fathom__job *job;
    int32_t *tokens; /* prompt and answer, [n] */
    size_t n, capacity, n_prompt;
    size_t fed;                         /* of them, in the cache */
    enum fathom__finish ending;         /* what the job ends with once all its tokens were fed */
    bool suspect;                       /* ran in a decode that failed: tried alone before it runs with others again */
    struct fathom__footprint footprint; /* of what acted on the cached rows */
    struct fathom__read_levels levels;  /* of conditions that look back, at the cached rows */
    uint64_t last_used;                 /* step */
    fathom__sampler *sampler;
    fathom_steering *steering;
    fathom_monitor *monitor;
    int taps[2];
    size_t n_taps;
    struct fathom_sparse sparse; /* scratch */
};

struct fathom__batcher {
    const fathom_model *model;
    struct fathom__batcher_options options;
    fathom_session *session;
    uint32_t longest;
    struct fathom__slot *slots;
    struct fathom_row *rows;
    uint32_t next_writer, next_reader; /* the first slot that the next step looks at */
    bool all_wrote;                    /* since the last piece of a prompt was read */
    struct fathom__job *first, **last;
    struct fathom__batcher_figures figures;
    double job_seconds; /* a running mean */
    bool draining, ending;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job came, one was cancelled, or the batcher closes */
    pthread_cond_t idle;    /* a job ended */
};

/* Under the lock: puts waiting jobs into free slots. */
void fathom__batcher_admit(fathom__batcher *batcher);
/* Under the lock: ends what was cancelled or is late. */
void fathom__batcher_sweep(fathom__batcher *batcher);
/* Without the lock: one decode, and what came of it. */
void fathom__batcher_step(fathom__batcher *batcher);
/* Under the lock: a slot's job ends. `status` with FAILED, its message the thread's. */
void fathom__slot_end(fathom__batcher *batcher, struct fathom__slot *slot, enum fathom__finish finish, int status);
/* Under the lock: a job ends that is in no slot any more. */
void fathom__job_end(fathom__job *job, enum fathom__finish finish, int status);

/* Hooks of a slot's job: its plan, its watches, what it keeps. */
int fathom__slot_attach(fathom__batcher *batcher, struct fathom__slot *slot);
void fathom__slot_detach(fathom__batcher *batcher, struct fathom__slot *slot);
bool fathom__job_has_levels(const fathom__job *job);

void fathom__slot_forget(fathom__batcher *batcher, struct fathom__slot *slot);

#endif
