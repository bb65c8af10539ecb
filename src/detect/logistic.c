#include "detect/logistic.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include <fathom/detect.h>
#include <limits.h>
#include <linear.h>
#include <math.h>
#include <string.h>

enum { FOLDS = 5 };
static const double grid[] = {0.001, 0.01, 0.1, 1.0, 10.0};
/* liblinear's own default stopping tolerance for this solver is 0.01; the problems here are small enough for a sharper
 * end. */
static const double tolerance = 1e-4;

static void silent(const char *text) {
    (void)text;
}

/* Two nodes a row beyond its entries: the bias and the end. */
static void fill_nodes(struct feature_node *nodes, struct feature_node **starts, double *targets,
                       const struct fathom__rows *rows, const int8_t *labels, const uint8_t *use) {
    size_t used = 0;
    for (size_t r = 0; r < rows->n_rows; r++) {
        if (use != NULL && !use[r]) {
            continue;
        }
        targets[used] = labels[r] == FATHOM_LABEL_POSITIVE ? 1 : -1;
        starts[used++] = nodes;
        for (size_t i = rows->offsets[r]; i < rows->offsets[r + 1]; i++) {
            *nodes++ = (struct feature_node){(int)rows->columns[i] + 1, rows->values[i]};
        }
        *nodes++ = (struct feature_node){(int)rows->n_columns + 1, 1.0};
        *nodes++ = (struct feature_node){-1, 0.0};
    }
}

static int copy_weights(double *weights, double *bias, const struct model *model, size_t n_columns) {
    double sign = model->label[0] == 1 ? 1.0 : -1.0;
    for (size_t i = 0; i <= n_columns; i++) {
        double value = sign * model->w[i];
        if (!isfinite(value)) {
            return fathom__fail(FATHOM_ERROR_NUMERIC, "logistic regression: weight %zu is not finite", i);
        }
        *(i < n_columns ? &weights[i] : bias) = value;
    }
    return FATHOM_OK;
}

int fathom__logistic_train(double *weights, double *bias, const struct fathom__rows *rows, const int8_t *labels,
                           const uint8_t *use, double regularisation) {
    struct feature_node *nodes = NULL;
    struct feature_node **starts = NULL;
    double *targets = NULL;
    struct model *model = NULL;
    size_t counts[2] = {0, 0};
    int classes[2] = {-1, 1};
    double class_weights[2];
    size_t n_entries = rows->offsets[rows->n_rows];
    int status = FATHOM_OK;
    for (size_t r = 0; r < rows->n_rows; r++) {
        counts[labels[r] == FATHOM_LABEL_POSITIVE] += use == NULL || use[r];
    }
    if (counts[0] == 0 || counts[1] == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "logistic regression: both classes are needed; got %zu and %zu",
                            counts[1], counts[0]);
    }
    if (rows->n_columns >= INT_MAX || rows->n_rows >= INT_MAX) {
        return fathom__fail(FATHOM_ERROR_LIMIT, "logistic regression: %zu × %zu is too large", rows->n_rows,
                            rows->n_columns);
    }
    status = fathom__alloc(&nodes, n_entries + 2 * rows->n_rows, sizeof *nodes);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&starts, rows->n_rows, sizeof *starts);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&targets, rows->n_rows, sizeof *targets);
    }
    if (status != FATHOM_OK) {
        goto done;
    }
    fill_nodes(nodes, starts, targets, rows, labels, use);
    for (int label = 0; label < 2; label++) {
        class_weights[label] = 0.5 * (double)(counts[0] + counts[1]) / (double)counts[label];
    }
    struct problem problem = {
        .l = (int)(counts[0] + counts[1]), .n = (int)rows->n_columns + 1, .y = targets, .x = starts, .bias = 1};
    struct parameter parameter = {.solver_type = L2R_LR,
                                  .eps = tolerance,
                                  .C = regularisation,
                                  .nr_weight = 2,
                                  .weight_label = classes,
                                  .weight = class_weights,
                                  .p = 0};
    const char *complaint = check_parameter(&problem, &parameter);
    if (complaint != NULL) {
        status = fathom__fail(FATHOM_ERROR_ARGUMENT, "logistic regression: %s", complaint);
        goto done;
    }
    set_print_string_function(silent);
    model = train(&problem, &parameter);
    status = copy_weights(weights, bias, model, rows->n_columns);
done:
    if (model != NULL) {
        free_and_destroy_model(&model);
    }
    fathom_free(targets);
    fathom_free(starts);
    fathom_free(nodes);
    return status;
}

double fathom__row_score(const struct fathom__rows *rows, size_t row, const double *weights, double bias) {
    double sum = bias;
    for (size_t i = rows->offsets[row]; i < rows->offsets[row + 1]; i++) {
        sum += weights[rows->columns[i]] * rows->values[i];
    }
    return sum;
}

/* Deals the rows of each class into folds after a shuffle. */
static int draw_folds(uint8_t *folds, const int8_t *labels, size_t n, uint64_t seed) {
    uint32_t *order = NULL;
    size_t dealt[2] = {0, 0};
    struct fathom__random random;
    int status = fathom__alloc(&order, n, sizeof *order);
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    fathom__random_seed(&random, seed);
    fathom__random_shuffle(&random, order, n);
    for (size_t i = 0; i < n; i++) {
        folds[order[i]] = (uint8_t)(dealt[labels[order[i]] == FATHOM_LABEL_POSITIVE]++ % FOLDS);
    }
    fathom_free(order);
    return FATHOM_OK;
}

static int cross_validate(double *scores, double *weights, uint8_t *use, const struct fathom__rows *rows,
                          const int8_t *labels, const uint8_t *folds, double regularisation) {
    int status = FATHOM_OK;
    for (int fold = 0; fold < FOLDS && status == FATHOM_OK; fold++) {
        double bias = 0;
        for (size_t r = 0; r < rows->n_rows; r++) {
            use[r] = folds[r] != fold;
        }
        status = fathom__logistic_train(weights, &bias, rows, labels, use, regularisation);
        for (size_t r = 0; r < rows->n_rows && status == FATHOM_OK; r++) {
            if (!use[r]) {
                scores[r] = fathom__row_score(rows, r, weights, bias);
            }
        }
    }
    return status;
}

int fathom__logistic_choose(double *regularisation, double *auroc, double *scores, const struct fathom__rows *rows,
                            const int8_t *labels, double fixed, uint64_t seed) {
    uint8_t *folds = NULL;
    uint8_t *use = NULL;
    double *weights = NULL;
    double *tried = NULL;
    double best = -1;
    size_t n_grid = fixed > 0 ? 1 : sizeof grid / sizeof grid[0];
    int status = fathom__alloc(&folds, rows->n_rows, sizeof *folds);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&use, rows->n_rows, sizeof *use);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&weights, rows->n_columns, sizeof *weights);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&tried, rows->n_rows, sizeof *tried);
    }
    if (status == FATHOM_OK) {
        status = draw_folds(folds, labels, rows->n_rows, seed);
    }
    for (size_t g = 0; g < n_grid && status == FATHOM_OK; g++) {
        double c = fixed > 0 ? fixed : grid[g];
        double area = 0;
        status = cross_validate(tried, weights, use, rows, labels, folds, c);
        if (status == FATHOM_OK) {
            status = fathom_auroc(&area, tried, labels, rows->n_rows);
        }
        if (status == FATHOM_OK && area > best) {
            best = area;
            *regularisation = c;
            *auroc = area;
            memcpy(scores, tried, rows->n_rows * sizeof *scores);
        }
    }
    fathom_free(tried);
    fathom_free(weights);
    fathom_free(use);
    fathom_free(folds);
    return status;
}

int fathom__rows_dense(struct fathom__rows *out, size_t **offsets, uint32_t **columns, const float *values,
                       size_t n_rows, size_t n_columns) {
    size_t *starts = NULL;
    uint32_t *numbers = NULL;
    int status = fathom__alloc(&starts, n_rows + 1, sizeof *starts);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&numbers, n_rows * n_columns, sizeof *numbers);
    }
    if (status != FATHOM_OK) {
        fathom_free(starts);
        return status;
    }
    for (size_t r = 0; r < n_rows; r++) {
        starts[r + 1] = (r + 1) * n_columns;
        for (size_t c = 0; c < n_columns; c++) {
            numbers[r * n_columns + c] = (uint32_t)c;
        }
    }
    *offsets = starts;
    *columns = numbers;
    *out = (struct fathom__rows){n_rows, n_columns, starts, numbers, values};
    return FATHOM_OK;
}
