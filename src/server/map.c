#include "server/map.h"
#include "base/memory.h"
#include "base/random.h"
#include <math.h>

/* More vectors than are wanted make the wanted ones converge faster. */
enum { AXES = 2, VECTORS = 6, PASSES = 16, SEED = 1 };

struct work {
    const fathom_dictionary *dictionary;
    size_t n, d;
    float *row;
    double *mean, *basis, *next; /* [d], [VECTORS, d] twice */
    double variance;             /* of all directions together */
};

/* A feature's direction, of length 1; one that has none stays 0. */
static int read_row(struct work *work, size_t feature) {
    double sum = 0;
    const int status = fathom_dictionary_trained_direction(work->row, work->dictionary, (uint32_t)feature);
    if (status) return status;
    for (size_t j = 0; j < work->d; j++)
        sum += (double)work->row[j] * (double)work->row[j];
    const float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (size_t j = 0; j < work->d; j++)
        work->row[j] *= scale;
    return FATHOM_OK;
}

static int find_mean(struct work *work) {
    double squares = 0, centre = 0;
    for (size_t i = 0; i < work->n; i++) {
        const int status = read_row(work, i);
        if (status) return status;
        for (size_t j = 0; j < work->d; j++) {
            work->mean[j] += (double)work->row[j] / (double)work->n;
            squares += (double)work->row[j] * (double)work->row[j] / (double)work->n;
        }
    }
    for (size_t j = 0; j < work->d; j++)
        centre += work->mean[j] * work->mean[j];
    work->variance = squares - centre;
    return FATHOM_OK;
}

static double product(const struct work *work, const double *vector) {
    double sum = 0;
    for (size_t j = 0; j < work->d; j++)
        sum += ((double)work->row[j] - work->mean[j]) * vector[j];
    return sum;
}

/* Gram-Schmidt; squares gets each vector's squared length before. */
static void orthonormalise(double *squares, double *basis, size_t d) {
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
        squares[v] = length;
        for (size_t j = 0; j < d; j++)
            own[j] = length > 0 ? own[j] / sqrt(length) : 0;
    }
}

/* next = covariance × basis */
static int multiply(struct work *work) {
    for (size_t k = 0; k < VECTORS * work->d; k++)
        work->next[k] = 0;
    for (size_t i = 0; i < work->n; i++) {
        const int status = read_row(work, i);
        if (status) return status;
        for (size_t v = 0; v < VECTORS; v++) {
            const double along = product(work, work->basis + v * work->d) / (double)work->n;
            double *next = work->next + v * work->d;
            for (size_t j = 0; j < work->d; j++)
                next[j] += along * ((double)work->row[j] - work->mean[j]);
        }
    }
    return FATHOM_OK;
}

static int iterate(struct work *work) {
    struct fathom__random random;
    double squares[VECTORS];
    fathom__random_seed(&random, SEED);
    for (size_t k = 0; k < VECTORS * work->d; k++)
        work->basis[k] = fathom__random_normal(&random);
    orthonormalise(squares, work->basis, work->d);
    for (int pass = 0; pass < PASSES; pass++) {
        const int status = multiply(work);
        if (status) return status;
        double *swap = work->basis;
        work->basis = work->next;
        work->next = swap;
        orthonormalise(squares, work->basis, work->d);
    }
    return FATHOM_OK;
}

/* An axis has no direction of its own: its largest value is made a positive one. */
static void turn(float *values, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(values[i]) > fabsf(most)) most = values[i];
    for (size_t i = 0; i < n && most < 0; i++)
        values[i] = -values[i];
}

static int place(struct fathom__map *out, struct work *work) {
    double squares[AXES] = {0};
    for (size_t i = 0; i < work->n; i++) {
        const int status = read_row(work, i);
        if (status) return status;
        const double at[AXES] = {product(work, work->basis), product(work, work->basis + work->d)};
        out->x[i] = (float)at[0];
        out->y[i] = (float)at[1];
        for (int axis = 0; axis < AXES; axis++)
            squares[axis] += at[axis] * at[axis] / (double)work->n;
    }
    turn(out->x, work->n);
    turn(out->y, work->n);
    for (int axis = 0; axis < AXES; axis++)
        out->explained[axis] = work->variance > 0 ? squares[axis] / work->variance : 0;
    return FATHOM_OK;
}

int fathom__map_make(struct fathom__map *out, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    struct work work = {.dictionary = dictionary, .n = info->n_features, .d = info->d_out};
    *out = (struct fathom__map){.n = work.n, .even = 1.0 / (double)work.d};
    int status = fathom__alloc(&out->x, work.n, sizeof *out->x);
    if (!status) status = fathom__alloc(&out->y, work.n, sizeof *out->y);
    if (!status) status = fathom__alloc(&work.row, work.d, sizeof *work.row);
    if (!status) status = fathom__alloc(&work.mean, work.d, sizeof *work.mean);
    if (!status) status = fathom__alloc(&work.basis, VECTORS * work.d, sizeof *work.basis);
    if (!status) status = fathom__alloc(&work.next, VECTORS * work.d, sizeof *work.next);
    if (!status) status = find_mean(&work);
    if (!status) status = iterate(&work);
    if (!status) status = place(out, &work);
    fathom_free(work.row);
    fathom_free(work.mean);
    fathom_free(work.basis);
    fathom_free(work.next);
    if (status) fathom__map_free(out);
    return status;
}

void fathom__map_free(struct fathom__map *map) {
    fathom_free(map->x);
    fathom_free(map->y);
    *map = (struct fathom__map){0};
}
