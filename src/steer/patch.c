/* What a patch takes of another text: its rows, or the levels in them, read in one plain run. */
#include "base/error.h"
#include "base/memory.h"
#include "detect/levels.h"
#include "detect/read.h"
#include "steer/plan.h"
#include <math.h>
#include <string.h>

static int take_features(struct fathom__edit *edit, const struct fathom_block *block) {
    uint32_t feature = edit->feature;
    struct fathom__watch_group group = {
        .hook = edit->hook, .width = edit->width, .dictionary = edit->dictionary, .n = 1, .features = &feature};
    int status = fathom__group_levels(&group, block->rows, block->positions, block->n_rows);
    for (size_t r = 0; r < block->n_rows && status == FATHOM_OK; r++) {
        edit->targets[r] = group.values[r];
        edit->known[r] =
            fathom_dictionary_covers(edit->dictionary, block->rows + r * block->width, block->positions[r]);
    }
    group.features = NULL;
    fathom__group_free(&group);
    return status;
}

static int on_block(const struct fathom_block *block, void *payload) {
    struct fathom__edit *edit = payload;
    if (edit->what == FATHOM_STEER_FEATURE) {
        return take_features(edit, block);
    }
    if (edit->what == FATHOM_STEER_ROW) {
        memcpy(edit->targets, block->rows, block->n_rows * block->width * sizeof *edit->targets);
        memset(edit->known, true, block->n_rows * sizeof *edit->known);
        return FATHOM_OK;
    }
    for (size_t r = 0; r < block->n_rows; r++) {
        const float *row = block->rows + r * block->width;
        double sum = 0;
        for (size_t i = 0; i < edit->width; i++) {
            sum += (double)row[i] * (double)edit->vector[i];
        }
        edit->targets[r] = (float)(sum * (double)edit->inverse) + edit->bias;
        edit->known[r] = (block->positions[r] > 0 || edit->sinks) &&
                         (isinf(edit->max_norm) || fathom__norm(row, edit->width) <= (double)edit->max_norm);
    }
    return FATHOM_OK;
}

static int allocate(struct fathom__edit *edit, size_t n) {
    size_t width = edit->what == FATHOM_STEER_ROW ? edit->width : 1;
    int status = fathom__alloc(&edit->targets, n * width, sizeof *edit->targets);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&edit->known, n, sizeof *edit->known);
    }
    edit->n_targets = n;
    return status;
}

int fathom__patch_read(fathom_steer *plan, size_t first, const int32_t *tokens, size_t n) {
    fathom_session *session = NULL;
    if (n > INT32_MAX / 2) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a patch from a text of %zu tokens", n);
    }
    struct fathom_session_options options = {
        .n_context = (uint32_t)n, .n_batch = (uint32_t)n, .n_threads = fathom__session_threads(plan->model)};
    int status = fathom_session_open(&session, plan->model, &options);
    for (size_t e = first; e < plan->n && status == FATHOM_OK; e++) {
        status = allocate(&plan->edits[e], n);
        if (status == FATHOM_OK) {
            status = fathom_session_tap(NULL, session, plan->edits[e].hook, on_block, &plan->edits[e]);
        }
    }
    if (status == FATHOM_OK) {
        status = fathom_session_feed(session, tokens, n, 0, 0, false);
    }
    if (session != NULL) {
        fathom_session_close(session);
    }
    return status == FATHOM_OK ? status : fathom__wrap(status, "the text to patch from");
}
