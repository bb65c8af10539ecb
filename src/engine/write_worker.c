/* The writer's workers: each runs its documents, as many as its batch holds, in a single-threaded session of its own.
 * Two sessions side by side write more than one of two threads, and neither waits for a thread that the machine has
 * put aside. */
#include "base/condition.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/accelerator.h"
#include "engine/write_parts.h"
#include <fathom/session.h>
#include <pthread.h>

#define BATCH_ROWS 512u
/* A running document is looked at this often, over so many of its last tokens; one that loops is given up at once. */
#define LOOK_EVERY 32u
#define LOOK_BACK 64u
#define LOOPS 0.6

struct slot {
    struct fathom__write_document *document; /* NULL: free */
    size_t n_fed;                            /* of prompt and tokens */
};

struct worker {
    fathom__write_team *team;
    pthread_t thread;
    fathom_session *session;
    struct slot *slots;
    struct fathom_row *rows;
    struct fathom__candidate *candidates;
    uint64_t begun; /* of the work, in steps of the number of workers */
};

struct fathom__write_team {
    const fathom_model *model;
    const struct fathom_write_options *options;
    fathom__accelerator *accelerator;
    struct worker *workers;
    uint32_t n_workers, n_started, n_slots; /* slots of each worker */
    struct fathom__write_work work;
    uint64_t n_written;
    struct fathom__write_document *finished, **last; /* a queue */
    int status;                                      /* of the first worker that failed, with its message */
    char *message;
    bool closing;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

void fathom__write_document_free(struct fathom__write_document *document) {
    if (!document) return;
    fathom__write_prompt_free(&document->prompt);
    fathom_free(document->tokens);
    fathom_free(document);
}

static uint64_t next_number(const struct worker *worker) {
    const struct fathom__write_work *work = &worker->team->work;
    return worker->begun < work->n_missing ? work->missing[worker->begun]
                                           : work->next + (worker->begun - work->n_missing);
}

static int begin_document(struct worker *worker, uint32_t sequence) {
    fathom__write_team *team = worker->team;
    struct fathom__write_document *document = NULL;
    int status = fathom__alloc(&document, 1, sizeof *document);
    if (status) return status;
    document->number = next_number(worker);
    status = fathom__write_prompt(&document->prompt, team->model, team->options, document->number);
    if (!status && document->prompt.n > FATHOM__WRITE_PROMPT_TOKENS)
        status =
            fathom__fail(FATHOM_ERROR_LIMIT, "topic \"%.40s…\": its prompt has %zu tokens, at most %u are possible",
                         team->options->topics[document->number % team->options->n_topics], document->prompt.n,
                         FATHOM__WRITE_PROMPT_TOKENS);
    if (!status) status = fathom__alloc(&document->tokens, team->options->document_tokens, sizeof *document->tokens);
    if (status) {
        fathom__write_document_free(document);
        return status;
    }
    fathom__random_seed(&document->random, team->options->seed + document->number);
    worker->slots[sequence] = (struct slot){.document = document};
    worker->begun += team->n_workers;
    return FATHOM_OK;
}

static void end_document(struct worker *worker, uint32_t sequence) {
    fathom__write_team *team = worker->team;
    pthread_mutex_lock(&team->lock);
    *team->last = worker->slots[sequence].document;
    team->last = &worker->slots[sequence].document->next;
    pthread_cond_signal(&team->changed);
    pthread_mutex_unlock(&team->lock);
    worker->slots[sequence].document = NULL;
    fathom_session_forget(worker->session, (int32_t)sequence, 0);
}

/* Takes the next token of a document out of the logits of its last row. */
static int extend_document(struct worker *worker, uint32_t sequence, size_t row) {
    const fathom__write_team *team = worker->team;
    const struct fathom_write_options *options = team->options;
    struct fathom__write_document *document = worker->slots[sequence].document;
    const float *logits = fathom_session_logits(worker->session, row);
    if (!logits) return fathom__fail(FATHOM_ERROR_ENGINE, "a document's last row has no logits");
    const int32_t token =
        fathom__write_sample(logits, (int32_t)fathom_model_describe(team->model)->n_vocab, options->temperature,
                             options->top_p, &document->random, worker->candidates);
    if (fathom_token_is_end(team->model, token) || fathom_token_is_special(team->model, token)) {
        end_document(worker, sequence);
        return FATHOM_OK;
    }
    document->tokens[document->n_tokens++] = token;
    document->cut = document->n_tokens == options->document_tokens;
    document->looping = document->n_tokens >= LOOK_BACK && document->n_tokens % LOOK_EVERY == 0 &&
                        fathom__write_repetition(document->tokens + document->n_tokens - LOOK_BACK, LOOK_BACK) > LOOPS;
    if (document->cut || document->looping) end_document(worker, sequence);
    return FATHOM_OK;
}

static size_t pending(const struct slot *slot) {
    return slot->document ? slot->document->prompt.n + slot->document->n_tokens - slot->n_fed : 0;
}

static void put_rows(struct worker *worker, size_t *n_rows, uint32_t sequence) {
    struct slot *slot = &worker->slots[sequence];
    const struct fathom__write_document *document = slot->document;
    for (size_t n = pending(slot); n > 0; n--, slot->n_fed++) {
        const size_t at = slot->n_fed;
        worker->rows[(*n_rows)++] = (struct fathom_row){
            .token = at < document->prompt.n ? document->prompt.tokens[at] : document->tokens[at - document->prompt.n],
            .position = (int32_t)at,
            .sequence = (int32_t)sequence,
            .want_logits = n == 1};
    }
}

static int run_batch(struct worker *worker, size_t n_rows) {
    size_t extended = 0;
    int status = n_rows > 0 ? fathom_session_decode(worker->session, worker->rows, n_rows) : FATHOM_OK;
    for (size_t row = 0; row < n_rows && !status; row++) {
        if (!worker->rows[row].want_logits) continue;
        status = extend_document(worker, (uint32_t)worker->rows[row].sequence, row);
        extended++;
    }
    pthread_mutex_lock(&worker->team->lock);
    worker->team->n_written += extended;
    pthread_mutex_unlock(&worker->team->lock);
    return status;
}

/* Every running document gets one token, in as many batches as the new prompts ask for. */
static int step(struct worker *worker) {
    const uint32_t n_slots = worker->team->n_slots;
    int status = FATHOM_OK;
    for (uint32_t i = 0; i < n_slots && !status; i++)
        if (!worker->slots[i].document) status = begin_document(worker, i);
    for (uint32_t at = 0; at < n_slots && !status;) {
        size_t n_rows = 0;
        for (; at < n_slots && n_rows + pending(&worker->slots[at]) <= BATCH_ROWS; at++)
            if (worker->slots[at].document) put_rows(worker, &n_rows, at);
        status = run_batch(worker, n_rows);
    }
    return status;
}

static int open_worker(struct worker *worker) {
    const fathom__write_team *team = worker->team;
    const struct fathom_session_options options = {
        .n_context = team->n_slots * (team->options->document_tokens + FATHOM__WRITE_PROMPT_TOKENS),
        .n_batch = BATCH_ROWS,
        .n_sequences = team->n_slots,
        .n_threads = 1,
        .flash_attention = true};
    int status = fathom__alloc(&worker->slots, team->n_slots, sizeof *worker->slots);
    if (!status) status = fathom__alloc(&worker->rows, BATCH_ROWS, sizeof *worker->rows);
    if (!status)
        status =
            fathom__alloc(&worker->candidates, fathom_model_describe(team->model)->n_vocab, sizeof *worker->candidates);
    if (!status) status = fathom_session_open(&worker->session, team->model, &options);
    return status;
}

static void *work(void *payload) {
    struct worker *worker = payload;
    fathom__write_team *team = worker->team;
    fathom__accelerator_use(team->accelerator);
    int status = open_worker(worker);
    bool closing = false;
    while (!status && !closing) {
        status = step(worker);
        pthread_mutex_lock(&team->lock);
        closing = team->closing;
        pthread_mutex_unlock(&team->lock);
    }
    fathom_session_close(worker->session);
    if (status) {
        pthread_mutex_lock(&team->lock);
        if (!team->status) {
            team->status = status;
            if (fathom__copy_string(&team->message, fathom_error_message())) team->message = NULL;
        }
        pthread_cond_signal(&team->changed);
        pthread_mutex_unlock(&team->lock);
    }
    return NULL;
}

int fathom__write_team_open(fathom__write_team **out, const fathom_model *model,
                            const struct fathom_write_options *options, bool accelerate,
                            struct fathom__write_work work_to_do) {
    fathom__write_team *team = NULL;
    int status = fathom__alloc(&team, 1, sizeof *team);
    if (!status) status = fathom__condition_open(&team->changed);
    if (status) {
        fathom_free(team);
        return status;
    }
    team->model = model;
    team->options = options;
    team->work = work_to_do;
    team->last = &team->finished;
    team->n_workers = options->n_threads < options->n_sequences ? options->n_threads : options->n_sequences;
    team->n_slots = options->n_sequences / team->n_workers;
    pthread_mutex_init(&team->lock, NULL);
    if (accelerate) status = fathom__accelerator_open(&team->accelerator);
    if (!status) status = fathom__alloc(&team->workers, team->n_workers, sizeof *team->workers);
    for (uint32_t i = 0; i < team->n_workers && !status; i++) {
        struct worker *worker = &team->workers[i];
        worker->team = team;
        worker->begun = i;
        if (pthread_create(&worker->thread, NULL, work, worker) == 0)
            team->n_started++;
        else
            status = fathom__fail(FATHOM_ERROR_MEMORY, "cannot start a thread");
    }
    if (status) {
        fathom__write_team_close(team);
        return status;
    }
    *out = team;
    return FATHOM_OK;
}

void fathom__write_team_close(fathom__write_team *team) {
    if (!team) return;
    pthread_mutex_lock(&team->lock);
    team->closing = true;
    pthread_mutex_unlock(&team->lock);
    for (uint32_t i = 0; i < team->n_started; i++) {
        struct worker *worker = &team->workers[i];
        pthread_join(worker->thread, NULL);
        for (uint32_t k = 0; worker->slots && k < team->n_slots; k++)
            fathom__write_document_free(worker->slots[k].document);
        fathom_free(worker->slots);
        fathom_free(worker->rows);
        fathom_free(worker->candidates);
    }
    for (struct fathom__write_document *document = team->finished, *next; document; document = next) {
        next = document->next;
        fathom__write_document_free(document);
    }
    fathom_free(team->workers);
    fathom__accelerator_close(team->accelerator);
    fathom_free(team->message);
    pthread_cond_destroy(&team->changed);
    pthread_mutex_destroy(&team->lock);
    fathom_free(team);
}

/* Under the lock. */
static struct fathom__write_document *take_first(fathom__write_team *team) {
    struct fathom__write_document *first = team->finished;
    if (!first) return NULL;
    team->finished = first->next;
    if (!team->finished) team->last = &team->finished;
    return first;
}

int fathom__write_team_take(struct fathom__write_document **document, uint64_t *written, fathom__write_team *team,
                            double seconds) {
    const double until = fathom__seconds() + seconds;
    int status = FATHOM_OK;
    bool in_time = true;
    pthread_mutex_lock(&team->lock);
    while (!(*document = take_first(team)) && !team->status && in_time)
        in_time = fathom__condition_wait(&team->changed, &team->lock, until);
    *written = team->n_written;
    if (!*document && team->status)
        status = fathom__fail(team->status, "%s", team->message ? team->message : fathom_error_name(team->status));
    pthread_mutex_unlock(&team->lock);
    return status;
}
