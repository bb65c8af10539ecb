/* The curve of scores that are told by hand. */
#include "roc.h"
#include "tests/support/check.h"
#include <math.h>

static void is_point(const json_t *curve, size_t at, double wrong, double right) {
    const json_t *point = json_array_get(curve, at);
    assert_true(fabs(json_real_value(json_array_get(point, 0)) - wrong) < 1e-12);
    assert_true(fabs(json_real_value(json_array_get(point, 1)) - right) < 1e-12);
}

/* Ties are one step; what has no label or no score is left out. */
static void steps_follow_the_scores(void **state) {
    (void)state;
    const double scores[] = {0.1, 3, 2, 2, NAN, 9, 1};
    const int8_t labels[] = {0, 1, 1, 0, 1, -1, 1};
    json_t *curve = roc_json(scores, labels, sizeof scores / sizeof *scores);
    assert_int_equal(json_array_size(curve), 5);
    is_point(curve, 0, 0, 0);
    is_point(curve, 1, 0, 1.0 / 3);
    is_point(curve, 2, 0.5, 2.0 / 3);
    is_point(curve, 3, 0.5, 1);
    is_point(curve, 4, 1, 1);
    json_decref(curve);
}

static void long_curves_are_thinned(void **state) {
    (void)state;
    enum { TEXTS = 5000 };
    static double scores[TEXTS];
    static int8_t labels[TEXTS];
    for (int i = 0; i < TEXTS; i++) {
        scores[i] = i;
        labels[i] = i % 3 == 0;
    }
    json_t *curve = roc_json(scores, labels, TEXTS);
    assert_in_range(json_array_size(curve), 300, 402);
    is_point(curve, json_array_size(curve) - 1, 1, 1);
    json_decref(curve);
}

static void one_class_has_no_curve(void **state) {
    (void)state;
    const double scores[] = {1, 2};
    const int8_t labels[] = {1, 1};
    assert_null(roc_json(scores, labels, 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_the_scores),
        cmocka_unit_test(long_curves_are_thinned),
        cmocka_unit_test(one_class_has_no_curve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
