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

struct entry {
    float value;
    uint32_t feature;
};

static int by_value(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? 1 : -1;
    return (x->feature > y->feature) - (x->feature < y->feature);
}
static int by_feature(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return (x->feature > y->feature) - (x->feature < y->feature);
}

/* The k largest positive values by sorting, ties to the smaller feature; then by feature. */
static size_t by_sorting(struct entry *out, const float *values, size_t n, size_t k) {
    size_t positive = 0;
    for (uint32_t i = 0; i < n; i++)
        if (values[i] > 0) out[positive++] = (struct entry){values[i], i};
    qsort(out, positive, sizeof *out, by_value);
    const size_t kept = positive < k ? positive : k;
    qsort(out, kept, sizeof *out, by_feature);
    return kept;
}

static void check(const float *values, size_t k) {
    static struct entry expected[WIDTH * TILES];
    static const float no_bias[WIDTH];
    const size_t room = fathom__candidate_room(k); /* no more, so that a sanitizer sees a write past it */
    float *chosen = malloc(room * sizeof *chosen);
    uint32_t *features = malloc(room * sizeof *features);
    struct fathom__candidates candidates = {chosen, features, 0, 0};
    assert_non_null(chosen);
    assert_non_null(features);
    for (uint32_t tile = 0; tile < TILES; tile++) {
        const uint32_t first = tile * WIDTH;
        fathom__offer(&candidates, k, values + first, no_bias, first,
                      FEATURES - first < WIDTH ? FEATURES - first : WIDTH);
        assert_true(candidates.n + FATHOM__OFFER_SLACK <= room);
    }
    fathom__settle(&candidates, k);
    const size_t n = by_sorting(expected, values, FEATURES, k);
    assert_int_equal(candidates.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(candidates.features[i], expected[i].feature);
        assert_true(candidates.values[i] == expected[i].value);
    }
    free(chosen);
    free(features);
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

static void test_offer_above(void **state) {
    (void)state;
    const float values[20] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
    float bias[20] = {0}, chosen[20 + FATHOM__OFFER_SLACK];
    uint32_t features[20 + FATHOM__OFFER_SLACK];
    size_t n = 0;
    bias[2] = 20;
    fathom__offer_above(chosen, features, &n, 16.5F, values, bias, 100, 19);
    assert_int_equal(n, 3);
    assert_int_equal(features[0], 102);
    assert_true(chosen[0] == 22.0F);
    assert_int_equal(features[1], 117);
    assert_int_equal(features[2], 118); /* 119 lies past n */
    n = 0;
    fathom__offer_above(chosen, features, &n, -1.0F, values, bias, 0, 5); /* a floor below zero */
    assert_int_equal(n, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),  cmocka_unit_test(test_ties),        cmocka_unit_test(test_few_positive),
        cmocka_unit_test(test_ordered), cmocka_unit_test(test_offer_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
