#include "server/embedding.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include <math.h>

enum { EPOCHS = 300, REPULSIONS = 12, HALVINGS = 48 };
#define WIDTH 20.0f
/* 1 / (1 + A d^2B) is the curve that the method fits to a minimal distance of 0.1 at a spread of 1. */
#define A 1.577
#define B 0.8951
#define MOST_STEP 4.0
#define LEAST_SQUARE 1e-3
#define LEAST_DISTANCE 1e-9

struct edge {
    uint32_t from, to;
    float weight;
    float every, next; /* epochs from one time that it pulls to the next, and the next one */
};

struct work {
    const struct fathom__neighbours *neighbours;
    float *reach, *wide; /* [n]: a point's distance to its nearest, and how fast its weights fall */
    struct edge *edges;
    size_t n_edges;
    float *x, *y;
};

static size_t count_neighbours(const struct fathom__neighbours *neighbours, size_t point) {
    size_t n = 0;
    while (n < neighbours->k && neighbours->nearest[point * neighbours->k + n] != UINT32_MAX)
        n++;
    return n;
}

/* The weights of a point's neighbours together are log2 of their number. */
static void find_width(struct work *work, size_t point) {
    const struct fathom__neighbours *neighbours = work->neighbours;
    const float *distances = neighbours->distances + point * neighbours->k;
    const size_t n = count_neighbours(neighbours, point);
    const double wanted = log2((double)(n > 1 ? n : 2));
    double low = 0, high = INFINITY, width = 1;
    work->reach[point] = n > 0 ? distances[0] : 0;
    for (int halving = 0; halving < HALVINGS && n > 0; halving++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += exp(-(double)(distances[i] - work->reach[point]) / width);
        if (sum > wanted)
            high = width;
        else
            low = width;
        width = high < INFINITY ? (low + high) / 2 : 2 * width;
    }
    work->wide[point] = (float)(width > LEAST_DISTANCE ? width : LEAST_DISTANCE);
}

/* How near `to` is to `from` as `from` sees it, 0 … 1. */
static float membership(const struct work *work, size_t from, size_t to) {
    const struct fathom__neighbours *neighbours = work->neighbours;
    for (size_t i = 0; i < neighbours->k; i++)
        if (neighbours->nearest[from * neighbours->k + i] == to)
            return expf(-(neighbours->distances[from * neighbours->k + i] - work->reach[from]) / work->wide[from]);
    return 0;
}

/* Each pair once, whichever of the two has the other for a neighbour. */
static void find_edges(struct work *work) {
    const struct fathom__neighbours *neighbours = work->neighbours;
    float heaviest = 0;
    for (size_t i = 0; i < neighbours->n; i++)
        for (size_t k = 0; k < neighbours->k; k++) {
            const uint32_t j = neighbours->nearest[i * neighbours->k + k];
            if (j == UINT32_MAX) break;
            const float there = membership(work, i, j), back = membership(work, j, i);
            if (back > 0 && j < i) continue;
            const float weight = there + back - there * back;
            if (weight > heaviest) heaviest = weight;
            work->edges[work->n_edges++] = (struct edge){.from = (uint32_t)i, .to = j, .weight = weight};
        }
    for (size_t e = 0; e < work->n_edges; e++) {
        struct edge *edge = &work->edges[e];
        edge->every = edge->next = edge->weight > 0 ? heaviest / edge->weight : (float)EPOCHS + 1;
    }
}

static float step(double gradient, float rate) {
    return rate * (float)(gradient > MOST_STEP ? MOST_STEP : gradient < -MOST_STEP ? -MOST_STEP : gradient);
}

static void attract(struct work *work, const struct edge *edge, float rate) {
    const double dx = (double)(work->x[edge->from] - work->x[edge->to]),
                 dy = (double)(work->y[edge->from] - work->y[edge->to]), square = dx * dx + dy * dy;
    if (!(square > 0)) return;
    const double power = pow(square, B), pull = -2 * A * B * power / square / (1 + A * power);
    const float mx = step(pull * dx, rate), my = step(pull * dy, rate);
    work->x[edge->from] += mx;
    work->y[edge->from] += my;
    work->x[edge->to] -= mx;
    work->y[edge->to] -= my;
}

static void repel(struct work *work, size_t point, size_t other, float rate) {
    const double dx = (double)(work->x[point] - work->x[other]), dy = (double)(work->y[point] - work->y[other]),
                 square = dx * dx + dy * dy;
    if (point == other) return;
    const double push = 2 * B / ((LEAST_SQUARE + square) * (1 + A * pow(square, B)));
    /* Two at one place are pushed apart all the same. */
    work->x[point] += square > 0 ? step(push * dx, rate) : step(MOST_STEP, rate);
    work->y[point] += square > 0 ? step(push * dy, rate) : step(MOST_STEP, rate);
}

static void scale(float *x, float *y, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fmaxf(fabsf(x[i]), fabsf(y[i])));
    for (size_t i = 0; i < n && most > 0; i++) {
        x[i] *= WIDTH / 2 / most;
        y[i] *= WIDTH / 2 / most;
    }
}

static int descend(struct work *work, uint64_t seed, bool (*stop)(void *payload), void *payload) {
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (int epoch = 1; epoch <= EPOCHS; epoch++) {
        const float rate = 1.0f - (float)(epoch - 1) / (float)EPOCHS;
        if (stop && stop(payload)) return fathom__fail(FATHOM_ERROR_STOPPED, "the map was not finished");
        for (size_t e = 0; e < work->n_edges; e++) {
            struct edge *edge = &work->edges[e];
            if (edge->next > (float)epoch) continue;
            edge->next += edge->every;
            attract(work, edge, rate);
            for (int i = 0; i < REPULSIONS; i++) {
                repel(work, edge->from, (size_t)fathom__random_below(&random, work->neighbours->n), rate);
                repel(work, edge->to, (size_t)fathom__random_below(&random, work->neighbours->n), rate);
            }
        }
    }
    return FATHOM_OK;
}

int fathom__embed(float *x, float *y, const struct fathom__neighbours *neighbours, uint64_t seed,
                  bool (*stop)(void *payload), void *payload) {
    struct work work = {.neighbours = neighbours, .x = x, .y = y};
    int status = fathom__alloc(&work.reach, neighbours->n, sizeof *work.reach);
    if (!status) status = fathom__alloc(&work.wide, neighbours->n, sizeof *work.wide);
    if (!status) status = fathom__alloc(&work.edges, neighbours->n * neighbours->k, sizeof *work.edges);
    if (!status) {
        scale(x, y, neighbours->n);
        for (size_t i = 0; i < neighbours->n; i++)
            find_width(&work, i);
        find_edges(&work);
        status = descend(&work, seed, stop, payload);
    }
    fathom_free(work.reach);
    fathom_free(work.wide);
    fathom_free(work.edges);
    return status;
}
