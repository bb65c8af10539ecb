/* Many conversations in one batch: one thread owns a session, and jobs join and leave it between its steps.
 *
 * A step is one decode: a row of every job that writes, or a piece of a prompt that one reads, in turn. Each slot has
 * a cache of its own, so that jobs that write stand in one decode where their slots have no gap between them. A job's logits are those it gets alone, within the rounding of batches of another size, whatever its
 * neighbours are steered by. What jobs leave in the cache serves later prompts that begin alike, as far as their own edits
 * would have made the same rows (steer/footprint.h).
 *
 * A job belongs to the thread that submitted it; the batcher to all.
 */
#ifndef FATHOM_SERVER_BATCHER_H
#define FATHOM_SERVER_BATCHER_H

#include <fathom/detect.h>
#include <fathom/dictionary.h>
#include <fathom/session.h>
#include <fathom/steer.h>

typedef struct fathom__batcher fathom__batcher;
typedef struct fathom__job fathom__job;

struct fathom__batcher_options {
    uint32_t n_parallel; /* jobs in one batch */
    uint32_t n_context;  /* most tokens of a job, its answer included */
    uint32_t n_batch;    /* most rows of a step */
    uint32_t n_threads;  /* 0: all cores */
    uint32_t n_queue;    /* jobs that may wait */
    bool flash_attention;
};

enum { FATHOM__MOST_TOP = 20, FATHOM__MOST_WATCHES = 64, FATHOM__MOST_FEATURES = 64, FATHOM__MOST_STOPS = 16 };

/* Everything pointed to stays the caller's and must live until fathom__job_close. */
struct fathom__job_request {
    const int32_t *tokens; /* the prompt */
    size_t n;              /* at least 1 */
    uint32_t max_new;      /* 0: the prompt is only read */
    struct fathom_sampling sampling;
    const char *grammar; /* GBNF that the answer is held to; NULL: none */
    bool log_probabilities;
    uint32_t n_top; /* alternatives told of each token */
    const char *const *stops;
    size_t n_stops;
    const fathom_steer *plan;           /* NULL: none */
    const struct fathom_watch *watches; /* levels told of each token */
    size_t n_watches;
    const fathom_dictionary *dictionary; /* of the two below */
    uint32_t n_features;                 /* strongest features told of each token */
    bool whole_prompt;                   /* levels and features of the prompt too, which is then read afresh */
    bool keeps_rows;                     /* the prompt's rows at `hook`, which has `width` */
    struct fathom_hook hook;
    size_t width;
    uint64_t client; /* turns are fair between these */
    double deadline; /* fathom__seconds; 0: none */
};

struct fathom__candidate_token {
    int32_t token;
    float log_probability;
};

struct fathom__feature_level {
    uint32_t feature;
    float value;
};

struct fathom__job_token {
    int32_t token;
    double log_probability; /* natural, at temperature 1; 0 where it was not asked for */
    size_t begin, end;      /* its bytes in the text, from the text's beginning */
};

enum fathom__finish {
    FATHOM__FINISH_NONE, /* still running */
    FATHOM__FINISH_END,  /* an end token or a stop text */
    FATHOM__FINISH_LENGTH,
    FATHOM__FINISH_READ,   /* a prompt that was only read */
    FATHOM__FINISH_LATE,   /* its deadline passed */
    FATHOM__FINISH_CLOSED, /* the batcher is closing, or the job was cancelled */
    FATHOM__FINISH_FAILED
};

/* What came since the last look: whole characters, with the tokens that they end. Levels and features are those at the
 * token itself, NaN and none where the dictionary does not cover it. */
struct fathom__job_part {
    char *text; /* UTF-8 or plainly invalid bytes, not zero-terminated */
    size_t length;
    struct fathom__job_token *tokens;
    size_t n_tokens;
    struct fathom__candidate_token *top;    /* [n_tokens, n_top] */
    float *levels;                          /* [n_tokens, n_watches] */
    struct fathom__feature_level *features; /* [n_tokens, n_features], value 0 where there are no more */
    enum fathom__finish finish;
    size_t text_capacity, token_capacity, top_capacity, level_capacity, feature_capacity;
};
#define FATHOM__JOB_PART_INIT                                                                                          \
    { 0 }

struct fathom__batcher_figures {
    uint64_t steps, rows, prompt_tokens, cached_tokens, answer_tokens, jobs, failed;
    uint32_t running, waiting, n_parallel;
};

int fathom__batcher_open(fathom__batcher **out, const fathom_model *model,
                         const struct fathom__batcher_options *options);
/* Lets the jobs that run or wait finish for at most `seconds`, takes no new ones, then ends them. */
void fathom__batcher_drain(fathom__batcher *batcher, double seconds);
/* All jobs must be closed. */
void fathom__batcher_close(fathom__batcher *batcher);
void fathom__batcher_figures(struct fathom__batcher_figures *out, fathom__batcher *batcher);
/* Most tokens that a prompt and its answer may have together. */
uint32_t fathom__batcher_longest(const fathom__batcher *batcher);
/* Seconds after which a refused job may find room. */
unsigned fathom__batcher_retry_after(fathom__batcher *batcher);

/* Queues a job. Errors: LIMIT (the queue is full, or the batcher is draining), ARGUMENT (too long, values). */
int fathom__job_submit(fathom__job **out, fathom__batcher *batcher, const struct fathom__job_request *request);
/* Waits at most `seconds` for something new. part->finish is told once all before it was taken; *part is reused. After
 * FAILED the thread's message is the job's and its status is returned; all else returns OK. */
int fathom__job_take(struct fathom__job_part *part, fathom__job *job, double seconds);
void fathom__job_part_free(struct fathom__job_part *part);
/* Tokens of the prompt that were found in the cache. */
size_t fathom__job_cached(const fathom__job *job);
/* The kept rows of a finished job's prompt, f32 [n, width], borrowed; NULL unless asked for. */
const float *fathom__job_rows(const fathom__job *job);
/* Levels [n, n_watches] and features [n, n_features] of a finished job's prompt, borrowed; NULL unless asked for. */
const float *fathom__job_prompt_levels(const fathom__job *job);
const struct fathom__feature_level *fathom__job_prompt_features(const fathom__job *job);
/* Ends it if it still runs, and waits until the batch has let go of it. NULL is allowed. */
void fathom__job_close(fathom__job *job);

#endif
