/* Jobs as their owners see them. */
#include "base/condition.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "server/batcher_internal.h"
#include <string.h>

/* Under the lock: what can be told by now. */
static void measure(size_t *bytes, size_t *n_tokens, const fathom__job *job) {
    const bool finished = job->state == FATHOM__JOB_DONE;
    const size_t n = finished ? job->n_tokens : job->n_ready;
    const size_t known = finished ? job->text.bytes.length : n > 0 ? job->tokens[n - 1].end : 0;
    *bytes = fathom__job_text_showable(&job->text, job->taken_bytes, known, finished);
    *n_tokens = job->n_taken;
    while (*n_tokens < n && (job->tokens[*n_tokens].end <= *bytes ||
                             (finished && (job->text.cut == SIZE_MAX || job->tokens[*n_tokens].begin < job->text.cut))))
        ++*n_tokens;
}

static int grow_part(struct fathom__job_part *part, const fathom__job *job, size_t length, size_t n) {
    const struct fathom__job_request *request = &job->request;
    int status = fathom__grow(&part->text, &part->text_capacity, length, 1);
    if (!status) status = fathom__grow(&part->tokens, &part->token_capacity, n, sizeof *part->tokens);
    if (!status) status = fathom__grow(&part->top, &part->top_capacity, n * request->n_top, sizeof *part->top);
    if (!status)
        status = fathom__grow(&part->levels, &part->level_capacity, n * request->n_watches, sizeof *part->levels);
    if (!status)
        status =
            fathom__grow(&part->features, &part->feature_capacity, n * request->n_features, sizeof *part->features);
    return status;
}

/* [count, each] of what is kept a token, from token `first` on. */
static void copy_rows(void *to, const void *from, size_t first, size_t count, size_t each, size_t size) {
    if (each > 0 && count > 0) memcpy(to, (const char *)from + first * each * size, count * each * size);
}

static int fill_part(struct fathom__job_part *part, fathom__job *job, size_t bytes, size_t n_tokens) {
    const struct fathom__job_request *request = &job->request;
    const size_t first = job->n_taken, count = n_tokens - first, length = bytes - job->taken_bytes;
    const int status = grow_part(part, job, length, count);
    if (status) return status;
    if (length) memcpy(part->text, job->text.bytes.bytes + job->taken_bytes, length);
    copy_rows(part->tokens, job->tokens, first, count, 1, sizeof *part->tokens);
    copy_rows(part->top, job->top, first, count, request->n_top, sizeof *part->top);
    copy_rows(part->levels, job->levels, request->n + first, count, request->n_watches, sizeof *part->levels);
    copy_rows(part->features, job->features, request->n + first, count, request->n_features, sizeof *part->features);
    part->length = length;
    part->n_tokens = count;
    job->taken_bytes = bytes;
    job->n_taken = n_tokens;
    return FATHOM_OK;
}

int fathom__job_take(struct fathom__job_part *part, fathom__job *job, double seconds) {
    fathom__batcher *batcher = job->batcher;
    const double until = fathom__seconds() + seconds;
    size_t bytes = 0, n_tokens = 0;
    part->length = part->n_tokens = 0;
    part->finish = FATHOM__FINISH_NONE;
    pthread_mutex_lock(&batcher->lock);
    measure(&bytes, &n_tokens, job);
    for (bool in_time = true;
         in_time && job->state != FATHOM__JOB_DONE && bytes == job->taken_bytes && n_tokens == job->n_taken;) {
        in_time = fathom__condition_wait(&job->changed, &batcher->lock, until);
        measure(&bytes, &n_tokens, job);
    }
    int status = fill_part(part, job, bytes, n_tokens);
    if (!status && job->state == FATHOM__JOB_DONE) {
        part->finish = job->finish;
        if (job->finish == FATHOM__FINISH_FAILED)
            status = fathom__fail(job->status, "%s", job->message ? job->message : fathom_error_name(job->status));
    }
    pthread_mutex_unlock(&batcher->lock);
    return status;
}

void fathom__job_part_free(struct fathom__job_part *part) {
    fathom_free(part->text);
    fathom_free(part->tokens);
    fathom_free(part->top);
    fathom_free(part->levels);
    fathom_free(part->features);
    *part = (struct fathom__job_part)FATHOM__JOB_PART_INIT;
}

size_t fathom__job_cached(const fathom__job *job) {
    return job->n_cached;
}

const float *fathom__job_rows(const fathom__job *job) {
    return job->rows;
}

const float *fathom__job_prompt_levels(const fathom__job *job) {
    return job->request.whole_prompt ? job->levels : NULL;
}

const struct fathom__feature_level *fathom__job_prompt_features(const fathom__job *job) {
    return job->request.whole_prompt ? job->features : NULL;
}

void fathom__job_end(fathom__job *job, enum fathom__finish finish, int status) {
    fathom__batcher *batcher = job->batcher;
    job->state = FATHOM__JOB_DONE;
    job->finish = finish;
    if (finish == FATHOM__FINISH_FAILED) {
        batcher->figures.failed++;
        job->status = status;
        if (fathom__copy_string(&job->message, fathom_error_message()) != FATHOM_OK) job->message = NULL;
    }
    pthread_cond_broadcast(&job->changed);
    pthread_cond_broadcast(&batcher->idle);
}

void fathom__job_close(fathom__job *job) {
    if (!job) return;
    fathom__batcher *batcher = job->batcher;
    pthread_mutex_lock(&batcher->lock);
    job->cancelled = true;
    pthread_cond_signal(&batcher->changed);
    while (job->state != FATHOM__JOB_DONE)
        pthread_cond_wait(&job->changed, &batcher->lock);
    pthread_mutex_unlock(&batcher->lock);
    pthread_cond_destroy(&job->changed);
    fathom__job_text_free(&job->text);
    fathom_free(job->tokens);
    fathom_free(job->top);
    fathom_free(job->levels);
    fathom_free(job->features);
    fathom_free(job->rows);
    fathom_free(job->message);
    fathom_free(job);
}
