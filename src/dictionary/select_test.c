/* The streamed selection against sorting everything. */
#include <base/random.h>
#include <dictionary/select.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { WIDTH = 256, TILES = 9, FEATURES = WIDTH * TILES - 37 };

static int descending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* The k largest positive values by sorting, ties to the smaller feature. */
static size_t by_sorting(uint64_t *out, const float *values, size_t n, size_t k) {
    size_t positive = 0;
    for (uint32_t i = 0; i < n; i++)
        if (values[i] > 0) out[positive++] = fathom__key(values[i], i);
    qsort(out, positive, sizeof *out, descending);
    return positive < k ? positive : k;
}

static void check(const float *values, size_t k) {
    static uint64_t expected[WIDTH * TILES], keys[WIDTH * TILES * 4];
    static const float no_bias[WIDTH];
    struct fathom__candidates candidates = {keys, 0, 0};
    assert_true(fathom__candidate_room(k, WIDTH) <= sizeof keys / sizeof *keys);
    for (uint32_t tile = 0; tile < TILES; tile++) {
        const uint32_t first = tile * WIDTH;
        fathom__offer(&candidates, k, values + first, no_bias, first,
                      FEATURES - first < WIDTH ? FEATURES - first : WIDTH);
        assert_true(candidates.n <= fathom__candidate_room(k, WIDTH));
    }
    fathom__settle(&candidates, k);
    const size_t n = by_sorting(expected, values, FEATURES, k);
    assert_int_equal(candidates.n, n);
    qsort(candidates.keys, n, sizeof *keys, descending);
    assert_memory_equal(candidates.keys, expected, n * sizeof *expected);
}

static void test_random(void **state) {
    (void)state;
    static float values[WIDTH * TILES];
    struct fathom__random random;
    fathom__random_seed(&random, 1);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < FEATURES; i++)
            values[i] = (float)fathom__random_normal(&random);
        check(values, 1);
        check(values, 32);
        check(values, 500);
    }
}

static void test_ties(void **state) {
    (void)state;
    static float values[WIDTH * TILES];
    struct fathom__random random;
    fathom__random_seed(&random, 2);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < FEATURES; i++)
            values[i] = (float)fathom__random_below(&random, 4) - 1; /* -1, 0, 1, 2 */
        check(values, 32);
        check(values, 700);
    }
}

static void test_few_positive(void **state) {
    (void)state;
    static float values[WIDTH * TILES];
    for (int i = 0; i < FEATURES; i++)
        values[i] = -1;
    check(values, 32);
    values[3] = values[FEATURES - 1] = 0.5F;
    check(values, 32);
}

/* Ascending and descending values: every tile raises the floor, or none does. */
static void test_ordered(void **state) {
    (void)state;
    static float values[WIDTH * TILES];
    for (int i = 0; i < FEATURES; i++)
        values[i] = (float)(i + 1);
    check(values, 32);
    for (int i = 0; i < FEATURES; i++)
        values[i] = (float)(FEATURES - i);
    check(values, 32);
}

static void test_select_keys(void **state) {
    (void)state;
    struct fathom__random random;
    fathom__random_seed(&random, 3);
    for (int round = 0; round < 2000; round++) {
        uint64_t keys[100], sorted[100];
        const size_t n = 1 + fathom__random_below(&random, 100), k = fathom__random_below(&random, n + 1);
        for (size_t i = 0; i < n; i++)
            sorted[i] = keys[i] = round % 2 ? fathom__random_next(&random) : fathom__random_below(&random, 5);
        qsort(sorted, n, sizeof *sorted, descending);
        fathom__select_keys(keys, n, k);
        qsort(keys, k, sizeof *keys, descending);
        assert_memory_equal(keys, sorted, k * sizeof *keys);
    }
}

static void test_offer_above(void **state) {
    (void)state;
    const float values[20] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
    float bias[20] = {0};
    uint64_t keys[20];
    size_t n = 0;
    bias[2] = 20;
    fathom__offer_above(keys, &n, 16.5F, values, bias, 100, 19);
    assert_int_equal(n, 3);
    assert_int_equal(fathom__key_feature(keys[0]), 102);
    assert_true(fathom__key_value(keys[0]) == 22.0F);
    assert_int_equal(fathom__key_feature(keys[1]), 117);
    assert_int_equal(fathom__key_feature(keys[2]), 118); /* 119 lies past n_valid */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),  cmocka_unit_test(test_ties),        cmocka_unit_test(test_few_positive),
        cmocka_unit_test(test_ordered), cmocka_unit_test(test_select_keys), cmocka_unit_test(test_offer_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
