/* What a job does inside the model while it runs in a slot. */
#include "base/error.h"
#include "base/memory.h"
#include "server/batcher_internal.h"
#include <math.h>
#include <string.h>

bool fathom__job_has_levels(const fathom__job *job) {
    return job->request.n_watches > 0 || job->request.n_features > 0;
}

/* Whether a position of the text is one that levels are kept of. */
static bool kept(const fathom__job *job, int32_t position) {
    return position >= 0 && (size_t)position < job->request.n + job->request.max_new &&
           (job->request.whole_prompt || (size_t)position >= job->request.n);
}

static int on_level(const struct fathom_live_level *level, void *payload) {
    struct fathom__slot *slot = payload;
    fathom__job *job = slot->job;
    if (kept(job, level->position))
        job->levels[(size_t)level->position * job->request.n_watches + level->watch] = (float)level->level;
    return 0;
}

/* The strongest features of a row, strongest first. */
static void keep_strongest(struct fathom__feature_level *out, size_t most, const struct fathom_sparse *sparse,
                           size_t row) {
    size_t n = 0;
    memset(out, 0, most * sizeof *out);
    for (size_t i = sparse->offsets[row]; i < sparse->offsets[row + 1]; i++) {
        size_t at = n < most ? n++ : most;
        for (; at > 0 && out[at - 1].value < sparse->values[i]; at--)
            if (at < most) out[at] = out[at - 1];
        if (at < most) out[at] = (struct fathom__feature_level){sparse->features[i], sparse->values[i]};
    }
}

static int on_features(const struct fathom_block *block, void *payload) {
    struct fathom__slot *slot = payload;
    fathom__job *job = slot->job;
    const size_t most = job->request.n_features;
    size_t first = 0;
    while (first < block->n_rows && !kept(job, block->positions[first]))
        first++;
    if (first == block->n_rows) return FATHOM_OK;
    const int status =
        fathom_dictionary_encode(&slot->sparse, job->request.dictionary, block->rows + first * block->width,
                                 block->positions + first, block->n_rows - first, FATHOM_ENCODE_RUN);
    for (size_t r = first; r < block->n_rows && !status; r++)
        keep_strongest(job->features + (size_t)block->positions[r] * most, most, &slot->sparse, r - first);
    return status;
}

static int on_rows(const struct fathom_block *block, void *payload) {
    struct fathom__slot *slot = payload;
    fathom__job *job = slot->job;
    const size_t width = job->request.width;
    if (block->width != width)
        return fathom__fail(FATHOM_ERROR_ENGINE, "rows of %zu numbers, where %zu were expected", block->width, width);
    for (size_t r = 0; r < block->n_rows; r++)
        if ((size_t)block->positions[r] < job->request.n)
            memcpy(job->rows + (size_t)block->positions[r] * width, block->rows + r * width, width * sizeof(float));
    return FATHOM_OK;
}

static int attach_monitor(fathom__batcher *batcher, struct fathom__slot *slot) {
    const struct fathom__job_request *request = &slot->job->request;
    if (request->n_watches == 0) return FATHOM_OK;
    int status = fathom_monitor_open(&slot->monitor, batcher->model);
    for (size_t i = 0; i < request->n_watches && !status; i++)
        status = fathom_monitor_add(slot->monitor, &request->watches[i]);
    if (!status) status = fathom_monitor_attach(slot->monitor, batcher->session, on_level, slot);
    return status;
}

static int attach_taps(fathom__batcher *batcher, struct fathom__slot *slot) {
    const struct fathom__job_request *request = &slot->job->request;
    struct fathom_hook hook;
    int status = FATHOM_OK;
    if (request->n_features > 0) {
        status = fathom_dictionary_match(&hook, request->dictionary, batcher->model);
        if (!status) status = fathom_session_tap(&slot->taps[slot->n_taps], batcher->session, hook, on_features, slot);
        slot->n_taps += status == FATHOM_OK;
    }
    if (!status && request->keeps_rows) {
        status = fathom_session_tap(&slot->taps[slot->n_taps], batcher->session, request->hook, on_rows, slot);
        slot->n_taps += status == FATHOM_OK;
    }
    return status;
}

int fathom__slot_attach(fathom__batcher *batcher, struct fathom__slot *slot) {
    const struct fathom__job_request *request = &slot->job->request;
    const int32_t sequence = (int32_t)(slot - batcher->slots);
    int status = fathom_session_scope(batcher->session, sequence);
    if (!status && request->plan) status = fathom_steer_attach(&slot->steering, batcher->session, request->plan);
    if (!status && request->plan) status = fathom_steering_prompt(slot->steering, sequence, (int32_t)request->n);
    if (!status) status = attach_monitor(batcher, slot);
    if (!status) status = attach_taps(batcher, slot);
    (void)fathom_session_scope(batcher->session, -1);
    return status;
}

void fathom__slot_detach(fathom__batcher *batcher, struct fathom__slot *slot) {
    while (slot->n_taps > 0)
        fathom_session_unhook(batcher->session, slot->taps[--slot->n_taps]);
    if (slot->monitor) {
        fathom_monitor_detach(slot->monitor);
        fathom_monitor_close(slot->monitor);
        slot->monitor = NULL;
    }
    /* Without them what the job leaves in the cache is of no use to a plan that looks back. */
    if (slot->steering && slot->footprint.looks_back &&
        fathom__levels_keep(&slot->levels, slot->steering, (int32_t)(slot - batcher->slots)) != FATHOM_OK)
        fathom__slot_forget(batcher, slot);
    fathom_steer_detach(slot->steering);
    slot->steering = NULL;
    fathom__sampler_close(slot->sampler);
    slot->sampler = NULL;
}
