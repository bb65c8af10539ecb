#include "catalogue/extremes.h"

#include "base/random.h"

#include <fathom/error.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NX = 300, NY = 1000, D = 40, K = 5 }; /* more than a tile of either, and a width that must be padded */

static float *x, *y;

static int set_up(void **state) {
    struct fathom__random random;
    (void)state;
    fathom__random_seed(&random, 3);
    x = malloc(NX * D * sizeof *x);
    y = malloc(NY * D * sizeof *y);
    if (!x || !y) return -1;
    for (int i = 0; i < NX * D; i++)
        x[i] = (float)fathom__random_normal(&random);
    for (int i = 0; i < NY * D; i++)
        y[i] = (float)fathom__random_normal(&random);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(x);
    free(y);
    return 0;
}

static double product(const float *a, const float *b) {
    double sum = 0;
    for (int i = 0; i < D; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Place r of the order by plain sorting: how many of all products are larger (or smaller) than this one. */
static int rank_of(const float *row, uint32_t index, int sign, int self) {
    const double value = product(row, y + (size_t)index * D);
    int before = 0;
    for (int i = 0; i < NY; i++)
        before += i != self && sign * product(row, y + (size_t)i * D) > sign * value;
    return before;
}

static void extremes_are_those_of_all_products(void **state) {
    (void)state;
    struct fathom__extreme largest[NX * K], smallest[NX * K];
    const struct fathom__extremes_task task = {
        .x = x, .y = y, .n_x = NX, .n_y = NY, .d = D, .k = K, .n_threads = 2, .stage = "test"};
    assert_int_equal(fathom__extremes(largest, smallest, &task), FATHOM_OK);
    for (int row = 0; row < NX; row += 13)
        for (int i = 0; i < K; i++) {
            const struct fathom__extreme high = largest[row * K + i], low = smallest[row * K + i];
            assert_int_equal(rank_of(x + row * D, high.index, 1, -1), i);
            assert_int_equal(rank_of(x + row * D, low.index, -1, -1), i);
            assert_true(fabs((double)high.value - product(x + row * D, y + (size_t)high.index * D)) < 1e-5);
        }
}

static void a_row_is_not_its_own_neighbour(void **state) {
    (void)state;
    struct fathom__extreme largest[NY * K];
    const struct fathom__extremes_task task = {
        .x = y, .y = y, .n_x = NY, .n_y = NY, .d = D, .k = K, .not_itself = true, .n_threads = 1, .stage = "test"};
    assert_int_equal(fathom__extremes(largest, NULL, &task), FATHOM_OK);
    for (int row = 0; row < NY; row += 37)
        for (int i = 0; i < K; i++) {
            assert_int_not_equal(largest[row * K + i].index, row);
            assert_int_equal(rank_of(y + row * D, largest[row * K + i].index, 1, row), i);
        }
}

static void too_few_rows_leave_places_empty(void **state) {
    (void)state;
    struct fathom__extreme largest[2 * K];
    const struct fathom__extremes_task task = {
        .x = x, .y = y, .n_x = 2, .n_y = 3, .d = D, .k = K, .n_threads = 1, .stage = "test"};
    assert_int_equal(fathom__extremes(largest, NULL, &task), FATHOM_OK);
    assert_int_not_equal(largest[2].index, UINT32_MAX);
    assert_int_equal(largest[3].index, UINT32_MAX);
    assert_true(largest[0].value >= largest[1].value && largest[1].value >= largest[2].value);
}

static int stop(const struct fathom_progress *progress, void *payload) {
    (void)payload;
    assert_string_equal(progress->unit, "features");
    return 1;
}

static void stopping_is_reported(void **state) {
    (void)state;
    struct fathom__extreme largest[NX * K];
    const struct fathom__extremes_task task = {
        .x = x, .y = y, .n_x = NX, .n_y = NY, .d = D, .k = K, .n_threads = 2, .stage = "effects", .progress = stop};
    assert_int_equal(fathom__extremes(largest, NULL, &task), FATHOM_ERROR_STOPPED);
    assert_string_equal(fathom_error_message(), "stopped by the caller");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extremes_are_those_of_all_products),
        cmocka_unit_test(a_row_is_not_its_own_neighbour),
        cmocka_unit_test(too_few_rows_leave_places_empty),
        cmocka_unit_test(stopping_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
