/* The harvest's inside: batches of whole sequences, cut out of a corpus by the calling thread and run by workers. */
#ifndef FATHOM_ENGINE_HARVEST_PARTS_H
#define FATHOM_ENGINE_HARVEST_PARTS_H

#include <fathom/corpus.h>
#include <fathom/harvest.h>
#include <fathom/session.h>
#include <pthread.h>

/* Rows of one batch; measured: 256 and 1024 are no faster (docs/benchmarks.md). A context longer than this is a batch
 * by itself. */
#define FATHOM__HARVEST_ROWS 512u
/* Short documents share a batch, up to this many sequences. */
#define FATHOM__HARVEST_SEQUENCES 16u
#define FATHOM__HARVEST_CONTEXT 256u

enum fathom__batch_state { FATHOM__BATCH_FREE, FATHOM__BATCH_READY, FATHOM__BATCH_DONE };

struct fathom__batch {
    struct fathom_row *rows; /* what the model is given, in the order of the corpus */
    uint64_t *documents;
    uint8_t *roles;
    size_t n_rows;
    uint64_t first_row; /* of the whole stream */
    float **values;     /* a hook's rows, f32 [capacity, width] */
    enum fathom__batch_state state;
    int status; /* of the run, with its message */
    char *message;
};

/* Cutting a corpus into batches ------------------------------------------------------------------------------ */

struct fathom__cutter {
    fathom_corpus *corpus;
    const fathom_model *model;
    uint32_t context, batch_rows;
    int32_t *tokens; /* of the present document */
    uint8_t *roles;  /* the same; NULL: it is no chat */
    size_t n_tokens, at;
    uint64_t document;
    uint64_t n_cut; /* rows so far */
    bool ended;
};
/* Puts as many of the next sequences into the batch as fit whole; n_rows is 0 at the corpus' end. */
int fathom__cutter_fill(struct fathom__batch *batch, struct fathom__cutter *cutter);
void fathom__cutter_close(struct fathom__cutter *cutter);

/* Running batches -------------------------------------------------------------------------------------------- */

struct fathom__harvest_plan {
    const fathom_model *model;
    struct fathom_hook *hooks;
    size_t *widths;
    size_t n_hooks;
    uint32_t batch_rows, n_threads;
    bool accelerate;
};

typedef struct fathom__crew fathom__crew;

/* Opens the workers, each with a session of its own. The batches (n of them, used in turn) and what the plan points to
 * must outlive the crew. */
int fathom__crew_open(fathom__crew **out, const struct fathom__harvest_plan *plan, struct fathom__batch *batches,
                      size_t n_batches);
/* Stops after the batches now running. */
void fathom__crew_close(fathom__crew *crew);
/* Hands over the next batch in turn. */
void fathom__crew_submit(fathom__crew *crew, struct fathom__batch *batch);
/* Waits for a batch that was handed over; its status, with its message on this thread. */
int fathom__crew_wait(fathom__crew *crew, struct fathom__batch *batch);

#endif
