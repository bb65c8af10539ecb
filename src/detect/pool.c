#include "detect/pool.h"
#include "base/error.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>

enum { NORM_TEXTS = 64 };

size_t fathom__hook_width(const fathom_model *model, struct fathom_hook hook) {
    uint32_t heads = 0;
    uint32_t width = 0;
    return fathom_hook_exists(&heads, &width, model, hook) ? (size_t)heads * width : 0;
}

static int fail_row(const struct fathom__piece *piece, size_t row) {
    return fathom__fail(FATHOM_ERROR_NUMERIC, "text %zu, token %zu: its activations are not finite", piece->text + 1,
                        piece->first + row + 1);
}

struct norms {
    float **values; /* [hooks] */
    size_t *n, *capacity;
    size_t n_hooks;
};

static int collect_norms(const struct fathom__piece *piece, void *payload) {
    struct norms *norms = payload;
    int status = FATHOM_OK;
    for (size_t h = 0; h < norms->n_hooks; h++) {
        status = fathom__grow(&norms->values[h], &norms->capacity[h], norms->n[h] + piece->n_tokens, sizeof(float));
        if (status != FATHOM_OK) {
            return status;
        }
        for (size_t r = 0; r < piece->n_tokens; r++) {
            double norm = fathom__norm(piece->rows[h] + r * piece->widths[h], piece->widths[h]);
            if (!isfinite(norm)) {
                return fail_row(piece, r);
            }
            if (piece->positions[r] > 0) {
                norms->values[h][norms->n[h]++] = (float)norm;
            }
        }
    }
    return FATHOM_OK;
}

int fathom__median_norms(float *out, const fathom_model *model, const struct fathom_texts *texts,
                         const struct fathom_hook *hooks, size_t n_hooks) {
    struct norms norms = {.n_hooks = n_hooks};
    char *sample[NORM_TEXTS];
    struct fathom_texts some = {.n = texts->n < NORM_TEXTS ? texts->n : NORM_TEXTS, .texts = sample};
    int status = fathom__alloc(&norms.values, n_hooks, sizeof *norms.values);
    for (size_t i = 0; i < some.n; i++) {
        sample[i] = texts->texts[i * texts->n / some.n];
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&norms.n, n_hooks, sizeof *norms.n);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&norms.capacity, n_hooks, sizeof *norms.capacity);
    }
    if (status == FATHOM_OK) {
        status = fathom__read_texts(model, &some, hooks, n_hooks, collect_norms, &norms);
    }
    for (size_t h = 0; h < n_hooks && status == FATHOM_OK; h++) {
        if (norms.n[h] == 0) {
            status = fathom__fail(FATHOM_ERROR_ARGUMENT, "no text has a second token to measure norms on");
        } else {
            out[h] = fathom__median(norms.values[h], norms.n[h]);
        }
    }
    for (size_t h = 0; h < n_hooks && norms.values != NULL; h++) {
        fathom_free(norms.values[h]);
    }
    fathom_free(norms.values);
    fathom_free(norms.n);
    fathom_free(norms.capacity);
    return status;
}

struct pooling {
    float *const *out;
    bool *read;
    const float *max_norms;
    size_t n_hooks;
    enum fathom_pool pool;
    double *sums;   /* the present text's, all hooks one after another */
    size_t *counts; /* [hooks] */
    size_t *starts; /* [hooks + 1]: of each hook in sums */
};

static void finish_text(struct pooling *pooling, size_t text) {
    for (size_t h = 0; h < pooling->n_hooks; h++) {
        size_t width = pooling->starts[h + 1] - pooling->starts[h];
        double *sum = pooling->sums + pooling->starts[h];
        size_t count = pooling->counts[h];
        for (size_t i = 0; i < width; i++) {
            pooling->out[h][text * width + i] = count > 0 ? (float)(sum[i] / (double)count) : 0.0f;
            sum[i] = 0;
        }
        pooling->read[text * pooling->n_hooks + h] = count > 0;
        pooling->counts[h] = 0;
    }
}

static int pool_piece(const struct fathom__piece *piece, void *payload) {
    struct pooling *pooling = payload;
    for (size_t h = 0; h < pooling->n_hooks; h++) {
        double *sum = pooling->sums + pooling->starts[h];
        size_t width = piece->widths[h];
        for (size_t r = 0; r < piece->n_tokens; r++) {
            const float *row = piece->rows[h] + r * width;
            double norm = fathom__norm(row, width);
            if (!isfinite(norm)) {
                return fail_row(piece, r);
            }
            if (piece->positions[r] == 0 || norm > pooling->max_norms[h]) {
                continue;
            }
            if (pooling->pool == FATHOM_POOL_LAST) {
                memset(sum, 0, width * sizeof *sum);
                pooling->counts[h] = 0;
            }
            for (size_t i = 0; i < width; i++) {
                sum[i] += row[i];
            }
            pooling->counts[h]++;
        }
    }
    if (piece->last) {
        finish_text(pooling, piece->text);
    }
    return FATHOM_OK;
}

int fathom__pool_tokens(float *const *out, bool *read, const fathom_model *model, const struct fathom__tokens *texts,
                        const struct fathom_hook *hooks, size_t n_hooks, const float *max_norms,
                        enum fathom_pool pool) {
    struct pooling pooling = {.out = out, .read = read, .max_norms = max_norms, .n_hooks = n_hooks, .pool = pool};
    int status = fathom__alloc(&pooling.starts, n_hooks + 1, sizeof *pooling.starts);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&pooling.counts, n_hooks, sizeof *pooling.counts);
    }
    for (size_t h = 0; h < n_hooks && status == FATHOM_OK; h++) {
        pooling.starts[h + 1] = pooling.starts[h] + fathom__hook_width(model, hooks[h]);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&pooling.sums, pooling.starts[n_hooks], sizeof *pooling.sums);
    }
    if (status == FATHOM_OK) {
        status = fathom__read_tokens(model, texts, hooks, n_hooks, pool_piece, &pooling);
    }
    fathom_free(pooling.sums);
    fathom_free(pooling.counts);
    fathom_free(pooling.starts);
    return status;
}

int fathom__pool_texts(float *const *out, bool *read, const fathom_model *model, const struct fathom_texts *texts,
                       const struct fathom_hook *hooks, size_t n_hooks, const float *max_norms, enum fathom_pool pool) {
    struct fathom__tokens tokens = {0};
    int status = fathom__tokens_of_texts(&tokens, model, texts);
    if (status == FATHOM_OK) {
        status = fathom__pool_tokens(out, read, model, &tokens, hooks, n_hooks, max_norms, pool);
    }
    fathom__tokens_free(&tokens);
    return status;
}
