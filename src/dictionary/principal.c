/* Principal components by subspace iteration. */
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/reconstruct.h>
#include <fathom/model.h>
#include <math.h>
#include <string.h>

static double dot(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += a[j] * b[j];
    return sum;
}

/* Gram-Schmidt, twice, which is enough for the loss of orthogonality to vanish. */
static void orthonormalise(double *basis, size_t k, size_t d) {
    for (size_t i = 0; i < k; i++) {
        double *row = basis + i * d;
        for (int round = 0; round < 2; round++)
            for (size_t j = 0; j < i; j++) {
                const double *other = basis + j * d, along = dot(row, other, d);
                for (size_t c = 0; c < d; c++)
                    row[c] -= along * other[c];
            }
        const double length = sqrt(dot(row, row, d));
        for (size_t c = 0; c < d; c++)
            row[c] = length > 0 ? row[c] / length : 0;
    }
}

int fathom__principal_components(float *out, const double *matrix, size_t d, size_t k, uint64_t seed) {
    enum { ITERATIONS = 40 };
    struct fathom__random random;
    double *basis = NULL, *next = NULL;
    int status = fathom__alloc(&basis, k * d, sizeof *basis);
    if (!status) status = fathom__alloc(&next, k * d, sizeof *next);
    if (!status) {
        fathom__random_seed(&random, seed);
        for (size_t i = 0; i < k * d; i++)
            basis[i] = fathom__random_normal(&random);
        orthonormalise(basis, k, d);
        for (int iteration = 0; iteration < ITERATIONS; iteration++) {
            for (size_t i = 0; i < k; i++)
                for (size_t r = 0; r < d; r++)
                    next[i * d + r] = dot(matrix + r * d, basis + i * d, d);
            memcpy(basis, next, k * d * sizeof *basis);
            orthonormalise(basis, k, d);
        }
        for (size_t i = 0; i < k * d; i++)
            out[i] = (float)basis[i];
    }
    fathom_free(basis);
    fathom_free(next);
    return status;
}
