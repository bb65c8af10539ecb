/* Who runs next, and in which slot: fair turns, and prefixes that are in the cache already. */
#include "base/condition.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "server/batcher_internal.h"
#include <string.h>

/* A shorter prefix is not worth sharing between slots. */
enum { FEWEST_SHARED = 8 };

static size_t fewer(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Rows of a job's prompt that a slot has in the cache as the job would compute them: those that neither's plan reaches, or those that
 * equal edits acted on. */
static size_t shared_rows(const struct fathom__slot *slot, const fathom__job *job) {
    const struct fathom__job_request *request = &job->request;
    const struct fathom__footprint *had = &slot->footprint, *wanted = &job->footprint;
    if (request->whole_prompt || request->keeps_rows || slot->suspect) return 0;
    if (wanted->looks_back && strcmp(had->whole, wanted->whole) != 0) return 0;
    size_t most = fewer((size_t)had->first, (size_t)wanted->first);
    if (strcmp(had->prompt, wanted->prompt) == 0) {
        const size_t equal = strcmp(had->answer, wanted->prompt) == 0 ? slot->fed : slot->n_prompt;
        if (equal > most) most = equal;
    }
    most = fewer(most, fewer(slot->fed, request->n - 1));
    size_t n = 0;
    while (n < most && slot->tokens[n] == request->tokens[n])
        n++;
    return n;
}

void fathom__slot_forget(fathom__batcher *batcher, struct fathom__slot *slot) {
    fathom_session_forget(batcher->session, (int32_t)(slot - batcher->slots), 0);
    slot->fed = 0;
    if (!slot->job) slot->n = 0;
}

/* The slot to run in, and the one whose rows are shared (which may be the same, or NULL). */
static struct fathom__slot *choose_slot(struct fathom__slot **donor, size_t *n_shared, fathom__batcher *batcher,
                                        const fathom__job *job) {
    struct fathom__slot *free_slot = NULL, *own = NULL;
    size_t n_own = 0;
    *donor = NULL;
    *n_shared = FEWEST_SHARED - 1;
    for (uint32_t i = 0; i < batcher->options.n_parallel; i++) {
        struct fathom__slot *slot = &batcher->slots[i];
        const size_t n = shared_rows(slot, job);
        if (n > *n_shared) {
            *donor = slot;
            *n_shared = n;
        }
        if (slot->job) continue;
        if (n >= FEWEST_SHARED && n > n_own) {
            own = slot;
            n_own = n;
        }
        if (!free_slot || (slot->fed == 0 && free_slot->fed > 0) ||
            (slot->fed > 0 && free_slot->fed > 0 && slot->last_used < free_slot->last_used))
            free_slot = slot;
    }
    /* Rows of its own cost nothing to keep; those of a running neighbour are shared only where they are more. */
    if (own && n_own == *n_shared) *donor = own;
    if (!*donor) *n_shared = 0;
    return *donor && *donor == own ? own : free_slot;
}

/* What a plan waits for may stand in the rows that are shared. */
static int recall(struct fathom__slot *slot, int32_t sequence, const struct fathom__read_levels *levels) {
    const fathom__job *job = slot->job;
    if (slot->fed == 0 || !job->request.plan) return FATHOM_OK;
    const int status = fathom_steering_history(slot->steering, sequence, job->request.tokens, slot->fed);
    if (status || !job->footprint.looks_back) return status;
    return fathom__levels_recall(slot->steering, sequence, levels, slot->fed);
}

static int start(fathom__batcher *batcher, struct fathom__slot *slot, fathom__job *job, struct fathom__slot *donor) {
    const struct fathom__job_request *request = &job->request;
    const int32_t sequence = (int32_t)(slot - batcher->slots);
    const size_t total = request->n + request->max_new;
    slot->job = job;
    slot->n = slot->n_prompt = request->n;
    slot->ending = FATHOM__FINISH_NONE;
    slot->suspect = false;
    slot->last_used = batcher->figures.steps;
    job->state = FATHOM__JOB_RUNS;
    job->begun = fathom__seconds();
    job->n_cached = slot->fed;
    batcher->figures.jobs++;
    batcher->figures.prompt_tokens += request->n;
    batcher->figures.cached_tokens += slot->fed;
    int status = fathom__grow(&slot->tokens, &slot->capacity, total, sizeof *slot->tokens);
    if (!status) memcpy(slot->tokens, request->tokens, request->n * sizeof *slot->tokens);
    slot->footprint = job->footprint;
    if (!status && request->max_new > 0) {
        status =
            fathom__sampler_open(&slot->sampler, &request->sampling, fathom_model_describe(batcher->model)->n_vocab);
        if (!status && request->grammar)
            status = fathom__sampler_constrain(slot->sampler, batcher->model, request->grammar);
        for (size_t i = 0; i < request->n && !status; i++)
            fathom__sampler_accept(slot->sampler, request->tokens[i]);
    }
    if (!status) status = fathom__slot_attach(batcher, slot);
    if (!status && job->footprint.looks_back && donor && donor != slot && donor->steering)
        status = fathom__levels_keep(&donor->levels, donor->steering, (int32_t)(donor - batcher->slots));
    return status ? status : recall(slot, sequence, donor ? &donor->levels : NULL);
}

/* Into one of the slots that are free. */
static void place(fathom__batcher *batcher, fathom__job *job) {
    struct fathom__slot *donor = NULL;
    size_t n_shared = 0;
    struct fathom__slot *slot = choose_slot(&donor, &n_shared, batcher, job);
    const int32_t sequence = (int32_t)(slot - batcher->slots);
    if (donor != slot) fathom__slot_forget(batcher, slot);
    if (donor == slot) {
        fathom_session_forget(batcher->session, sequence, (int32_t)n_shared);
        slot->fed = n_shared;
    } else if (donor && fathom_session_fork_prefix(batcher->session, (int32_t)(donor - batcher->slots), sequence,
                                                   (int32_t)n_shared) == FATHOM_OK) {
        slot->fed = n_shared;
    }
    const int status = start(batcher, slot, job, donor);
    if (status) fathom__slot_end(batcher, slot, FATHOM__FINISH_FAILED, status);
}

/* The waiting job whose client has the fewest jobs running, of those the first. */
static fathom__job **next_job(fathom__batcher *batcher) {
    fathom__job **best = NULL;
    size_t fewest = SIZE_MAX;
    for (fathom__job **at = &batcher->first; *at; at = &(*at)->next) {
        size_t n = 0;
        for (uint32_t i = 0; i < batcher->options.n_parallel; i++)
            n += batcher->slots[i].job && batcher->slots[i].job->request.client == (*at)->request.client;
        if (n < fewest) {
            best = at;
            fewest = n;
        }
    }
    return best;
}

static void take_out(fathom__batcher *batcher, fathom__job **at) {
    fathom__job *job = *at;
    *at = job->next;
    if (batcher->last == &job->next) batcher->last = at;
    job->next = NULL;
    batcher->figures.waiting--;
}

static bool has_free_slot(const fathom__batcher *batcher) {
    for (uint32_t i = 0; i < batcher->options.n_parallel; i++)
        if (!batcher->slots[i].job) return true;
    return false;
}

void fathom__batcher_admit(fathom__batcher *batcher) {
    while (batcher->first && has_free_slot(batcher)) {
        fathom__job **at = next_job(batcher);
        fathom__job *job = *at;
        take_out(batcher, at);
        place(batcher, job);
    }
}

/* What a job is to end with before its time; NONE where it may go on. */
static enum fathom__finish verdict(const fathom__batcher *batcher, const fathom__job *job, double now) {
    if (job->cancelled || batcher->ending) return FATHOM__FINISH_CLOSED;
    return job->request.deadline > 0 && now >= job->request.deadline ? FATHOM__FINISH_LATE : FATHOM__FINISH_NONE;
}

void fathom__batcher_sweep(fathom__batcher *batcher) {
    const double now = fathom__seconds();
    for (uint32_t i = 0; i < batcher->options.n_parallel; i++) {
        struct fathom__slot *slot = &batcher->slots[i];
        const enum fathom__finish finish = slot->job ? verdict(batcher, slot->job, now) : FATHOM__FINISH_NONE;
        if (finish) fathom__slot_end(batcher, slot, finish, FATHOM_OK);
    }
    for (fathom__job **at = &batcher->first; *at;) {
        fathom__job *job = *at;
        const enum fathom__finish finish = verdict(batcher, job, now);
        if (!finish) {
            at = &job->next;
            continue;
        }
        take_out(batcher, at);
        fathom__job_end(job, finish, FATHOM_OK);
    }
}

static int check_request(const fathom__batcher *batcher, const struct fathom__job_request *request) {
    const size_t total = request->n + request->max_new;
    if (request->n == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "the prompt has no tokens");
    if (request->n > batcher->longest || total > batcher->longest)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "the prompt has %zu tokens and the answer may have %u: together at most %u fit", request->n,
                            request->max_new, batcher->longest);
    if (request->n_stops > FATHOM__MOST_STOPS || request->n_watches > FATHOM__MOST_WATCHES ||
        request->n_features > FATHOM__MOST_FEATURES || request->n_top > FATHOM__MOST_TOP)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "at most %d stop texts, %d watches, %d features and %d alternatives of a token",
                            FATHOM__MOST_STOPS, FATHOM__MOST_WATCHES, FATHOM__MOST_FEATURES, FATHOM__MOST_TOP);
    return FATHOM_OK;
}

int fathom__job_submit(fathom__job **out, fathom__batcher *batcher, const struct fathom__job_request *request) {
    fathom__job *job = NULL;
    const size_t total = request->n + request->max_new;
    int status = check_request(batcher, request);
    if (!status) status = fathom__alloc(&job, 1, sizeof *job);
    if (status) return status;
    job->batcher = batcher;
    job->request = *request;
    fathom__job_text_start(&job->text, request->stops, request->n_stops, SIZE_MAX / 2);
    status = fathom__footprint(&job->footprint, request->plan, (int32_t)request->n);
    if (!status) status = fathom__condition_open(&job->changed);
    if (status) {
        fathom_free(job);
        return status;
    }
    if (request->n_watches) status = fathom__alloc(&job->levels, total * request->n_watches, sizeof *job->levels);
    for (size_t i = 0; i < total * request->n_watches && !status; i++)
        job->levels[i] = __builtin_nanf("");
    if (!status && request->n_features)
        status = fathom__alloc(&job->features, total * request->n_features, sizeof *job->features);
    if (!status && request->keeps_rows)
        status = fathom__alloc(&job->rows, request->n * request->width, sizeof *job->rows);
    if (!status) status = fathom__alloc(&job->tokens, request->max_new, sizeof *job->tokens);
    if (!status && request->n_top)
        status = fathom__alloc(&job->top, (size_t)request->max_new * request->n_top, sizeof *job->top);

    pthread_mutex_lock(&batcher->lock);
    if (!status && (batcher->draining || batcher->figures.waiting >= batcher->options.n_queue))
        status = batcher->draining ? fathom__fail(FATHOM_ERROR_LIMIT, "the server is stopping")
                                   : fathom__fail(FATHOM_ERROR_LIMIT, "%u requests wait already: try again later",
                                                  batcher->figures.waiting);
    if (!status) {
        *batcher->last = job;
        batcher->last = &job->next;
        batcher->figures.waiting++;
        pthread_cond_signal(&batcher->changed);
    } else {
        job->state = FATHOM__JOB_DONE;
    }
    pthread_mutex_unlock(&batcher->lock);
    if (status)
        fathom__job_close(job);
    else
        *out = job;
    return status;
}
