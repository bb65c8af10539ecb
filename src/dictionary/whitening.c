#include <base/error.h>
#include <base/memory.h>
#include <dictionary/vector.h>
#include <dictionary/whitening.h>
#include <math.h>
#include <stdlib.h>

#define MOST_ROWS 32768 /* that a fit looks at, spread over those given: fifty for each dimension of the usual widths */
/* A deviation counts for no less than this part of the median one: what never varies is noise of rounding. */
#define LEAST_DEVIATION 1e-3
/* Correlations are shrunk towards none by this part, which bounds what a direction without spread is multiplied by. */
#define SHRINKAGE 0.02

int fathom__map_open(struct fathom__map *out, const float *weights, size_t d, bool diagonal) {
    const size_t stride = fathom__padded(d), n = diagonal ? 1 : d;
    *out = (struct fathom__map){.d = d, .stride = stride, .diagonal = diagonal};
    int status = fathom__alloc_aligned(&out->weights, n * stride, sizeof *out->weights);
    if (status) return status;
    memset(out->weights, 0, n * stride * sizeof *out->weights);
    for (size_t i = 0; i < n && weights; i++)
        memcpy(out->weights + i * stride, weights + i * d, (diagonal ? d : i + 1) * sizeof *weights);
    return 0;
}

void fathom__map_close(struct fathom__map *map) {
    fathom_free(map->weights);
    *map = (struct fathom__map){0};
}

void fathom__map_apply(float *x, const struct fathom__map *map) {
    if (!map->weights) return;
    for (size_t j = 0; j < map->stride && map->diagonal; j++)
        x[j] *= map->weights[j];
    for (size_t i = map->d; i-- > 0 && !map->diagonal;) /* row i reads nothing behind i */
        x[i] = fathom__dot(map->weights + i * map->stride, x, fathom__padded(i + 1));
}

void fathom__map_apply_transposed(float *x, const struct fathom__map *map) {
    if (!map->weights) return;
    for (size_t j = 0; j < map->stride && map->diagonal; j++)
        x[j] *= map->weights[j];
    for (size_t i = 0; i < map->d && !map->diagonal; i++) { /* nothing before i is read again */
        const float value = x[i];
        x[i] = 0;
        fathom__add_scaled(x, value, map->weights + i * map->stride, fathom__padded(i + 1));
    }
}

size_t fathom__map_count(const struct fathom__map *map) {
    return map->diagonal ? map->d : map->d * map->d;
}

void fathom__map_weights(float *out, const struct fathom__map *map) {
    for (size_t i = 0; i < (map->diagonal ? 1 : map->d); i++)
        memcpy(out + i * map->d, map->weights + i * map->stride, map->d * sizeof *out);
}

/* What a fit counts. */
struct fit {
    size_t d, n;
    double *mean, *deviation, *sorted; /* [d] */
    double *matrix;                    /* [d, d]; NULL where the maps are diagonal */
    float *row;                        /* [d] */
};

static int by_value(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static const float *fit_row(const float *rows, const struct fit *fit, size_t n, size_t step, size_t i) {
    return rows + (i * n / fit->n) * step;
}

static int find_deviations(struct fit *fit, const float *rows, size_t n, size_t step) {
    const size_t d = fit->d;
    for (size_t i = 0; i < fit->n; i++)
        for (size_t j = 0; j < d; j++)
            fit->mean[j] += fit_row(rows, fit, n, step, i)[j];
    for (size_t j = 0; j < d; j++)
        fit->mean[j] /= (double)fit->n;
    for (size_t i = 0; i < fit->n; i++)
        for (size_t j = 0; j < d; j++) {
            const double from = fit_row(rows, fit, n, step, i)[j] - fit->mean[j];
            fit->deviation[j] += from * from;
        }
    for (size_t j = 0; j < d; j++) {
        fit->sorted[j] = fit->deviation[j] = sqrt(fit->deviation[j] / (double)fit->n);
        if (!isfinite(fit->deviation[j]))
            return fathom__fail(FATHOM_ERROR_NUMERIC, "whitening: a row to fit to is not finite (dimension %zu)", j);
    }
    qsort(fit->sorted, d, sizeof *fit->sorted, by_value);
    const double least = fit->sorted[d / 2] * LEAST_DEVIATION;
    for (size_t j = 0; j < d; j++) {
        if (fit->deviation[j] < least) fit->deviation[j] = least;
        if (fit->deviation[j] == 0) fit->deviation[j] = 1;
    }
    return 0;
}

/* The lower triangle of the shrunk correlations. */
static void find_correlations(struct fit *fit, const float *rows, size_t n, size_t step) {
    const size_t d = fit->d;
    for (size_t i = 0; i < fit->n; i++) {
        const float *row = fit_row(rows, fit, n, step, i);
        for (size_t j = 0; j < d; j++)
            fit->row[j] = (float)((row[j] - fit->mean[j]) / fit->deviation[j]);
        for (size_t a = 0; a < d; a++)
            for (size_t b = 0; b <= a; b++)
                fit->matrix[a * d + b] += (double)(fit->row[a] * fit->row[b]);
    }
    for (size_t a = 0; a < d; a++)
        for (size_t b = 0; b <= a; b++)
            fit->matrix[a * d + b] =
                fit->matrix[a * d + b] / (double)fit->n * (1 - SHRINKAGE) + (a == b ? SHRINKAGE : 0);
}

/* L with L Lᵀ = the matrix, in its place. The shrinkage keeps every pivot above 0. */
static void factorise(double *matrix, size_t d) {
    for (size_t a = 0; a < d; a++)
        for (size_t b = 0; b <= a; b++) {
            double sum = matrix[a * d + b];
            for (size_t c = 0; c < b; c++)
                sum -= matrix[a * d + c] * matrix[b * d + c];
            matrix[a * d + b] = a == b ? sqrt(sum) : sum / matrix[b * d + b];
        }
}

/* L⁻¹ of a lower triangle, row by row: L X = I. */
static void invert(double *out, const double *lower, size_t d) {
    for (size_t a = 0; a < d; a++) {
        double *row = out + a * d;
        memset(row, 0, d * sizeof *row);
        row[a] = 1;
        for (size_t c = 0; c < a; c++)
            for (size_t b = 0; b <= c; b++)
                row[b] -= lower[a * d + c] * out[c * d + b];
        for (size_t b = 0; b <= a; b++)
            row[b] /= lower[a * d + a];
    }
}

static int make_full(struct fathom__map *forward, struct fathom__map *backward, struct fit *fit) {
    const size_t d = fit->d;
    double *inverse = NULL;
    float *weights = NULL;
    int status = fathom__alloc(&inverse, d * d, sizeof *inverse);
    if (!status) status = fathom__alloc(&weights, d * d, sizeof *weights);
    if (status) goto done;
    factorise(fit->matrix, d);
    invert(inverse, fit->matrix, d);
    for (size_t a = 0; a < d; a++)
        for (size_t b = 0; b <= a; b++)
            weights[a * d + b] = (float)(inverse[a * d + b] / fit->deviation[b]);
    status = fathom__map_open(forward, weights, d, false);
    for (size_t a = 0; a < d; a++)
        for (size_t b = 0; b <= a; b++)
            weights[a * d + b] = (float)(fit->matrix[a * d + b] * fit->deviation[a]);
    if (!status) status = fathom__map_open(backward, weights, d, false);
done:
    fathom_free(inverse);
    fathom_free(weights);
    return status;
}

static int make_diagonal(struct fathom__map *forward, struct fathom__map *backward, const struct fit *fit) {
    for (size_t j = 0; j < fit->d; j++)
        fit->row[j] = (float)(1 / fit->deviation[j]);
    int status = fathom__map_open(forward, fit->row, fit->d, true);
    for (size_t j = 0; j < fit->d; j++)
        fit->row[j] = (float)fit->deviation[j];
    if (!status) status = fathom__map_open(backward, fit->row, fit->d, true);
    return status;
}

int fathom__whitening_fit(struct fathom__map *forward, struct fathom__map *backward, const float *rows, size_t n,
                          size_t d, size_t step, bool full) {
    struct fit fit = {.d = d, .n = n < MOST_ROWS ? n : MOST_ROWS};
    int status = fathom__alloc(&fit.mean, d, sizeof *fit.mean);
    if (!status) status = fathom__alloc(&fit.deviation, d, sizeof *fit.deviation);
    if (!status) status = fathom__alloc(&fit.sorted, d, sizeof *fit.sorted);
    if (!status) status = fathom__alloc(&fit.row, d, sizeof *fit.row);
    if (!status && full) status = fathom__alloc(&fit.matrix, d * d, sizeof *fit.matrix);
    if (!status) status = find_deviations(&fit, rows, n, step);
    if (!status && full) find_correlations(&fit, rows, n, step);
    fathom__map_close(forward);
    fathom__map_close(backward);
    if (!status) status = full ? make_full(forward, backward, &fit) : make_diagonal(forward, backward, &fit);
    fathom_free(fit.mean);
    fathom_free(fit.deviation);
    fathom_free(fit.sorted);
    fathom_free(fit.row);
    fathom_free(fit.matrix);
    return status;
}
