#include <base/random.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The generators' published test vectors. */
static void test_xoshiro(void **state) {
    (void)state;
    static const uint64_t expected[] = {
        UINT64_C(11520),
        UINT64_C(0),
        UINT64_C(1509978240),
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777),
        UINT64_C(2904607092377533576),
    };
    struct fathom__random random = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true(fathom__random_next(&random) == expected[i]);
}

static void test_seeding_is_splitmix64(void **state) {
    (void)state;
    struct fathom__random random;
    fathom__random_seed(&random, 1234567);
    assert_true(random.state[0] == UINT64_C(6457827717110365317));
    assert_true(random.state[1] == UINT64_C(3203168211198807973));
    assert_true(random.state[2] == UINT64_C(9817491932198370423));
    assert_true(random.state[3] == UINT64_C(4593380528125082431));
}

static void test_below_is_even(void **state) {
    (void)state;
    enum { BINS = 7, DRAWS = 70000 };
    struct fathom__random random;
    int counts[BINS] = {0};
    fathom__random_seed(&random, 1);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t drawn = fathom__random_below(&random, BINS);
        assert_in_range(drawn, 0, BINS - 1);
        counts[drawn]++;
    }
    for (int i = 0; i < BINS; i++)
        assert_in_range(counts[i], DRAWS / BINS - 500, DRAWS / BINS + 500);
    assert_int_equal(fathom__random_below(&random, 1), 0);
    /* Just above half of the range nearly every second draw is rejected; the mean shows that none was folded back. */
    double sum = 0, bound = 0x1p63 + 2048;
    for (int i = 0; i < 10000; i++)
        sum += (double)fathom__random_below(&random, (UINT64_C(1) << 63) + 1) / bound;
    assert_true(fabs(sum / 10000 - 0.5) < 0.015);
}

static void test_unit_and_normal(void **state) {
    (void)state;
    enum { DRAWS = 100000 };
    struct fathom__random random;
    fathom__random_seed(&random, 2);
    double unit = 0, sum = 0, squares = 0;
    int beyond_two = 0;
    for (int i = 0; i < DRAWS; i++) {
        double drawn = fathom__random_unit(&random);
        assert_true(drawn >= 0 && drawn < 1);
        unit += drawn;
        double normal = fathom__random_normal(&random);
        assert_true(isfinite(normal));
        sum += normal;
        squares += normal * normal;
        beyond_two += fabs(normal) > 2;
    }
    assert_true(fabs(unit / DRAWS - 0.5) < 0.005);
    assert_true(fabs(sum / DRAWS) < 0.015);
    assert_true(fabs(squares / DRAWS - 1) < 0.02);
    assert_true(fabs((double)beyond_two / DRAWS - 0.0455) < 0.003);
}

static void test_shuffle_is_a_permutation(void **state) {
    (void)state;
    enum { N = 1000 };
    struct fathom__random random;
    uint32_t items[N], again[N];
    bool seen[N] = {false};
    size_t fixed = 0;
    for (uint32_t i = 0; i < N; i++)
        items[i] = again[i] = i;
    fathom__random_seed(&random, 3);
    fathom__random_shuffle(&random, items, N);
    for (uint32_t i = 0; i < N; i++) {
        assert_false(seen[items[i]]);
        seen[items[i]] = true;
        fixed += items[i] == i;
    }
    assert_in_range(fixed, 0, 10);
    fathom__random_seed(&random, 3);
    fathom__random_shuffle(&random, again, N);
    assert_memory_equal(items, again, sizeof items);
    fathom__random_shuffle(&random, items, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xoshiro),
        cmocka_unit_test(test_seeding_is_splitmix64),
        cmocka_unit_test(test_below_is_even),
        cmocka_unit_test(test_unit_and_normal),
        cmocka_unit_test(test_shuffle_is_a_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
