/* Sums of some rows of a bf16 matrix, and products with some of its rows, in f32: what a sparse step is made of where so
 * many rows are active that a row a time would be too slow. Where the processor multiplies bf16 numbers itself it does;
 * elsewhere they are widened first. Every sum has a fixed order: the same input gives the same bits on one machine. */
#ifndef FATHOM_DICTIONARY_ROW_SUMS_H
#define FATHOM_DICTIONARY_ROW_SUMS_H

#include <stddef.h>
#include <stdint.h>

/* Rows of a matrix bf16 [*, stride] by their numbers; stride: a multiple of FATHOM__LANES. */
struct fathom__some_rows {
    const uint16_t *matrix;
    size_t stride;
    const uint32_t *number;
    size_t n;
};

/* out f32 [stride] += Σ weight[i] · row i; weights are bf16 numbers. */
void fathom__add_rows(float *out, const uint16_t *weight, const struct fathom__some_rows *rows);
/* out[i] = x · row i; x: bf16 [stride]. */
void fathom__dot_rows(float *out, const uint16_t *x, const struct fathom__some_rows *rows);

#endif
