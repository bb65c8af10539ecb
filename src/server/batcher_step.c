/* One decode of the batch: which rows go in, and what comes out for each job. */
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "server/batcher_internal.h"
#include <math.h>
#include <string.h>

/* Rows of prompts that are read beside running answers: more would make those wait. */
enum { PROMPT_ROWS_BESIDE = 64 };

static size_t pending(const struct fathom__slot *slot) {
    return slot->job ? slot->n - slot->fed : 0;
}

static bool writes(const struct fathom__slot *slot) {
    return pending(slot) == 1 && slot->n > slot->n_prompt;
}

static void put_rows(fathom__batcher *batcher, size_t *n_rows, struct fathom__slot *slot, size_t count) {
    const bool samples = slot->ending == FATHOM__FINISH_NONE && slot->job->request.max_new > 0;
    for (size_t i = 0; i < count; i++, slot->fed++)
        batcher->rows[(*n_rows)++] = (struct fathom_row){.token = slot->tokens[slot->fed],
                                                         .position = (int32_t)slot->fed,
                                                         .sequence = (int32_t)(slot - batcher->slots),
                                                         .want_logits = samples && slot->fed + 1 == slot->n};
}

static struct fathom__slot *find_suspect(fathom__batcher *batcher) {
    for (uint32_t i = 0; i < batcher->options.n_parallel; i++)
        if (batcher->slots[i].job && batcher->slots[i].suspect) return &batcher->slots[i];
    return NULL;
}

static bool reads(const struct fathom__slot *slot) {
    return pending(slot) > 0 && !writes(slot);
}

/* The first slot from `from` on, in a circle, of which that is true; NULL where there is none. */
static struct fathom__slot *find(const fathom__batcher *batcher, uint32_t from,
                                 bool (*is)(const struct fathom__slot *slot)) {
    const uint32_t n = batcher->options.n_parallel;
    for (uint32_t i = 0; i < n; i++)
        if (is(&batcher->slots[(from + i) % n])) return &batcher->slots[(from + i) % n];
    return NULL;
}

/* A row of each slot that writes, from one up to a gap. */
static size_t fill_writing(fathom__batcher *batcher, const struct fathom__slot *first) {
    uint32_t at = (uint32_t)(first - batcher->slots);
    size_t n_rows = 0;
    for (; at < batcher->options.n_parallel && writes(&batcher->slots[at]); at++)
        put_rows(batcher, &n_rows, &batcher->slots[at], 1);
    const struct fathom__slot *next = find(batcher, at, writes);
    batcher->all_wrote = !next || next < &batcher->slots[at];
    batcher->next_writer = batcher->all_wrote ? 0 : at;
    return n_rows;
}

static size_t fill_reading(fathom__batcher *batcher, struct fathom__slot *slot, size_t most) {
    size_t n_rows = 0;
    put_rows(batcher, &n_rows, slot, pending(slot) < most ? pending(slot) : most);
    batcher->next_reader = (uint32_t)(slot - batcher->slots) + 1;
    batcher->all_wrote = false;
    return n_rows;
}

/* Jobs that write and pieces of prompts take turns. A job that ran in a failed decode runs alone until it has caught up:
 * what it does to itself then meets no other. */
static size_t fill_batch(fathom__batcher *batcher) {
    struct fathom__slot *suspect = find_suspect(batcher), *reader = find(batcher, batcher->next_reader, reads);
    const struct fathom__slot *writer = find(batcher, batcher->next_writer, writes);
    const size_t n_batch = batcher->options.n_batch;
    if (suspect) return fill_reading(batcher, suspect, n_batch);
    if (reader && (!writer || batcher->all_wrote))
        return fill_reading(batcher, reader, writer && n_batch > PROMPT_ROWS_BESIDE ? PROMPT_ROWS_BESIDE : n_batch);
    return writer ? fill_writing(batcher, writer) : 0;
}

static double log_sum_exp(const float *logits, size_t n) {
    double sum = 0.0;
    float highest = logits[0];
    for (size_t i = 1; i < n; i++)
        if (logits[i] > highest) highest = logits[i];
    for (size_t i = 0; i < n; i++)
        sum += exp((double)(logits[i] - highest));
    return (double)highest + log(sum);
}

static void likeliest(struct fathom__candidate_token *out, size_t most, const float *logits, size_t n, double sum) {
    size_t kept = 0;
    for (size_t i = 0; i < n && most > 0; i++) {
        if (kept == most && logits[i] <= out[most - 1].log_probability) continue;
        size_t at = kept < most ? kept++ : most - 1;
        for (; at > 0 && out[at - 1].log_probability < logits[i]; at--)
            out[at] = out[at - 1];
        out[at] = (struct fathom__candidate_token){(int32_t)i, logits[i]};
    }
    for (size_t i = 0; i < kept; i++)
        out[i].log_probability = (float)((double)out[i].log_probability - sum);
}

/* The next token of an answer. */
struct drawn {
    int32_t token;
    bool end;
    double log_probability;
    struct fathom__candidate_token top[FATHOM__MOST_TOP];
    const char *bytes;
    size_t n_bytes;
};

static int draw(struct drawn *out, const fathom__batcher *batcher, struct fathom__slot *slot, size_t row) {
    const struct fathom__job_request *request = &slot->job->request;
    const size_t n_vocab = fathom_model_describe(batcher->model)->n_vocab;
    const float *logits = fathom_session_logits(batcher->session, row);
    if (!logits) return fathom__fail(FATHOM_ERROR_ENGINE, "the last row of a text has no logits");
    int status = fathom__sampler_next(&out->token, slot->sampler, logits);
    if (status) return status;
    out->end = fathom_token_is_end(batcher->model, out->token);
    if (request->log_probabilities) {
        const double sum = log_sum_exp(logits, n_vocab);
        out->log_probability = (double)logits[out->token] - sum;
        likeliest(out->top, request->n_top, logits, n_vocab, sum);
    }
    return fathom_token_bytes(&out->bytes, &out->n_bytes, batcher->model, out->token);
}

/* Under the lock. */
static int keep(struct fathom__slot *slot, const struct drawn *drawn) {
    fathom__job *job = slot->job;
    const struct fathom__job_request *request = &job->request;
    bool stopped = false;
    if (drawn->end) {
        slot->ending = FATHOM__FINISH_END;
        return FATHOM_OK;
    }
    const size_t begin = job->text.bytes.length;
    const int status = fathom__job_text_add(&stopped, &job->text, drawn->bytes, drawn->n_bytes);
    if (status) return status;
    if (request->n_top)
        memcpy(job->top + job->n_tokens * request->n_top, drawn->top, request->n_top * sizeof *job->top);
    job->tokens[job->n_tokens++] =
        (struct fathom__job_token){drawn->token, drawn->log_probability, begin, job->text.bytes.length};
    slot->tokens[slot->n++] = drawn->token;
    if (stopped)
        slot->ending = FATHOM__FINISH_END;
    else if (job->n_tokens == request->max_new)
        slot->ending = FATHOM__FINISH_LENGTH;
    return FATHOM_OK;
}

/* Under the lock: tells what is known by now, and ends what has nothing more to do. */
static void settle(fathom__batcher *batcher, struct fathom__slot *slot) {
    fathom__job *job = slot->job;
    const bool levels = fathom__job_has_levels(job);
    const size_t n_fed = slot->fed > slot->n_prompt ? slot->fed - slot->n_prompt : 0;
    job->n_ready = levels ? n_fed : job->n_tokens;
    if (slot->fed == slot->n && slot->suspect) slot->suspect = false;
    if (job->request.max_new == 0 && slot->fed == slot->n)
        fathom__slot_end(batcher, slot, FATHOM__FINISH_READ, FATHOM_OK);
    else if (slot->ending != FATHOM__FINISH_NONE && (!levels || slot->fed == slot->n))
        fathom__slot_end(batcher, slot, slot->ending, FATHOM_OK);
    else
        pthread_cond_signal(&job->changed);
}

/* A decode failed: every sequence in it was forgotten. A job that ran alone is at fault; several are tried one by one. */
static void after_failure(fathom__batcher *batcher, size_t n_rows, int status) {
    const int32_t first = batcher->rows[0].sequence;
    bool alone = true;
    for (size_t i = 1; i < n_rows; i++)
        alone = alone && batcher->rows[i].sequence == first;
    pthread_mutex_lock(&batcher->lock);
    if (alone) {
        fathom__slot_forget(batcher, &batcher->slots[first]);
        fathom__slot_end(batcher, &batcher->slots[first], FATHOM__FINISH_FAILED, status);
    }
    for (size_t i = 0; i < n_rows && !alone; i++) {
        struct fathom__slot *slot = &batcher->slots[batcher->rows[i].sequence];
        slot->suspect = true;
        slot->fed = 0;
        /* Its levels are written once more, which no one may read meanwhile. */
        if (fathom__job_has_levels(slot->job)) slot->job->n_ready = 0;
    }
    if (status == FATHOM_ERROR_NUMERIC) /* which forgets them all */
        for (uint32_t i = 0; i < batcher->options.n_parallel; i++)
            fathom__slot_forget(batcher, &batcher->slots[i]);
    pthread_mutex_unlock(&batcher->lock);
}

void fathom__batcher_step(fathom__batcher *batcher) {
    const size_t n_rows = fill_batch(batcher);
    if (n_rows == 0) return;
    bool any = false;
    for (size_t i = 0; i < n_rows; i++)
        any = any || batcher->rows[i].want_logits;
    /* Where no row wants logits the session may stop after the last tap, and the cache would miss the later layers. */
    const bool extra = !any;
    if (extra) batcher->rows[n_rows - 1].want_logits = true;
    int status = fathom_session_decode(batcher->session, batcher->rows, n_rows);
    if (status) {
        after_failure(batcher, n_rows, status);
        return;
    }
    struct drawn drawn = {0};
    for (size_t row = 0; row < n_rows; row++) {
        struct fathom__slot *slot = &batcher->slots[batcher->rows[row].sequence];
        const bool samples = batcher->rows[row].want_logits && !extra;
        const bool last = row + 1 == n_rows || batcher->rows[row + 1].sequence != batcher->rows[row].sequence;
        status = samples ? draw(&drawn, batcher, slot, row) : FATHOM_OK;
        if (!last) continue;
        pthread_mutex_lock(&batcher->lock);
        if (samples && !status) status = keep(slot, &drawn);
        if (samples) batcher->figures.answer_tokens++;
        slot->last_used = batcher->figures.steps;
        if (status)
            fathom__slot_end(batcher, slot, FATHOM__FINISH_FAILED, status);
        else
            settle(batcher, slot);
        pthread_mutex_unlock(&batcher->lock);
    }
    pthread_mutex_lock(&batcher->lock);
    batcher->figures.steps++;
    batcher->figures.rows += n_rows;
    pthread_mutex_unlock(&batcher->lock);
}
