#include "catalogue/extremes.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "dictionary/product.h"
#include "dictionary/vector.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* bf16 products may swap neighbours in rank: more candidates than are wanted are kept until they are computed again. */
enum { CANDIDATES = FATHOM__EXTREMES_MOST + 8, MESSAGE_SIZE = 256 };
static const double PROGRESS_SECONDS = 0.3;

struct candidates {
    struct fathom__extreme items[CANDIDATES]; /* the first `n`, in no order */
    uint32_t n;
    size_t weakest;
};

struct work {
    const struct fathom__extremes_task *task;
    struct fathom__extreme *largest, *smallest;
    fathom__dense *product; /* one tile for each worker */
    size_t padded;
    atomic_size_t next; /* block of rows of x */
    atomic_size_t done;
    atomic_int status;
    char message[MESSAGE_SIZE];
    double started, reported;
};

/* A worker's own memory. */
struct own {
    uint16_t *x; /* bf16 [FATHOM__TILE_ROWS, padded] */
    float *tile; /* [FATHOM__TILE_FEATURES, padded] */
    float *out;  /* [FATHOM__TILE_ROWS, FATHOM__TILE_FEATURES] */
    const float **rows;
    struct candidates *high, *low; /* [FATHOM__TILE_ROWS] */
};

static void offer(struct candidates *candidates, uint32_t index, float value) {
    if (candidates->n < CANDIDATES) {
        candidates->items[candidates->n++] = (struct fathom__extreme){index, value};
    } else {
        if (value <= candidates->items[candidates->weakest].value) return;
        candidates->items[candidates->weakest] = (struct fathom__extreme){index, value};
    }
    candidates->weakest = 0;
    for (uint32_t i = 1; i < candidates->n; i++)
        if (candidates->items[i].value < candidates->items[candidates->weakest].value) candidates->weakest = i;
}

static float weakest_value(const struct candidates *candidates) {
    return candidates->n < CANDIDATES ? -HUGE_VALF : candidates->items[candidates->weakest].value;
}

static int own_open(struct own *own, size_t padded) {
    int status;
    if ((status = fathom__alloc_aligned(&own->x, FATHOM__TILE_ROWS * padded, sizeof *own->x)) ||
        (status = fathom__alloc_aligned(&own->tile, FATHOM__TILE_FEATURES * padded, sizeof *own->tile)) ||
        (status = fathom__alloc_aligned(&own->out, FATHOM__TILE_ROWS * FATHOM__TILE_FEATURES, sizeof *own->out)) ||
        (status = fathom__alloc(&own->rows, FATHOM__TILE_FEATURES, sizeof *own->rows)) ||
        (status = fathom__alloc(&own->high, FATHOM__TILE_ROWS, sizeof *own->high)) ||
        (status = fathom__alloc(&own->low, FATHOM__TILE_ROWS, sizeof *own->low)))
        return status;
    memset(own->x, 0, FATHOM__TILE_ROWS * padded * sizeof *own->x);
    memset(own->tile, 0, FATHOM__TILE_FEATURES * padded * sizeof *own->tile);
    for (size_t i = 0; i < FATHOM__TILE_FEATURES; i++)
        own->rows[i] = own->tile + i * padded;
    return FATHOM_OK;
}

static void own_close(struct own *own) {
    fathom_free(own->x);
    fathom_free(own->tile);
    fathom_free(own->out);
    fathom_free(own->rows);
    fathom_free(own->high);
    fathom_free(own->low);
}

static double exact(const float *a, const float *b, size_t d) {
    double sum = 0;
    for (size_t i = 0; i < d; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* The candidates' true products, the best k in order; sign -1 for the smallest, whose candidates were offered
 * negated. */
static void settle(struct fathom__extreme *out, struct candidates *candidates, const struct work *work, size_t row,
                   float sign) {
    const struct fathom__extremes_task *task = work->task;
    size_t n = 0;
    for (size_t i = 0; i < task->k; i++)
        out[i] = (struct fathom__extreme){UINT32_MAX, 0};
    for (uint32_t i = 0; i < candidates->n; i++) {
        const uint32_t index = candidates->items[i].index;
        const float value = (float)exact(task->x + row * task->d, task->y + (size_t)index * task->d, task->d);
        size_t at = n < task->k ? n++ : task->k;
        for (; at > 0 &&
               (sign * out[at - 1].value < sign * value || (out[at - 1].value == value && out[at - 1].index > index));
             at--)
            if (at < task->k) out[at] = out[at - 1];
        if (at < task->k) out[at] = (struct fathom__extreme){index, value};
    }
}

static void take_tile(struct own *own, const struct work *work, size_t first_x, size_t n_x, size_t first_y,
                      size_t n_y) {
    for (size_t r = 0; r < n_x; r++) {
        const float *values = own->out + r * FATHOM__TILE_FEATURES;
        float high = weakest_value(&own->high[r]), low = work->smallest ? weakest_value(&own->low[r]) : HUGE_VALF;
        for (size_t i = 0; i < n_y; i++) {
            if (values[i] <= high && -values[i] <= low) continue;
            if (work->task->not_itself && first_x + r == first_y + i) continue;
            if (values[i] > high) {
                offer(&own->high[r], (uint32_t)(first_y + i), values[i]);
                high = weakest_value(&own->high[r]);
            }
            if (-values[i] > low) {
                offer(&own->low[r], (uint32_t)(first_y + i), -values[i]);
                low = weakest_value(&own->low[r]);
            }
        }
    }
}

static int run_block(struct own *own, struct work *work, uint32_t worker, size_t first_x) {
    const struct fathom__extremes_task *task = work->task;
    const size_t n_x = task->n_x - first_x < FATHOM__TILE_ROWS ? task->n_x - first_x : FATHOM__TILE_ROWS;
    for (size_t r = 0; r < n_x; r++) {
        fathom__row_to_bf16(own->x + r * work->padded, task->x + (first_x + r) * task->d, task->d);
        own->high[r].n = own->low[r].n = 0;
        own->high[r].weakest = own->low[r].weakest = 0;
    }
    for (size_t first_y = 0; first_y < task->n_y; first_y += FATHOM__TILE_FEATURES) {
        const size_t n_y = task->n_y - first_y < FATHOM__TILE_FEATURES ? task->n_y - first_y : FATHOM__TILE_FEATURES;
        int status;
        for (size_t i = 0; i < n_y; i++)
            memcpy(own->tile + i * work->padded, task->y + (first_y + i) * task->d, task->d * sizeof *own->tile);
        if ((status = fathom__dense_pack(work->product, worker, worker, own->rows, n_y)) ||
            (status = fathom__dense_run(own->out, work->product, worker, worker, 1, own->x, n_x)))
            return status;
        take_tile(own, work, first_x, n_x, first_y, n_y);
        if (atomic_load(&work->status)) return FATHOM_OK;
    }
    for (size_t r = 0; r < n_x; r++) {
        settle(work->largest + (first_x + r) * task->k, &own->high[r], work, first_x + r, 1);
        if (work->smallest) settle(work->smallest + (first_x + r) * task->k, &own->low[r], work, first_x + r, -1);
    }
    return FATHOM_OK;
}

static void fail(struct work *work, int status) {
    int none = FATHOM_OK;
    if (atomic_compare_exchange_strong(&work->status, &none, status))
        snprintf(work->message, sizeof work->message, "%s", fathom_error_message());
}

static void report(struct work *work) {
    const struct fathom__extremes_task *task = work->task;
    const double now = fathom__seconds();
    if (!task->progress || (work->reported > 0 && now - work->reported < PROGRESS_SECONDS)) return;
    work->reported = now;
    const size_t done = atomic_load(&work->done);
    const double rate = (double)done / (now - work->started + 1e-9);
    const struct fathom_progress progress = {
        task->stage, done, task->n_x, "features", rate, rate > 0 ? (double)(task->n_x - done) / rate : -1, NULL};
    const int returned = task->progress(&progress, task->payload);
    if (returned) fail(work, fathom__callback_status(returned));
}

static void run(uint32_t worker, uint32_t n_workers, void *payload) {
    struct work *work = payload;
    struct own own = {0};
    (void)n_workers;
    int status = own_open(&own, work->padded);
    while (!status && !atomic_load(&work->status)) {
        if (worker == 0) report(work);
        const size_t first = atomic_fetch_add(&work->next, 1) * FATHOM__TILE_ROWS;
        if (first >= work->task->n_x) break;
        status = run_block(&own, work, worker, first);
        atomic_fetch_add(&work->done, FATHOM__TILE_ROWS);
    }
    if (status) fail(work, status);
    own_close(&own);
}

int fathom__extremes(struct fathom__extreme *largest, struct fathom__extreme *smallest,
                     const struct fathom__extremes_task *task) {
    struct work work = {.task = task,
                        .largest = largest,
                        .smallest = smallest,
                        .padded = fathom__padded(task->d),
                        .started = fathom__seconds()};
    fathom__team *team = NULL;
    int status = fathom__team_open(&team, task->n_threads);
    if (!status)
        status = fathom__dense_open(&work.product, FATHOM__PRODUCT_HOST, work.padded,
                                    (size_t)fathom__team_size(team) * FATHOM__TILE_FEATURES, fathom__team_size(team));
    if (!status) {
        fathom__team_run(team, run, &work);
        status = atomic_load(&work.status);
        if (status) status = fathom__fail(status, "%s", work.message);
    }
    fathom__dense_close(work.product);
    fathom__team_close(team);
    return status;
}
