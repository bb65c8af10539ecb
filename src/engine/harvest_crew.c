/* The harvest's workers: threads that each run whole batches in a single-threaded session of their own. */
#include "base/error.h"
#include "base/memory.h"
#include "engine/accelerator.h"
#include "engine/harvest_parts.h"
#include "engine/vector.h"
#include <string.h>

struct worker {
    fathom__crew *crew;
    pthread_t thread;
    fathom_session *session;
    struct tap *taps;
    struct fathom__batch *batch; /* the one now running */
};

struct tap {
    struct worker *worker;
    size_t hook;
};

struct fathom__crew {
    const struct fathom__harvest_plan *plan;
    struct fathom__batch *batches;
    size_t n_batches, n_submitted, n_taken; /* batches are taken in the order in which they were handed over */
    fathom__accelerator *accelerator;
    struct worker *workers;
    size_t n_started;
    size_t n_ready;
    int open_status;
    char *open_message;
    bool closing;
    pthread_mutex_t lock;
    pthread_cond_t submitted, done;
};

/* The first row that holds a value that is not finite; n_rows when there is none. */
static size_t first_unfinite(const float *rows, size_t n_rows, size_t width) {
    const fathom__vi exponent = (fathom__vi)(fathom__vu){0} + 0x7f800000;
    for (size_t r = 0; r < n_rows; r++) {
        const float *row = rows + r * width;
        fathom__vi bad = {0};
        size_t i = 0;
        for (; i + FATHOM__LANES <= width; i += FATHOM__LANES)
            bad |= ((fathom__vi)fathom__v_load(row + i) & exponent) == exponent;
        int any = 0;
        for (int lane = 0; lane < FATHOM__LANES; lane++)
            any |= bad[lane];
        for (; i < width; i++)
            any |= !(row[i] - row[i] == 0.0f);
        if (any) return r;
    }
    return n_rows;
}

static int take_rows(const struct fathom_block *block, void *payload) {
    const struct tap *tap = payload;
    const struct fathom__harvest_plan *plan = tap->worker->crew->plan;
    struct fathom__batch *batch = tap->worker->batch;
    if (block->n_rows != batch->n_rows || block->width != plan->widths[tap->hook]) {
        char name[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(name, block->hook);
        return fathom__fail(FATHOM_ERROR_ENGINE,
                            "%s: %zu rows of width %zu came out of a batch of %zu rows and width %zu", name,
                            block->n_rows, block->width, batch->n_rows, plan->widths[tap->hook]);
    }
    const size_t bad = first_unfinite(block->rows, block->n_rows, block->width);
    if (bad < block->n_rows) {
        char name[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_name(name, block->hook);
        return fathom__fail(
            FATHOM_ERROR_NUMERIC, "%s: the activation of token %d at position %d of document %llu is not finite", name,
            batch->rows[bad].token, batch->rows[bad].position, (unsigned long long)batch->documents[bad]);
    }
    memcpy(batch->values[tap->hook], block->rows, block->n_rows * block->width * sizeof(float));
    return FATHOM_OK;
}

static int open_session(struct worker *worker) {
    const struct fathom__harvest_plan *plan = worker->crew->plan;
    const struct fathom_session_options options = {.n_context = plan->batch_rows,
                                                   .n_batch = plan->batch_rows,
                                                   .n_sequences = FATHOM__HARVEST_SEQUENCES,
                                                   .n_threads = 1,
                                                   .flash_attention = true};
    int status = fathom_session_open(&worker->session, plan->model, &options);
    for (size_t h = 0; h < plan->n_hooks && status == FATHOM_OK; h++) {
        worker->taps[h] = (struct tap){worker, h};
        status = fathom_session_tap(NULL, worker->session, plan->hooks[h], take_rows, &worker->taps[h]);
    }
    return status;
}

static void remember(int *status, char **message, int failed) {
    *status = failed;
    if (fathom__copy_string(message, fathom_error_message()) != FATHOM_OK) *message = NULL;
}

static int recall(int status, const char *message) {
    return fathom__fail(status, "%s", message ? message : fathom_error_name(status));
}

/* The next batch to run, or NULL when the crew closes. */
static struct fathom__batch *next_batch(fathom__crew *crew) {
    struct fathom__batch *batch = NULL;
    pthread_mutex_lock(&crew->lock);
    while (!crew->closing && crew->n_taken == crew->n_submitted)
        pthread_cond_wait(&crew->submitted, &crew->lock);
    if (!crew->closing) batch = &crew->batches[crew->n_taken++ % crew->n_batches];
    pthread_mutex_unlock(&crew->lock);
    return batch;
}

static void *work(void *payload) {
    struct worker *worker = payload;
    fathom__crew *crew = worker->crew;
    fathom__accelerator_use(crew->accelerator);
    const int opened = open_session(worker);
    pthread_mutex_lock(&crew->lock);
    crew->n_ready++;
    if (opened != FATHOM_OK && crew->open_status == FATHOM_OK)
        remember(&crew->open_status, &crew->open_message, opened);
    pthread_cond_broadcast(&crew->done);
    pthread_mutex_unlock(&crew->lock);
    while (opened == FATHOM_OK) {
        struct fathom__batch *batch = next_batch(crew);
        if (!batch) break;
        worker->batch = batch;
        fathom_session_forget(worker->session, -1, 0);
        const int status = fathom_session_decode(worker->session, batch->rows, batch->n_rows);
        pthread_mutex_lock(&crew->lock);
        if (status != FATHOM_OK) remember(&batch->status, &batch->message, status);
        batch->state = FATHOM__BATCH_DONE;
        pthread_cond_broadcast(&crew->done);
        pthread_mutex_unlock(&crew->lock);
    }
    fathom_session_close(worker->session);
    return NULL;
}

static int start_workers(fathom__crew *crew) {
    const uint32_t n = crew->plan->n_threads;
    int status = fathom__alloc(&crew->workers, n, sizeof *crew->workers);
    for (uint32_t i = 0; i < n && status == FATHOM_OK; i++) {
        struct worker *worker = &crew->workers[i];
        worker->crew = crew;
        status = fathom__alloc(&worker->taps, crew->plan->n_hooks, sizeof *worker->taps);
        if (status != FATHOM_OK) break;
        if (pthread_create(&worker->thread, NULL, work, worker) != 0)
            status = fathom__fail(FATHOM_ERROR_MEMORY, "cannot start a thread");
        if (status == FATHOM_OK) crew->n_started++;
    }
    pthread_mutex_lock(&crew->lock);
    while (crew->n_ready < crew->n_started)
        pthread_cond_wait(&crew->done, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
    if (status == FATHOM_OK && crew->open_status != FATHOM_OK) status = recall(crew->open_status, crew->open_message);
    return status;
}

int fathom__crew_open(fathom__crew **out, const struct fathom__harvest_plan *plan, struct fathom__batch *batches,
                      size_t n_batches) {
    fathom__crew *crew = NULL;
    int status = fathom__alloc(&crew, 1, sizeof *crew);
    if (status != FATHOM_OK) return status;
    crew->plan = plan;
    crew->batches = batches;
    crew->n_batches = n_batches;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->submitted, NULL);
    pthread_cond_init(&crew->done, NULL);
    if (plan->accelerate) status = fathom__accelerator_open(&crew->accelerator);
    if (status == FATHOM_OK) status = start_workers(crew);
    if (status != FATHOM_OK) {
        fathom__crew_close(crew);
        return status;
    }
    *out = crew;
    return FATHOM_OK;
}

void fathom__crew_close(fathom__crew *crew) {
    if (!crew) return;
    pthread_mutex_lock(&crew->lock);
    crew->closing = true;
    pthread_cond_broadcast(&crew->submitted);
    pthread_mutex_unlock(&crew->lock);
    for (size_t i = 0; i < crew->n_started; i++)
        pthread_join(crew->workers[i].thread, NULL);
    for (size_t i = 0; crew->workers && i < crew->plan->n_threads; i++)
        fathom_free(crew->workers[i].taps);
    fathom_free(crew->workers);
    fathom__accelerator_close(crew->accelerator);
    fathom_free(crew->open_message);
    pthread_cond_destroy(&crew->done);
    pthread_cond_destroy(&crew->submitted);
    pthread_mutex_destroy(&crew->lock);
    fathom_free(crew);
}

void fathom__crew_submit(fathom__crew *crew, struct fathom__batch *batch) {
    pthread_mutex_lock(&crew->lock);
    batch->state = FATHOM__BATCH_READY;
    batch->status = FATHOM_OK;
    crew->n_submitted++;
    pthread_cond_signal(&crew->submitted);
    pthread_mutex_unlock(&crew->lock);
}

int fathom__crew_wait(fathom__crew *crew, struct fathom__batch *batch) {
    pthread_mutex_lock(&crew->lock);
    while (batch->state != FATHOM__BATCH_DONE)
        pthread_cond_wait(&crew->done, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
    return batch->status == FATHOM_OK ? FATHOM_OK : recall(batch->status, batch->message);
}
