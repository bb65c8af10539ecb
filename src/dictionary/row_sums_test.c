/* Sums of rows and products with rows against sums in double, for widths with and without a rest. */
#include <base/random.h>
#include <dictionary/row_sums.h>
#include <dictionary/vector.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { MATRIX_ROWS = 40, MOST_WIDTH = 1168, MOST_ROWS = 33 };

static uint16_t matrix[MATRIX_ROWS * MOST_WIDTH], weight[MOST_ROWS], x[MOST_WIDTH];
static uint32_t number[MOST_ROWS];

static uint16_t random_bf16(struct fathom__random *random) {
    return fathom__bf16((float)fathom__random_normal(random));
}

static void check(size_t width, size_t n) {
    struct fathom__random random;
    float sum[MOST_WIDTH], products[MOST_ROWS];
    fathom__random_seed(&random, width * MOST_ROWS + n);
    for (size_t i = 0; i < MATRIX_ROWS * width; i++)
        matrix[i] = random_bf16(&random);
    for (size_t j = 0; j < width; j++) {
        x[j] = random_bf16(&random);
        sum[j] = (float)j;
    }
    for (size_t i = 0; i < n; i++) {
        weight[i] = random_bf16(&random);
        number[i] = (uint32_t)(i * 7 % MATRIX_ROWS);
    }
    const struct fathom__some_rows rows = {matrix, width, number, n};
    fathom__add_rows(sum, weight, &rows);
    fathom__dot_rows(products, x, &rows);
    for (size_t j = 0; j < width; j++) {
        double expected = (double)j;
        for (size_t i = 0; i < n; i++)
            expected += (double)fathom__from_bf16(weight[i]) * fathom__from_bf16(matrix[number[i] * width + j]);
        assert_true(fabs(sum[j] - expected) < 1e-5 * (1 + fabs(expected)) * sqrt((double)n + 1));
    }
    for (size_t i = 0; i < n; i++) {
        double expected = 0;
        for (size_t j = 0; j < width; j++)
            expected += (double)fathom__from_bf16(x[j]) * fathom__from_bf16(matrix[number[i] * width + j]);
        assert_true(fabs(products[i] - expected) < 1e-6 * (double)width);
    }
}

static void test_sums(void **state) {
    (void)state;
    const size_t widths[] = {16, 32, 48, 64, 96, 192, 384, 400, 576, 640, 1168}, counts[] = {0, 1, 2, 3, 4, 5, 32, 33};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            check(widths[w], counts[c]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
