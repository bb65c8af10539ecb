#include <base/error.h>
#include <base/memory.h>
#include <dictionary/train_stream.h>
#include <fathom/model.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int fathom__rows_open(struct fathom__rows *stream, size_t d, size_t held_out, size_t pool, uint64_t seed) {
    *stream = (struct fathom__rows){
        .d = d, .d_norm = d, .held_out_wanted = held_out, .pool_capacity = pool, .max_norm = INFINITY};
    fathom__random_seed(&stream->random, seed);
    return fathom__alloc_aligned(&stream->pool, pool * d, sizeof *stream->pool);
}

void fathom__rows_close(struct fathom__rows *stream) {
    fathom_free(stream->held_out);
    fathom_free(stream->pool);
    *stream = (struct fathom__rows){0};
}

static float norm(const float *row, size_t d) {
    double squares = 0;
    for (size_t j = 0; j < d; j++)
        squares += (double)row[j] * row[j];
    return (float)sqrt(squares);
}

static int by_size(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The held-out rows are all there: their median norm sets the limit, for them and for all that follow. */
int fathom__rows_settle(struct fathom__rows *stream) {
    float *norms = NULL;
    stream->held_out_complete = true;
    if (stream->n_held_out == 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "the corpus gave no row that can be trained on");
    if (!(stream->norm_multiple > 0)) return 0;
    int status = fathom__alloc(&norms, stream->n_held_out, sizeof *norms);
    if (status) return status;
    for (size_t r = 0; r < stream->n_held_out; r++)
        norms[r] = norm(stream->held_out + r * stream->d, stream->d_norm);
    qsort(norms, stream->n_held_out, sizeof *norms, by_size);
    stream->max_norm = (float)(stream->norm_multiple * norms[stream->n_held_out / 2]);
    size_t kept = 0;
    for (size_t r = 0; r < stream->n_held_out; r++) {
        const float *row = stream->held_out + r * stream->d;
        if (norm(row, stream->d_norm) > stream->max_norm) {
            stream->skipped_norms++;
            continue;
        }
        memmove(stream->held_out + kept++ * stream->d, row, stream->d * sizeof *row);
    }
    stream->n_held_out = kept;
    fathom_free(norms);
    return 0;
}

static int hold_out(struct fathom__rows *stream, const float *row, uint64_t document) {
    size_t floats = stream->held_out_capacity * stream->d;
    int status =
        fathom__grow(&stream->held_out, &floats, (stream->n_held_out + 1) * stream->d, sizeof *stream->held_out);
    if (status) return status;
    stream->held_out_capacity = floats / stream->d;
    memcpy(stream->held_out + stream->n_held_out++ * stream->d, row, stream->d * sizeof *row);
    stream->last_held_out = document;
    return 0;
}

int fathom__rows_offer(struct fathom__rows *stream, const float *row, int32_t position, uint64_t document) {
    if ((uint32_t)position < stream->skip_positions) {
        stream->skipped_positions++;
        return 0;
    }
    if (!stream->held_out_complete) {
        if (stream->n_held_out < stream->held_out_wanted) return hold_out(stream, row, document);
        int status = fathom__rows_settle(stream);
        if (status) return status;
    }
    /* The rest of the last held-out document is neither trained on nor evaluated. */
    if (document == stream->last_held_out) return 0;
    if (norm(row, stream->d_norm) > stream->max_norm) {
        stream->skipped_norms++;
        return 0;
    }
    memcpy(stream->pool + stream->n_pool++ * stream->d, row, stream->d * sizeof *row);
    return 0;
}

bool fathom__rows_full(const struct fathom__rows *stream) {
    return stream->n_pool == stream->pool_capacity;
}

void fathom__rows_draw(float *out, struct fathom__rows *stream, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const size_t chosen = fathom__random_below(&stream->random, stream->n_pool);
        float *row = stream->pool + chosen * stream->d;
        memcpy(out + i * stream->d, row, stream->d * sizeof *row);
        stream->n_pool--;
        if (chosen != stream->n_pool) memcpy(row, stream->pool + stream->n_pool * stream->d, stream->d * sizeof *row);
    }
}
