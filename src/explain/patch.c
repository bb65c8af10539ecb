#include "baseline.h"
#include <base/error.h>
#include <base/memory.h>
#include <fathom/explain.h>
#include <string.h>

struct work {
    float *clean; /* [n_layers, length, d_model] */
    size_t d_model, length;
    size_t first;       /* first position where the prompts differ */
    size_t n_positions; /* patched positions a layer: first … n - 1 */
};

struct layer_tap {
    struct work *work;
    int32_t layer;
};

static int keep(const struct fathom_block *block, void *payload) {
    const struct layer_tap *tap = payload;
    struct work *work = tap->work;
    float *rows = work->clean + (size_t)tap->layer * work->length * work->d_model;
    for (size_t r = 0; r < block->n_rows; r++)
        memcpy(rows + (size_t)block->positions[r] * work->d_model, block->rows + r * block->width,
               work->d_model * sizeof *rows);
    return 0;
}

static bool put_clean(float *row, const struct fathom_block *block, size_t r, size_t variant, void *payload) {
    const struct work *work = payload;
    size_t layer = variant / work->n_positions, position = work->first + variant % work->n_positions;
    if ((size_t)block->hook.layer != layer || (size_t)block->positions[r] != position) return false;
    memcpy(row, work->clean + (layer * work->length + position) * work->d_model, work->d_model * sizeof *row);
    return true;
}

static int run_plain(double *log_probability, fathom_session *session, const struct fathom__question *question) {
    struct fathom__variants variants = {.question = *question, .n_variants = 1};
    return fathom__variants_measure(log_probability, session, &variants);
}

static int run_clean(double *log_probability, fathom_session *session, const struct fathom__question *question,
                     struct work *work, size_t n_layers) {
    struct layer_tap *taps = NULL;
    int status = fathom__alloc(&taps, n_layers, sizeof *taps);
    for (size_t l = 0; status == FATHOM_OK && l < n_layers; l++) {
        taps[l] = (struct layer_tap){work, (int32_t)l};
        status =
            fathom_session_tap(NULL, session, (struct fathom_hook){FATHOM_HOOK_RESID_POST, (int32_t)l}, keep, &taps[l]);
    }
    if (status == FATHOM_OK) status = run_plain(log_probability, session, question);
    fathom_session_unhook_all(session);
    fathom_free(taps);
    return status;
}

static int check(struct work *work, const int32_t *clean, const int32_t *corrupt, size_t n, size_t n_answer) {
    if (n == 0 || n_answer == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "patching needs a prompt and an answer of at least one token each");
    while (work->first < n && clean[work->first] == corrupt[work->first])
        work->first++;
    if (work->first == n) return fathom__fail(FATHOM_ERROR_ARGUMENT, "the clean and the corrupt prompt are the same");
    work->n_positions = n - work->first;
    return FATHOM_OK;
}

static int measure(struct fathom_patching *out, fathom_session *session, const struct fathom__question *question,
                   struct work *work, fathom_progress_fn progress, void *payload) {
    size_t n_variants = out->n_layers * work->n_positions;
    struct fathom_hook *hooks = NULL;
    double *log_probabilities = NULL;
    int status = fathom__alloc(&hooks, out->n_layers, sizeof *hooks);
    if (status == FATHOM_OK) status = fathom__alloc(&log_probabilities, n_variants, sizeof *log_probabilities);
    if (status == FATHOM_OK)
        status = fathom__alloc(&out->recovered, out->n_layers * out->n_positions, sizeof *out->recovered);
    if (status != FATHOM_OK) goto done;
    for (size_t l = 0; l < out->n_layers; l++)
        hooks[l] = (struct fathom_hook){FATHOM_HOOK_RESID_POST, (int32_t)l};
    struct fathom__variants variants = {
        .question = *question,
        .hooks = hooks,
        .n_hooks = out->n_layers,
        .change = put_clean,
        .payload = work,
        .n_variants = n_variants,
        .stage = "patching",
        .progress = progress,
        .progress_payload = payload,
    };
    status = fathom__variants_measure(log_probabilities, session, &variants);
    if (status != FATHOM_OK) goto done;
    for (size_t v = 0; v < n_variants; v++) {
        size_t cell = v / work->n_positions * out->n_positions + work->first + v % work->n_positions;
        out->recovered[cell] = (log_probabilities[v] - out->corrupt) / (out->clean - out->corrupt);
    }
done:
    fathom_free(hooks);
    fathom_free(log_probabilities);
    return status;
}

int fathom_patch(struct fathom_patching *out, const fathom_model *model, const int32_t *clean, const int32_t *corrupt,
                 size_t n, const int32_t *answer, size_t n_answer, uint32_t n_threads, fathom_progress_fn progress,
                 void *payload) {
    const struct fathom_model_info *info = fathom_model_describe(model);
    struct work work = {.d_model = info->d_model, .length = n + n_answer - 1};
    struct fathom_patching patching = {.n_layers = info->n_layers, .n_positions = n};
    fathom_session *session = NULL;
    int32_t *tokens[2] = {NULL, NULL};
    const int32_t *prompts[2] = {clean, corrupt};
    struct fathom__question questions[2];
    int status = check(&work, clean, corrupt, n, n_answer);
    for (int i = 0; status == FATHOM_OK && i < 2; i++) {
        status = fathom__alloc(&tokens[i], n + n_answer, sizeof *tokens[i]);
        if (status != FATHOM_OK) break;
        memcpy(tokens[i], prompts[i], n * sizeof *clean);
        memcpy(tokens[i] + n, answer, n_answer * sizeof *answer);
        questions[i] = (struct fathom__question){tokens[i], n, n_answer};
    }
    if (status == FATHOM_OK)
        status = fathom__alloc(&work.clean, patching.n_layers * work.length * work.d_model, sizeof(float));
    if (status == FATHOM_OK) status = fathom__variants_session(&session, model, &questions[0], n_threads);
    if (status == FATHOM_OK) status = run_clean(&patching.clean, session, &questions[0], &work, patching.n_layers);
    if (status == FATHOM_OK) status = run_plain(&patching.corrupt, session, &questions[1]);
    if (status == FATHOM_OK && !(patching.clean > patching.corrupt))
        status =
            fathom__fail(FATHOM_ERROR_ARGUMENT,
                         "the answer is not likelier after the clean prompt (%.3f nats) than after the corrupt one "
                         "(%.3f): there is nothing to recover",
                         patching.clean, patching.corrupt);
    if (status == FATHOM_OK) status = measure(&patching, session, &questions[1], &work, progress, payload);
    if (status == FATHOM_OK)
        *out = patching;
    else
        fathom_free(patching.recovered);
    fathom_session_close(session);
    fathom_free(work.clean);
    fathom_free(tokens[0]);
    fathom_free(tokens[1]);
    return status;
}
