/* Two-class logistic regression with an L2 penalty, by liblinear (Fan et al. 2008; trust-region Newton on the primal,
 * no random numbers). */
#ifndef FATHOM_DETECT_LOGISTIC_H
#define FATHOM_DETECT_LOGISTIC_H

#include <stddef.h>
#include <stdint.h>

/* Rows in compressed form: entries of row r are [offsets[r], offsets[r + 1]), columns ascending. */
struct fathom__rows {
    size_t n_rows, n_columns;
    const size_t *offsets;
    const uint32_t *columns;
    const float *values;
};

/* weights [n_columns] and *bias so that log-odds = w · x + bias. Only rows with use[r] != 0 count (NULL: all). Classes
 * weigh the same whatever their sizes. Errors: ARGUMENT (a class is empty), MEMORY, NUMERIC. */
int fathom__logistic_train(double *weights, double *bias, const struct fathom__rows *rows, const int8_t *labels,
                           const uint8_t *use, double regularisation);

/* Chooses C from 0.001 … 10 by the AUROC of scores cross-validated over 5 stratified folds drawn by seed; the smaller C
 * wins ties. fixed > 0 is kept as it is. scores [n_rows] gets the cross-validated scores at the chosen C; *auroc
 * their AUROC. */
int fathom__logistic_choose(double *regularisation, double *auroc, double *scores, const struct fathom__rows *rows,
                            const int8_t *labels, double fixed, uint64_t seed);

/* A dense matrix as rows: fills offsets, columns (both new, fathom_free). */
int fathom__rows_dense(struct fathom__rows *out, size_t **offsets, uint32_t **columns, const float *values,
                       size_t n_rows, size_t n_columns);

double fathom__row_score(const struct fathom__rows *rows, size_t row, const double *weights, double bias);

#endif
