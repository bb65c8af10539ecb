#include "base/random.h"
#include <fathom/detect.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double auroc_of(const double *scores, const int8_t *labels, size_t n) {
    double out = -1;
    assert_int_equal(fathom_auroc(&out, scores, labels, n), FATHOM_OK);
    return out;
}

static void auroc_of_known_sets(void **state) {
    (void)state;
    const double rising[] = {1, 2, 3, 4}, mixed[] = {0.1, 0.4, 0.35, 0.8}, tied[] = {5, 5, 5, 5};
    const double half_tied[] = {1, 2, 2, 3}, endless[] = {-INFINITY, 0, 1, INFINITY};
    const int8_t labels[] = {0, 0, 1, 1}, reversed[] = {1, 1, 0, 0}, woven[] = {0, 1, 0, 1};
    assert_true(auroc_of(rising, labels, 4) == 1.0);
    assert_true(auroc_of(rising, reversed, 4) == 0.0);
    assert_true(auroc_of(mixed, labels, 4) == 0.75);
    assert_true(auroc_of(tied, labels, 4) == 0.5);
    /* Pairs: 2 over 1 wins, 2 over 2 ties, 3 over 1 and 3 over 2 win: 3.5 of 4. */
    assert_true(auroc_of(half_tied, woven, 4) == 0.875);
    assert_true(auroc_of(endless, labels, 4) == 1.0);
}

static void auroc_equals_counting_pairs(void **state) {
    (void)state;
    enum { N = 300 };
    double scores[N];
    int8_t labels[N];
    struct fathom__random random;
    fathom__random_seed(&random, 11);
    double wins = 0, pairs = 0;
    for (size_t i = 0; i < N; i++) {
        scores[i] = (double)fathom__random_below(&random, 25); /* few values: many ties */
        labels[i] = (int8_t)(fathom__random_below(&random, 3) == 0);
    }
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++) {
            if (labels[i] == 1 && labels[j] == 0) {
                pairs++;
                wins += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
            }
        }
    }
    assert_true(fabs(auroc_of(scores, labels, N) - wins / pairs) < 1e-12);
}

static void unlabelled_items_do_not_count(void **state) {
    (void)state;
    const double scores[] = {1, NAN, 2, 3};
    const int8_t labels[] = {0, -1, 1, 1};
    assert_true(auroc_of(scores, labels, 4) == 1.0);
}

static void auroc_refuses_what_has_none(void **state) {
    (void)state;
    const double scores[] = {1, 2}, broken[] = {1, NAN};
    const int8_t positives[] = {1, 1}, labels[] = {0, 1};
    double out = 7;
    assert_int_equal(fathom_auroc(&out, scores, positives, 2), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "2 positives and 0 negatives"));
    assert_int_equal(fathom_auroc(&out, NULL, NULL, 0), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_auroc(&out, broken, labels, 2), FATHOM_ERROR_NUMERIC);
    assert_true(out == 7);
}

/* Scores of two normal classes one deviation apart: AUROC is Φ(1 / √2) = 0.760. */
static void draw_classes(double *scores, int8_t *labels, size_t n, uint64_t seed) {
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (size_t i = 0; i < n; i++) {
        labels[i] = (int8_t)(i % 2);
        scores[i] = fathom__random_normal(&random) + (double)labels[i];
    }
}

static void interval_holds_the_truth_and_narrows(void **state) {
    (void)state;
    enum { FEW = 60, MANY = 2000 };
    static double scores[MANY];
    static int8_t labels[MANY];
    double low = 0, high = 0, again_low = 0, again_high = 0, wide = 0;
    draw_classes(scores, labels, FEW, 3);
    assert_int_equal(fathom_auroc_interval(&low, &high, scores, labels, FEW, 0.95, 1000, 5), FATHOM_OK);
    assert_true(low < 0.76 && high > 0.76);
    wide = high - low;
    assert_true(wide > 0.15 && wide < 0.40); /* the standard error of 30 against 30 is near 0.06 */
    assert_int_equal(fathom_auroc_interval(&again_low, &again_high, scores, labels, FEW, 0.95, 1000, 5), FATHOM_OK);
    assert_true(low == again_low && high == again_high);
    draw_classes(scores, labels, MANY, 3);
    assert_int_equal(fathom_auroc_interval(&low, &high, scores, labels, MANY, 0.95, 500, 5), FATHOM_OK);
    assert_true(low < 0.76 && high > 0.76 && high - low < wide / 3);
}

static void interval_of_separated_classes_is_a_point(void **state) {
    (void)state;
    const double scores[] = {1, 2, 3, 4};
    const int8_t labels[] = {0, 0, 1, 1};
    double low = 0, high = 0;
    assert_int_equal(fathom_auroc_interval(&low, &high, scores, labels, 4, 0.9, 100, 1), FATHOM_OK);
    assert_true(low == 1 && high == 1);
    assert_int_equal(fathom_auroc_interval(&low, &high, scores, labels, 4, 1.0, 100, 1), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_auroc_interval(&low, &high, scores, labels, 4, 0.9, 99, 1), FATHOM_ERROR_ARGUMENT);
}

static void alerts_are_counted(void **state) {
    (void)state;
    const double scores[] = {0.9, 0.5, 0.4, 0.5, NAN, 2};
    const int8_t labels[] = {1, 1, 1, 0, 1, -1};
    struct fathom_counts counts;
    fathom_count_alerts(&counts, scores, labels, 6, 0.5);
    assert_int_equal(counts.true_positive, 2);
    assert_int_equal(counts.false_negative, 2);
    assert_int_equal(counts.false_positive, 1);
    assert_int_equal(counts.true_negative, 0);
    assert_true(fathom_balanced_accuracy(&counts) == 0.25);
    counts.false_positive = 0;
    assert_true(isnan(fathom_balanced_accuracy(&counts)));
}

static void best_level_lies_in_the_widest_gap(void **state) {
    (void)state;
    const double scores[] = {0, 1, 2, 6, 7, 8};
    const int8_t labels[] = {0, 0, 0, 1, 1, 1};
    struct fathom_threshold threshold;
    assert_int_equal(fathom_threshold_choose(&threshold, scores, labels, 6, 0), FATHOM_OK);
    assert_true(threshold.level == 4 && threshold.recall == 1 && threshold.false_positive_rate == 0);
    assert_int_equal(threshold.counts.true_positive, 3);
    assert_int_equal(threshold.counts.true_negative, 3);
}

static void best_level_trades_errors(void **state) {
    (void)state;
    /* Cutting at 2 keeps all positives and lets one of four negatives through: 1 - 1/4 beats 2/3 - 0. */
    const double scores[] = {0, 0, 1, 3, 2, 4, 5};
    const int8_t labels[] = {0, 0, 0, 0, 1, 1, 1};
    struct fathom_threshold threshold;
    assert_int_equal(fathom_threshold_choose(&threshold, scores, labels, 7, 0), FATHOM_OK);
    assert_true(threshold.level == 1.5 && threshold.recall == 1 && threshold.false_positive_rate == 0.25);
}

static void a_rate_needs_ten_times_its_inverse(void **state) {
    (void)state;
    enum { NEEDED = 10000, N = NEEDED + 10 };
    static double scores[N];
    static int8_t labels[N];
    struct fathom_threshold threshold;
    for (size_t i = 0; i < N; i++) {
        labels[i] = i >= NEEDED;
        scores[i] = labels[i] ? (double)N : (double)i;
    }
    assert_int_equal(fathom_threshold_choose(&threshold, scores + 1, labels + 1, N - 1, 0.001), FATHOM_ERROR_LIMIT);
    assert_non_null(strstr(fathom_error_message(), "from 10000 negatives on; there are 9999"));
    assert_int_equal(fathom_threshold_choose(&threshold, scores, labels, N, 0.001), FATHOM_OK);
    assert_int_equal(threshold.counts.false_positive, 10);
    assert_true(threshold.level == NEEDED - 10.5 && threshold.recall == 1 && threshold.false_positive_rate == 0.001);
    assert_int_equal(fathom_threshold_choose(&threshold, scores, labels, N, -0.1), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_threshold_choose(&threshold, scores, labels, N, 1), FATHOM_ERROR_ARGUMENT);
}

static void a_tie_across_the_rate_never_alerts(void **state) {
    (void)state;
    enum { N = 110 };
    static double scores[N];
    static int8_t labels[N];
    struct fathom_threshold threshold;
    for (size_t i = 0; i < N; i++) {
        labels[i] = i >= 100;
        scores[i] = 1;
    }
    assert_int_equal(fathom_threshold_choose(&threshold, scores, labels, N, 0.1), FATHOM_OK);
    assert_true(threshold.level > 1 && threshold.recall == 0 && threshold.false_positive_rate == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auroc_of_known_sets),
        cmocka_unit_test(auroc_equals_counting_pairs),
        cmocka_unit_test(unlabelled_items_do_not_count),
        cmocka_unit_test(auroc_refuses_what_has_none),
        cmocka_unit_test(interval_holds_the_truth_and_narrows),
        cmocka_unit_test(interval_of_separated_classes_is_a_point),
        cmocka_unit_test(alerts_are_counted),
        cmocka_unit_test(best_level_lies_in_the_widest_gap),
        cmocka_unit_test(best_level_trades_errors),
        cmocka_unit_test(a_rate_needs_ten_times_its_inverse),
        cmocka_unit_test(a_tie_across_the_rate_never_alerts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
