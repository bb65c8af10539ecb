/* Directions out of rows that are told by hand. */
#include "base/scratch.h"
#include "steer/direction.h"
#include "tests/support/tiny_model.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N = 6, WIDTH = 2 };

/* Pairs (0, 1), (2, 3), (4, 5), the positive first; an unlabelled row never counts. */
static const int8_t labels[N] = {1, 0, 1, 0, 1, 0};
static const bool all_read[N] = {true, true, true, true, true, true};

static struct fathom__class_rows with(const float *rows) {
    return (struct fathom__class_rows){rows, all_read, labels, N, WIDTH, 1};
}

static void means_are_subtracted(void **state) {
    (void)state;
    const float rows[N * WIDTH] = {1, 0, 4, 1, 2, 0, 4, 1, 3, 3, 1, 7};
    float out[WIDTH] = {0, 0};
    struct fathom__class_rows given = with(rows);
    const bool some[N] = {true, true, true, true, false, false};
    assert_int_equal(fathom__fit_means(out, &given), FATHOM_OK);
    assert_true(fabsf(out[0] - (2 - 3)) < 1e-6f && fabsf(out[1] - (1 - 3)) < 1e-6f);
    given.read = some;
    out[0] = out[1] = 0;
    assert_int_equal(fathom__fit_means(out, &given), FATHOM_OK);
    assert_true(fabsf(out[0] - (1.5f - 4)) < 1e-6f && fabsf(out[1] + 1) < 1e-6f);
}

static void a_component_is_the_longest_axis_of_the_pairs(void **state) {
    (void)state;
    /* Differences (2, 1), (4, 2) and (1, -2): the second moment has the axes (2, 1) / √5 and (1, -2) / √5. */
    const float rows[N * WIDTH] = {12, 6, 10, 5, 3, 2, -1, 0, 1, -2, 0, 0};
    float means[WIDTH] = {7.0f / 3, 1.0f / 3};
    float out[WIDTH];
    struct fathom__class_rows given = with(rows);
    assert_int_equal(fathom__fit_component(out, &given, means), FATHOM_OK);
    assert_true(fabs(out[0] - 2 / sqrt(5)) < 1e-4 && fabs(out[1] - 1 / sqrt(5)) < 1e-4);
}

static void wrong_pairs_are_refused(void **state) {
    (void)state;
    const int8_t unequal[N] = {1, 0, 1, 1, 1, 0};
    const float same[N * WIDTH] = {0};
    const float means[WIDTH] = {0, 0};
    float out[WIDTH] = {0, 0};
    struct fathom__class_rows given = with(same);
    assert_int_equal(fathom__fit_component(out, &given, means), FATHOM_ERROR_NUMERIC);
    given.labels = unequal;
    assert_int_equal(fathom__fit_component(out, &given, means), FATHOM_ERROR_ARGUMENT);
    given.n = 1;
    assert_int_equal(fathom__fit_means(out, &given), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__fit_logistic(out, &given), FATHOM_ERROR_ARGUMENT);
}

static void a_slope_is_in_the_rows_own_units(void **state) {
    (void)state;
    /* The first column tells the classes, the second says nothing; then the first one in units a tenth as large. */
    float rows[N * WIDTH] = {1, 1, -1, 1, 1, -1, -1, -1, 1, 0, -1, 0};
    float slope[WIDTH], other[WIDTH];
    struct fathom__class_rows given = with(rows);
    assert_int_equal(fathom__fit_logistic(slope, &given), FATHOM_OK);
    assert_true(slope[0] > 0 && fabsf(slope[1]) < 1e-4f * slope[0]);
    for (size_t t = 0; t < N; t++) {
        rows[t * WIDTH] *= 10;
    }
    assert_int_equal(fathom__fit_logistic(other, &given), FATHOM_OK);
    assert_true(fabsf(other[0] * 10 - slope[0]) < 1e-4f * slope[0]);
}

static void every_method_points_to_the_positive_texts(void **state) {
    (void)state;
    static const char *const positive[] = {"the golden gate bridge", "a bridge in the sea"};
    static const char *const negative[] = {"the king of music", "a stone and the wind"};
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    fathom_model *model = NULL;
    const char *path = scratch("model.gguf");
    assert_int_equal(fathom_test_tiny_model(path, "llama", 5), FATHOM_OK);
    assert_int_equal(fathom_model_open(&model, path, NULL), FATHOM_OK);
    for (size_t i = 0; i < 2; i++) {
        fathom_texts_append(&texts, positive[i], strlen(positive[i]), FATHOM_LABEL_POSITIVE);
        fathom_texts_append(&texts, negative[i], strlen(negative[i]), FATHOM_LABEL_NEGATIVE);
    }
    struct fathom_direction means = FATHOM_DIRECTION_INIT;
    assert_int_equal(fathom_direction_learn(&means, model, &texts, FATHOM_DIRECTION_MEANS, FATHOM_POOL_LAST,
                                            FATHOM_HOOK_RESID_POST, 0, -1),
                     FATHOM_OK);
    for (int method = FATHOM_DIRECTION_COMPONENT; method <= FATHOM_DIRECTION_LOGISTIC; method++) {
        struct fathom_direction direction = FATHOM_DIRECTION_INIT;
        assert_int_equal(fathom_direction_learn(&direction, model, &texts, (enum fathom_direction_method)method,
                                                FATHOM_POOL_LAST, FATHOM_HOOK_RESID_POST, 0, -1),
                         FATHOM_OK);
        for (int32_t l = 0; l <= direction.last_layer; l++) {
            double squares = 0;
            double along = 0;
            for (size_t i = 0; i < direction.width; i++) {
                float entry = direction.vectors[(size_t)l * direction.width + i];
                squares += (double)entry * (double)entry;
                along +=
                    (double)entry * (double)means.vectors[(size_t)l * direction.width + i] * (double)means.lengths[l];
            }
            assert_true(fabs(squares - 1) < 1e-5);
            assert_true(along > 0 && fabs(along - (double)direction.lengths[l]) < 1e-4 * along);
        }
        fathom_direction_free(&direction);
    }
    fathom_direction_free(&means);
    fathom_texts_free(&texts);
    fathom_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_are_subtracted),
        cmocka_unit_test(a_component_is_the_longest_axis_of_the_pairs),
        cmocka_unit_test(wrong_pairs_are_refused),
        cmocka_unit_test(a_slope_is_in_the_rows_own_units),
        cmocka_unit_test(every_method_points_to_the_positive_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
