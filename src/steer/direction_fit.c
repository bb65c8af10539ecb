/* What is learned of two classes of rows at one layer. */
#include "base/error.h"
#include "base/memory.h"
#include "detect/logistic.h"
#include "steer/direction.h"
#include <math.h>
#include <string.h>

enum { MOST_STEPS = 1000 };
#define STILL 1e-12 /* of a unit vector: a step that moves less ends the iteration */

/* Every class must have a row; counts [2] by label. */
static int count_rows(size_t counts[2], const struct fathom__class_rows *rows) {
    counts[0] = counts[1] = 0;
    for (size_t t = 0; t < rows->n; t++) {
        if (rows->labels[t] >= 0) {
            counts[rows->labels[t]] += rows->read[t * rows->stride];
        }
    }
    if (counts[0] == 0 || counts[1] == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "a contrast needs texts of both classes with two tokens or more; got %zu and %zu",
                            counts[1], counts[0]);
    }
    return FATHOM_OK;
}

int fathom__fit_means(float *out, const struct fathom__class_rows *rows) {
    size_t counts[2];
    int status = count_rows(counts, rows);
    for (size_t t = 0; t < rows->n && status == FATHOM_OK; t++) {
        if (rows->labels[t] < 0 || !rows->read[t * rows->stride]) {
            continue;
        }
        float weight = (rows->labels[t] == FATHOM_LABEL_POSITIVE ? 1.0f : -1.0f) / (float)counts[rows->labels[t]];
        for (size_t i = 0; i < rows->width; i++) {
            out[i] += weight * rows->rows[t * rows->width + i];
        }
    }
    return status;
}

static double dot(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* Differences of the first positive and the first negative, the second ones, …: f64 [pairs, width], new. */
static int make_pairs(double **out, size_t *n_out, const struct fathom__class_rows *rows) {
    size_t counts[2] = {fathom__class_count(rows, FATHOM_LABEL_NEGATIVE),
                        fathom__class_count(rows, FATHOM_LABEL_POSITIVE)};
    size_t places[2] = {0, 0};
    size_t n = 0;
    if (counts[0] != counts[1]) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "principal components are those of pairs: as many positive texts as negative ones, in the "
                            "same order, not %zu and %zu",
                            counts[1], counts[0]);
    }
    int status = fathom__alloc(out, counts[0] * rows->width, sizeof **out);
    for (size_t pair = 0; pair < counts[0] && status == FATHOM_OK; pair++) {
        for (int label = 0; label < 2; label++) {
            while (rows->labels[places[label]] != label) {
                places[label]++;
            }
        }
        if (rows->read[places[0] * rows->stride] && rows->read[places[1] * rows->stride]) {
            const float *negative = rows->rows + places[0] * rows->width;
            const float *positive = rows->rows + places[1] * rows->width;
            for (size_t i = 0; i < rows->width; i++) {
                (*out)[n * rows->width + i] = (double)positive[i] - (double)negative[i];
            }
            n++;
        }
        places[0]++;
        places[1]++;
    }
    *n_out = n;
    return status;
}

size_t fathom__class_count(const struct fathom__class_rows *rows, int8_t label) {
    size_t n = 0;
    for (size_t t = 0; t < rows->n; t++) {
        n += rows->labels[t] == label;
    }
    return n;
}

/* Power iteration on the second moment of the differences, from their mean. */
static int iterate(double *vector, const double *pairs, size_t n, size_t width) {
    double *next = NULL;
    double moved = 1;
    int status = fathom__alloc(&next, width, sizeof *next);
    for (size_t step = 0; step < MOST_STEPS && moved > STILL && status == FATHOM_OK; step++) {
        memset(next, 0, width * sizeof *next);
        for (size_t p = 0; p < n; p++) {
            const double *pair = pairs + p * width;
            double along = dot(pair, vector, width);
            for (size_t i = 0; i < width; i++) {
                next[i] += along * pair[i];
            }
        }
        double length = sqrt(dot(next, next, width));
        if (!(length > 0) || !isfinite(length)) {
            status = fathom__fail(FATHOM_ERROR_NUMERIC, "the pairs' differences are all zero, or not finite");
            break;
        }
        moved = 0;
        for (size_t i = 0; i < width; i++) {
            double entry = next[i] / length;
            moved += (entry - vector[i]) * (entry - vector[i]);
            vector[i] = entry;
        }
    }
    fathom_free(next);
    return status;
}

int fathom__fit_component(float *out, const struct fathom__class_rows *rows, const float *means) {
    double *pairs = NULL;
    double *vector = NULL;
    size_t n = 0;
    int status = make_pairs(&pairs, &n, rows);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&vector, rows->width, sizeof *vector);
    }
    double length = 0;
    for (size_t i = 0; i < rows->width && status == FATHOM_OK; i++) {
        vector[i] = (double)means[i];
        length += vector[i] * vector[i];
    }
    for (size_t i = 0; i < rows->width && status == FATHOM_OK && length > 0; i++) {
        vector[i] /= sqrt(length);
    }
    if (status == FATHOM_OK) {
        status = iterate(vector, pairs, n, rows->width);
    }
    for (size_t i = 0; i < rows->width && status == FATHOM_OK; i++) {
        out[i] = (float)vector[i];
    }
    fathom_free(vector);
    fathom_free(pairs);
    return status;
}

/* Mean and deviation of each dimension over the rows that were read; a dimension that never moves has deviation 1. */
static void standardise(float *standard, float *deviations, const struct fathom__class_rows *rows) {
    size_t n = 0;
    for (size_t t = 0; t < rows->n; t++) {
        n += rows->labels[t] >= 0 && rows->read[t * rows->stride];
    }
    for (size_t i = 0; i < rows->width; i++) {
        double sum = 0;
        double squares = 0;
        for (size_t t = 0; t < rows->n; t++) {
            if (rows->labels[t] >= 0 && rows->read[t * rows->stride]) {
                double value = (double)rows->rows[t * rows->width + i];
                sum += value;
                squares += value * value;
            }
        }
        double mean = sum / (double)n;
        double variance = squares / (double)n - mean * mean;
        deviations[i] = variance > 0 ? (float)sqrt(variance) : 1;
        for (size_t t = 0; t < rows->n; t++) {
            standard[t * rows->width + i] = (float)(((double)rows->rows[t * rows->width + i] - mean) / deviations[i]);
        }
    }
}

int fathom__fit_logistic(float *out, const struct fathom__class_rows *rows) {
    struct fathom__rows dense;
    size_t *offsets = NULL;
    uint32_t *columns = NULL;
    uint8_t *use = NULL;
    float *standard = NULL;
    float *deviations = NULL;
    double *weights = NULL;
    double bias = 0;
    size_t counts[2];
    int status = count_rows(counts, rows);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&standard, rows->n * rows->width, sizeof *standard);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&deviations, rows->width, sizeof *deviations);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&weights, rows->width, sizeof *weights);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&use, rows->n, sizeof *use);
    }
    if (status == FATHOM_OK) {
        standardise(standard, deviations, rows);
        for (size_t t = 0; t < rows->n; t++) {
            use[t] = rows->labels[t] >= 0 && rows->read[t * rows->stride];
        }
        status = fathom__rows_dense(&dense, &offsets, &columns, standard, rows->n, rows->width);
    }
    if (status == FATHOM_OK) {
        status = fathom__logistic_train(weights, &bias, &dense, rows->labels, use, FATHOM__DIRECTION_REGULARISATION);
    }
    for (size_t i = 0; i < rows->width && status == FATHOM_OK; i++) {
        out[i] = (float)(weights[i] / (double)deviations[i]);
    }
    fathom_free(offsets);
    fathom_free(columns);
    fathom_free(use);
    fathom_free(standard);
    fathom_free(deviations);
    fathom_free(weights);
    return status;
}
