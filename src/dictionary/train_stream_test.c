/* Rows on their way to training: what is left out, held out, mixed. */
#include <dictionary/train_stream.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { D = 4, POOL = 50 };

static void offer(struct fathom__rows *rows, float size, int32_t position, uint64_t document) {
    const float row[D] = {size, 0, 0, 0};
    assert_int_equal(fathom__rows_offer(rows, row, position, document), 0);
}

static void test_exclusion(void **state) {
    (void)state;
    struct fathom__rows rows;
    assert_int_equal(fathom__rows_open(&rows, D, 10, POOL, 1), 0);
    rows.skip_positions = 2;
    rows.norm_multiple = 8;
    for (int i = 0; i < 10; i++)
        offer(&rows, i == 4 ? 1000 : 2, 2 + i, 0);
    offer(&rows, 2, 12, 0); /* the rest of the last held-out document */
    assert_int_equal(rows.n_pool, 0);
    assert_true(rows.held_out_complete);
    assert_int_equal(rows.n_held_out, 9); /* the outlier is none of them */
    assert_true(rows.max_norm == 16);
    offer(&rows, 2, 0, 1);
    offer(&rows, 2, 1, 1);
    assert_int_equal(rows.skipped_positions, 2);
    offer(&rows, 15.9F, 2, 1);
    offer(&rows, 16.1F, 3, 1);
    assert_int_equal(rows.skipped_norms, 2);
    assert_int_equal(rows.n_pool, 1);
    assert_true(rows.pool[0] == 15.9F);
    fathom__rows_close(&rows);
}

static void test_no_exclusion(void **state) {
    (void)state;
    struct fathom__rows rows;
    assert_int_equal(fathom__rows_open(&rows, D, 3, POOL, 1), 0);
    rows.norm_multiple = -1;
    for (int i = 0; i < 4; i++)
        offer(&rows, 1, 0, (uint64_t)i);
    offer(&rows, 1e6F, 0, 9);
    assert_int_equal(rows.n_pool, 2);
    assert_int_equal(rows.skipped_norms, 0);
    assert_true(isinf(rows.max_norm));
    fathom__rows_close(&rows);
}

/* Every row comes out once; the order is mixed, and the same for the same seed. */
static void test_mixing(void **state) {
    (void)state;
    float drawn[2][POOL * D];
    for (int round = 0; round < 2; round++) {
        struct fathom__rows rows;
        assert_int_equal(fathom__rows_open(&rows, D, 1, POOL, 7), 0);
        offer(&rows, 1, 0, 0);
        for (int i = 0; i < POOL; i++) {
            assert_false(fathom__rows_full(&rows));
            offer(&rows, (float)i, 0, 1);
        }
        assert_true(fathom__rows_full(&rows));
        fathom__rows_draw(drawn[round], &rows, POOL - 10);
        fathom__rows_draw(drawn[round] + (POOL - 10) * D, &rows, 10);
        assert_int_equal(rows.n_pool, 0);
        fathom__rows_close(&rows);
    }
    int seen[POOL] = {0}, in_place = 0;
    for (int i = 0; i < POOL; i++) {
        seen[(int)drawn[0][i * D]]++;
        in_place += (int)drawn[0][i * D] == i;
    }
    for (int i = 0; i < POOL; i++)
        assert_int_equal(seen[i], 1);
    assert_true(in_place < POOL / 5);
    assert_memory_equal(drawn[0], drawn[1], sizeof drawn[0]);
}

static void test_short_corpus(void **state) {
    (void)state;
    struct fathom__rows rows;
    assert_int_equal(fathom__rows_open(&rows, D, 10, POOL, 1), 0);
    assert_int_equal(fathom__rows_settle(&rows), FATHOM_ERROR_FORMAT);
    fathom__rows_close(&rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exclusion), cmocka_unit_test(test_no_exclusion),
                                       cmocka_unit_test(test_mixing), cmocka_unit_test(test_short_corpus)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
