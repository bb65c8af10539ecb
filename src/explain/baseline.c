#include "baseline.h"
#include <base/error.h>
#include <base/memory.h>
#include <string.h>

/* A tap that copies rows: all of them, or the one at a position. */
struct capture {
    float *out;
    int32_t only; /* -1: all */
};

static int copy_rows(const struct fathom_block *block, void *payload) {
    const struct capture *capture = payload;
    for (size_t r = 0; r < block->n_rows; r++) {
        const float *row = block->rows + r * block->width;
        if (capture->only < 0)
            memcpy(capture->out + (size_t)block->positions[r] * block->width, row, block->width * sizeof *row);
        else if (block->positions[r] == capture->only)
            memcpy(capture->out, row, block->width * sizeof *row);
    }
    return 0;
}

static int allocate(struct fathom__baseline *baseline, bool with_dictionary) {
    size_t per_layer = baseline->n_layers * baseline->d_model;
    int status = fathom__alloc(&baseline->embedding, baseline->length * baseline->d_model, sizeof(float));
    if (status == FATHOM_OK) status = fathom__alloc(&baseline->residual, per_layer, sizeof(float));
    if (status == FATHOM_OK) status = fathom__alloc(&baseline->attention, per_layer, sizeof(float));
    if (status == FATHOM_OK) status = fathom__alloc(&baseline->mlp, per_layer, sizeof(float));
    if (status != FATHOM_OK || !with_dictionary) return status;
    status = fathom__alloc(&baseline->rows, baseline->length * baseline->width, sizeof(float));
    if (status == FATHOM_OK)
        status = fathom__alloc(&baseline->reconstruction, baseline->length * baseline->width, sizeof(float));
    if (status == FATHOM_OK) status = fathom__alloc(&baseline->covered, baseline->length, sizeof(bool));
    if (status == FATHOM_OK) status = fathom__alloc(&baseline->positions, baseline->length, sizeof(int32_t));
    return status;
}

static int tap_layers(fathom_session *session, struct capture *captures, const struct fathom__baseline *baseline,
                      int32_t last) {
    static const enum fathom_hook_kind kinds[] = {FATHOM_HOOK_RESID_POST, FATHOM_HOOK_ATTN_OUT, FATHOM_HOOK_MLP_OUT};
    float *const outs[] = {baseline->residual, baseline->attention, baseline->mlp};
    int status = FATHOM_OK;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (size_t l = 0; status == FATHOM_OK && l < baseline->n_layers; l++) {
            struct capture *capture = &captures[k * baseline->n_layers + l];
            *capture = (struct capture){outs[k] + l * baseline->d_model, last};
            status = fathom_session_tap(NULL, session, (struct fathom_hook){kinds[k], (int32_t)l}, copy_rows, capture);
        }
    return status;
}

static int decode(struct fathom__baseline *baseline, fathom_session *session, const struct fathom__question *question) {
    struct fathom_row *rows = NULL;
    int status = fathom__alloc(&rows, baseline->length, sizeof *rows);
    for (size_t i = 0; status == FATHOM_OK && i < baseline->length; i++)
        rows[i] = (struct fathom_row){question->tokens[i], (int32_t)i, 0, i + 1 >= question->n_prompt};
    fathom_session_forget(session, -1, 0);
    if (status == FATHOM_OK) status = fathom_session_decode(session, rows, baseline->length);
    if (status == FATHOM_OK)
        status = fathom__continuation_probability(&baseline->log_probability, &baseline->first_probability,
                                                  &baseline->first_rank, session, question, 0);
    fathom_free(rows);
    return status;
}

static int encode(struct fathom__baseline *baseline, const fathom_dictionary *dictionary) {
    for (size_t i = 0; i < baseline->length; i++) {
        baseline->positions[i] = (int32_t)i;
        baseline->covered[i] = fathom_dictionary_covers(dictionary, baseline->rows + i * baseline->width, (int32_t)i);
    }
    int status = fathom_dictionary_encode(&baseline->features, dictionary, baseline->rows, baseline->positions,
                                          baseline->length, FATHOM_ENCODE_RUN);
    if (status == FATHOM_OK)
        status =
            fathom_dictionary_reconstruct(baseline->reconstruction, dictionary, &baseline->features, baseline->rows);
    return status;
}

int fathom__baseline_run(struct fathom__baseline *out, fathom_session *session, const fathom_dictionary *dictionary,
                         const struct fathom__question *question) {
    const struct fathom_model_info *info = fathom_model_describe(fathom_session_model(session));
    enum { TAPPED_KINDS = 3 };
    struct capture *captures = NULL;
    int status;
    *out = (struct fathom__baseline){
        .d_model = info->d_model, .n_layers = info->n_layers, .length = fathom__question_length(question)};
    if (dictionary != NULL) {
        status = fathom_dictionary_match(&out->hook, dictionary, fathom_session_model(session));
        if (status != FATHOM_OK) return status;
        out->width = fathom_dictionary_describe(dictionary)->d_in;
        if (fathom_dictionary_describe(dictionary)->d_out != out->width)
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: reads %u numbers and writes %u: only a dictionary that reads and writes at one "
                                "hook point can be taken away from",
                                fathom_dictionary_describe(dictionary)->path, (unsigned)out->width,
                                fathom_dictionary_describe(dictionary)->d_out);
    }
    status = allocate(out, dictionary != NULL);
    if (status == FATHOM_OK) status = fathom__alloc(&captures, TAPPED_KINDS * out->n_layers, sizeof *captures);
    struct capture embedding = {out->embedding, -1}, rows = {out->rows, -1};
    if (status == FATHOM_OK)
        status = fathom_session_tap(NULL, session, (struct fathom_hook){FATHOM_HOOK_EMBED, -1}, copy_rows, &embedding);
    if (status == FATHOM_OK && dictionary != NULL)
        status = fathom_session_tap(NULL, session, out->hook, copy_rows, &rows);
    if (status == FATHOM_OK) status = tap_layers(session, captures, out, (int32_t)question->n_prompt - 1);
    if (status == FATHOM_OK) status = decode(out, session, question);
    fathom_session_unhook_all(session);
    if (status == FATHOM_OK && dictionary != NULL) status = encode(out, dictionary);
    fathom_free(captures);
    return status;
}

void fathom__baseline_free(struct fathom__baseline *baseline) {
    fathom_free(baseline->embedding);
    fathom_free(baseline->residual);
    fathom_free(baseline->attention);
    fathom_free(baseline->mlp);
    fathom_free(baseline->rows);
    fathom_free(baseline->reconstruction);
    fathom_free(baseline->covered);
    fathom_free(baseline->positions);
    fathom_sparse_free(&baseline->features);
    memset(baseline, 0, sizeof *baseline);
}
