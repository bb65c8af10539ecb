#include "server/batcher.h"
#include "base/condition.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "server/batcher_internal.h"
#include <math.h>

#define WAIT_STEP_SECONDS 0.05
/* Weight of the latest job in the mean time of a job. */
#define LATEST 0.2
enum { LONGEST_RETRY_SECONDS = 60 };

void fathom__slot_end(fathom__batcher *batcher, struct fathom__slot *slot, enum fathom__finish finish, int status) {
    fathom__job *job = slot->job;
    const double seconds = fathom__seconds() - job->begun;
    fathom__job_end(job, finish, status);
    fathom__slot_detach(batcher, slot);
    batcher->job_seconds += (batcher->job_seconds > 0 ? LATEST : 1.0) * (seconds - batcher->job_seconds);
    slot->job = NULL;
    slot->suspect = false;
    slot->n = slot->fed;
    if (slot->fed == 0) fathom__slot_forget(batcher, slot);
}

static uint32_t count_running(const fathom__batcher *batcher) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < batcher->options.n_parallel; i++)
        n += batcher->slots[i].job != NULL;
    return n;
}

static void *work(void *payload) {
    fathom__batcher *batcher = payload;
    pthread_mutex_lock(&batcher->lock);
    for (;;) {
        fathom__batcher_sweep(batcher);
        fathom__batcher_admit(batcher);
        batcher->figures.running = count_running(batcher);
        if (batcher->figures.running == 0 && batcher->ending) break;
        if (batcher->figures.running == 0) {
            if (!batcher->first) pthread_cond_wait(&batcher->changed, &batcher->lock);
            continue;
        }
        pthread_mutex_unlock(&batcher->lock);
        fathom__batcher_step(batcher);
        pthread_mutex_lock(&batcher->lock);
    }
    pthread_mutex_unlock(&batcher->lock);
    return NULL;
}

static int open_parts(fathom__batcher *batcher) {
    const struct fathom__batcher_options *options = &batcher->options;
    const uint32_t trained = fathom_model_describe(batcher->model)->context_trained;
    const struct fathom_session_options session = {.n_context = options->n_context * options->n_parallel,
                                                   .n_batch = options->n_batch,
                                                   .n_sequences = options->n_parallel,
                                                   .n_threads = options->n_threads,
                                                   .flash_attention = options->flash_attention,
                                                   .own_caches = true};
    int status = fathom__alloc(&batcher->slots, options->n_parallel, sizeof *batcher->slots);
    if (!status) status = fathom__alloc(&batcher->rows, options->n_batch, sizeof *batcher->rows);
    if (!status) status = fathom_session_open(&batcher->session, batcher->model, &session);
    if (status) return status;
    batcher->longest = fathom_session_longest(batcher->session);
    if (options->n_context < batcher->longest) batcher->longest = options->n_context;
    if (trained > 0 && trained < batcher->longest) batcher->longest = trained;
    return FATHOM_OK;
}

int fathom__batcher_open(fathom__batcher **out, const fathom_model *model,
                         const struct fathom__batcher_options *options) {
    fathom__batcher *batcher = NULL;
    if (options->n_parallel == 0 || options->n_batch < options->n_parallel)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%u conversations at once do not fit into batches of %u rows",
                            options->n_parallel, options->n_batch);
    if (options->n_context == 0 || options->n_context > INT32_MAX / 2 / options->n_parallel)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%u conversations of %u tokens of context are not possible",
                            options->n_parallel, options->n_context);
    int status = fathom__alloc(&batcher, 1, sizeof *batcher);
    if (status) return status;
    batcher->model = model;
    batcher->options = *options;
    batcher->figures.n_parallel = options->n_parallel;
    batcher->last = &batcher->first;
    pthread_mutex_init(&batcher->lock, NULL);
    status = fathom__condition_open(&batcher->changed);
    if (!status) status = fathom__condition_open(&batcher->idle);
    if (!status) status = open_parts(batcher);
    if (!status && pthread_create(&batcher->thread, NULL, work, batcher) != 0)
        status = fathom__fail(FATHOM_ERROR_MEMORY, "the thread of the batch cannot be started");
    batcher->started = status == FATHOM_OK;
    if (status) {
        fathom__batcher_close(batcher);
        return status;
    }
    *out = batcher;
    return FATHOM_OK;
}

void fathom__batcher_drain(fathom__batcher *batcher, double seconds) {
    const double until = fathom__seconds() + seconds;
    pthread_mutex_lock(&batcher->lock);
    batcher->draining = true;
    while ((batcher->first || count_running(batcher) > 0) && fathom__seconds() < until)
        (void)fathom__condition_wait(&batcher->idle, &batcher->lock, fathom__seconds() + WAIT_STEP_SECONDS);
    batcher->ending = true;
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
}

void fathom__batcher_close(fathom__batcher *batcher) {
    if (!batcher) return;
    if (batcher->started) {
        fathom__batcher_drain(batcher, 0);
        pthread_join(batcher->thread, NULL);
    }
    for (uint32_t i = 0; batcher->slots && i < batcher->options.n_parallel; i++) {
        struct fathom__slot *slot = &batcher->slots[i];
        fathom_free(slot->tokens);
        fathom__levels_free(&slot->levels);
        fathom_sparse_free(&slot->sparse);
    }
    fathom_session_close(batcher->session);
    fathom_free(batcher->slots);
    fathom_free(batcher->rows);
    pthread_cond_destroy(&batcher->idle);
    pthread_cond_destroy(&batcher->changed);
    pthread_mutex_destroy(&batcher->lock);
    fathom_free(batcher);
}

void fathom__batcher_figures(struct fathom__batcher_figures *out, fathom__batcher *batcher) {
    pthread_mutex_lock(&batcher->lock);
    *out = batcher->figures;
    pthread_mutex_unlock(&batcher->lock);
}

uint32_t fathom__batcher_longest(const fathom__batcher *batcher) {
    return batcher->longest;
}

unsigned fathom__batcher_retry_after(fathom__batcher *batcher) {
    pthread_mutex_lock(&batcher->lock);
    const double turns = (double)batcher->figures.waiting / (double)batcher->options.n_parallel + 1.0;
    const double seconds = ceil(batcher->job_seconds * turns);
    pthread_mutex_unlock(&batcher->lock);
    return seconds < 1.0 ? 1 : seconds > LONGEST_RETRY_SECONDS ? LONGEST_RETRY_SECONDS : (unsigned)seconds;
}
