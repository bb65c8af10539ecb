/* Maps that whiten: what they make of rows' spreads and correlations, and that they undo each other. */
#include <base/error.h>
#include <base/memory.h>
#include <base/random.h>
#include <dictionary/vector.h>
#include <dictionary/whitening.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { D = 19, STEP = 24, ROWS = 4000, STRIDE = 32, CONSTANT = 7 };

/* Dimension j has the deviation 10^(j / 6), every dimension shares half of its variance with the one before, and one
 * never varies. */
static void make_rows(float *rows) {
    struct fathom__random random;
    fathom__random_seed(&random, 5);
    for (size_t r = 0; r < ROWS; r++) {
        double last = 0;
        for (size_t j = 0; j < D; j++) {
            last = sqrt(0.5) * last + sqrt(0.5) * fathom__random_normal(&random);
            rows[r * STEP + j] = (float)(3 + last * pow(10, (double)j / 6));
        }
        rows[r * STEP + CONSTANT] = 4;
    }
}

/* Covariances of the mapped rows, f64 [D, D]. */
static void find_covariance(double *out, const float *rows, const struct fathom__map *map) {
    double mean[D] = {0};
    float *mapped = calloc(ROWS, STRIDE * sizeof *mapped);
    assert_non_null(mapped);
    for (size_t r = 0; r < ROWS; r++) {
        memcpy(mapped + r * STRIDE, rows + r * STEP, D * sizeof *mapped);
        fathom__map_apply(mapped + r * STRIDE, map);
        for (size_t j = 0; j < D; j++)
            mean[j] += mapped[r * STRIDE + j] / ROWS;
    }
    memset(out, 0, D * D * sizeof *out);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t a = 0; a < D; a++)
            for (size_t b = 0; b < D; b++)
                out[a * D + b] += (mapped[r * STRIDE + a] - mean[a]) * (mapped[r * STRIDE + b] - mean[b]) / ROWS;
    free(mapped);
}

static void check_inverse(const struct fathom__map *forward, const struct fathom__map *backward, const float *rows) {
    float x[STRIDE] = {0}, y[STRIDE] = {0}, transposed[STRIDE] = {0};
    memcpy(x, rows, D * sizeof *x);
    fathom__map_apply(x, forward);
    for (size_t j = 0; j < D; j++)
        y[j] = transposed[j] = (float)j - 5;
    const double left = (double)fathom__dot(x, y, STRIDE);
    fathom__map_apply_transposed(transposed, forward);
    double right = 0;
    for (size_t j = 0; j < D; j++)
        right += (double)transposed[j] * rows[j];
    assert_true(fabs(left - right) < 1e-3 * fabs(left));
    fathom__map_apply(x, backward);
    for (size_t j = 0; j < D; j++)
        assert_true(fabsf(x[j] - rows[j]) < 1e-4F * (fabsf(rows[j]) + 1));
    for (size_t j = D; j < STRIDE; j++)
        assert_true(x[j] == 0);
}

static void test_diagonal(void **state) {
    (void)state;
    static float rows[ROWS * STEP];
    struct fathom__map forward = {0}, backward = {0};
    double covariance[D * D];
    make_rows(rows);
    assert_int_equal(fathom__whitening_fit(&forward, &backward, rows, ROWS, D, STEP, false), 0);
    find_covariance(covariance, rows, &forward);
    for (size_t j = 0; j < D; j++)
        assert_true(j == CONSTANT ? covariance[j * D + j] < 1e-6 : fabs(covariance[j * D + j] - 1) < 1e-3);
    assert_true(covariance[2 * D + 1] > 0.5); /* what dimensions share stays */
    check_inverse(&forward, &backward, rows);
    assert_int_equal(fathom__map_count(&forward), D);
    fathom__map_close(&forward);
    fathom__map_close(&backward);
}

static void test_full(void **state) {
    (void)state;
    static float rows[ROWS * STEP];
    struct fathom__map forward = {0}, backward = {0}, copy = {0};
    double covariance[D * D];
    float weights[D * D];
    make_rows(rows);
    assert_int_equal(fathom__whitening_fit(&forward, &backward, rows, ROWS, D, STEP, true), 0);
    find_covariance(covariance, rows, &forward);
    for (size_t a = 0; a < D; a++)
        for (size_t b = 0; b < D; b++)
            if (a != CONSTANT && b != CONSTANT)
                assert_true(fabs(covariance[a * D + b] - (a == b ? 1 : 0)) < 0.1); /* shrunk by 2 % */
    check_inverse(&forward, &backward, rows);
    assert_int_equal(fathom__map_count(&forward), D * D);
    fathom__map_weights(weights, &forward);
    assert_int_equal(fathom__map_open(&copy, weights, D, false), 0);
    check_inverse(&copy, &backward, rows);
    fathom__map_close(&copy);
    fathom__map_close(&forward);
    fathom__map_close(&backward);
}

static void test_not_finite(void **state) {
    (void)state;
    static float rows[ROWS * STEP];
    struct fathom__map forward = {0}, backward = {0};
    make_rows(rows);
    rows[17 * STEP + 3] = NAN;
    assert_int_equal(fathom__whitening_fit(&forward, &backward, rows, ROWS, D, STEP, false), FATHOM_ERROR_NUMERIC);
    assert_non_null(strstr(fathom_error_message(), "dimension 3"));
    assert_null(forward.weights);
    assert_null(backward.weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_diagonal), cmocka_unit_test(test_full),
                                       cmocka_unit_test(test_not_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
