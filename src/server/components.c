#include "server/components.h"
#include "base/memory.h"
#include "base/random.h"
#include <math.h>

/* More vectors than are wanted make the wanted ones converge faster. */
enum { VECTORS = 6, PASSES = 16, SEED = 1 };

struct work {
    const float *rows;
    size_t n, d;
    double *mean, *basis, *next; /* [d], [VECTORS, d] twice */
};

static void find_mean(struct work *work) {
    for (size_t i = 0; i < work->n; i++)
        for (size_t j = 0; j < work->d; j++)
            work->mean[j] += (double)work->rows[i * work->d + j] / (double)work->n;
}

static double product(const struct work *work, size_t row, const double *vector) {
    double sum = 0;
    for (size_t j = 0; j < work->d; j++)
        sum += ((double)work->rows[row * work->d + j] - work->mean[j]) * vector[j];
    return sum;
}

/* Gram-Schmidt. */
static void orthonormalise(double *basis, size_t d) {
    for (size_t v = 0; v < VECTORS; v++) {
        double *own = basis + v * d, length = 0;
        for (size_t other = 0; other < v; other++) {
            double along = 0;
            for (size_t j = 0; j < d; j++)
                along += own[j] * basis[other * d + j];
            for (size_t j = 0; j < d; j++)
                own[j] -= along * basis[other * d + j];
        }
        for (size_t j = 0; j < d; j++)
            length += own[j] * own[j];
        for (size_t j = 0; j < d; j++)
            own[j] = length > 0 ? own[j] / sqrt(length) : 0;
    }
}

/* next = covariance × basis */
static void multiply(struct work *work) {
    for (size_t k = 0; k < VECTORS * work->d; k++)
        work->next[k] = 0;
    for (size_t i = 0; i < work->n; i++)
        for (size_t v = 0; v < VECTORS; v++) {
            const double along = product(work, i, work->basis + v * work->d) / (double)work->n;
            double *next = work->next + v * work->d;
            for (size_t j = 0; j < work->d; j++)
                next[j] += along * ((double)work->rows[i * work->d + j] - work->mean[j]);
        }
}

static void iterate(struct work *work) {
    struct fathom__random random;
    fathom__random_seed(&random, SEED);
    for (size_t k = 0; k < VECTORS * work->d; k++)
        work->basis[k] = fathom__random_normal(&random);
    orthonormalise(work->basis, work->d);
    for (int pass = 0; pass < PASSES; pass++) {
        multiply(work);
        double *swap = work->basis;
        work->basis = work->next;
        work->next = swap;
        orthonormalise(work->basis, work->d);
    }
}

/* An axis has no direction of its own: its largest value is made a positive one. */
static void turn(float *values, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(values[i]) > fabsf(most)) most = values[i];
    for (size_t i = 0; i < n && most < 0; i++)
        values[i] = -values[i];
}

int fathom__components(float *x, float *y, const float *rows, size_t n, size_t d) {
    struct work work = {.rows = rows, .n = n, .d = d};
    int status = fathom__alloc(&work.mean, d, sizeof *work.mean);
    if (!status) status = fathom__alloc(&work.basis, VECTORS * d, sizeof *work.basis);
    if (!status) status = fathom__alloc(&work.next, VECTORS * d, sizeof *work.next);
    if (!status) {
        find_mean(&work);
        iterate(&work);
        for (size_t i = 0; i < n; i++) {
            x[i] = (float)product(&work, i, work.basis);
            y[i] = (float)product(&work, i, work.basis + d);
        }
        turn(x, n);
        turn(y, n);
    }
    fathom_free(work.mean);
    fathom_free(work.basis);
    fathom_free(work.next);
    return status;
}
