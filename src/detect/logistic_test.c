#include "base/random.h"
#include "detect/logistic.h"
#include <fathom/detect.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { WIDTH = 20, TRAIN = 200, TEST = 400 };
static const float planted[3] = {1.2f, -0.8f, 0.5f}; /* the first three of WIDTH columns matter */

static void draw(float *values, int8_t *labels, size_t n, uint64_t seed) {
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (size_t r = 0; r < n; r++) {
        labels[r] = (int8_t)(r % 2);
        for (size_t c = 0; c < WIDTH; c++) {
            float shift = c < 3 ? planted[c] * (labels[r] ? 1.0f : -1.0f) : 0.0f;
            values[r * WIDTH + c] = (float)fathom__random_normal(&random) + shift;
        }
    }
}

struct data {
    float values[TEST * WIDTH];
    int8_t labels[TEST];
    size_t *offsets;
    uint32_t *columns;
    struct fathom__rows rows;
};

static void make(struct data *data, size_t n, uint64_t seed) {
    draw(data->values, data->labels, n, seed);
    assert_int_equal(fathom__rows_dense(&data->rows, &data->offsets, &data->columns, data->values, n, WIDTH),
                     FATHOM_OK);
}

static void drop(struct data *data) {
    fathom_free(data->offsets);
    fathom_free(data->columns);
}

static double test_auroc(const double *weights, double bias) {
    static struct data test;
    double scores[TEST], auroc = 0;
    make(&test, TEST, 77);
    for (size_t r = 0; r < TEST; r++) {
        scores[r] = fathom__row_score(&test.rows, r, weights, bias);
    }
    assert_int_equal(fathom_auroc(&auroc, scores, test.labels, TEST), FATHOM_OK);
    drop(&test);
    return auroc;
}

static void a_planted_direction_is_found(void **state) {
    (void)state;
    static struct data train;
    double weights[WIDTH], bias = 0, scores[TRAIN], c = 0, auroc = 0, dot = 0, norm = 0, planted_norm = 0;
    make(&train, TRAIN, 1);
    assert_int_equal(fathom__logistic_choose(&c, &auroc, scores, &train.rows, train.labels, 0, 9), FATHOM_OK);
    assert_true(c >= 0.001 && c <= 10);
    assert_true(auroc > 0.93);
    assert_int_equal(fathom__logistic_train(weights, &bias, &train.rows, train.labels, NULL, c), FATHOM_OK);
    for (size_t i = 0; i < WIDTH; i++) {
        dot += i < 3 ? weights[i] * planted[i] : 0;
        norm += weights[i] * weights[i];
        planted_norm += i < 3 ? planted[i] * planted[i] : 0;
    }
    assert_true(dot / sqrt(norm * planted_norm) > 0.9);
    assert_true(test_auroc(weights, bias) > 0.95);

    /* The same with labels that mean nothing. */
    struct fathom__random random;
    double mean = 0;
    fathom__random_seed(&random, 4);
    for (int s = 0; s < 20; s++) {
        for (size_t r = TRAIN - 1; r > 0; r--) {
            size_t other = fathom__random_below(&random, r + 1);
            int8_t kept = train.labels[r];
            train.labels[r] = train.labels[other];
            train.labels[other] = kept;
        }
        assert_int_equal(fathom__logistic_train(weights, &bias, &train.rows, train.labels, NULL, c), FATHOM_OK);
        mean += test_auroc(weights, bias) / 20;
    }
    assert_true(mean > 0.3 && mean < 0.7);
    drop(&train);
}

/* At the optimum of ½|w|² + ½b² + C Σ κ log(1 + exp(-y (w·x + b))) the gradient is zero; κ weighs both classes
 * alike. */
static void the_optimum_has_no_gradient(void **state) {
    (void)state;
    static struct data train;
    const double c = 0.1;
    double weights[WIDTH], bias = 0, gradient[WIDTH + 1];
    uint8_t use[TRAIN];
    size_t counts[2] = {0, 0};
    make(&train, TRAIN, 2);
    for (size_t r = 0; r < TRAIN; r++) {
        use[r] = !(train.labels[r] == 1 && r % 3 == 0); /* makes the classes unequal */
        counts[train.labels[r]] += use[r];
    }
    assert_true(counts[0] > counts[1] + 20);
    assert_int_equal(fathom__logistic_train(weights, &bias, &train.rows, train.labels, use, c), FATHOM_OK);
    memcpy(gradient, weights, sizeof weights);
    gradient[WIDTH] = bias;
    for (size_t r = 0; r < TRAIN; r++) {
        if (!use[r]) {
            continue;
        }
        double y = train.labels[r] ? 1 : -1;
        double weight = 0.5 * (double)(counts[0] + counts[1]) / (double)counts[train.labels[r]];
        double pull = -c * weight * y / (1 + exp(y * fathom__row_score(&train.rows, r, weights, bias)));
        for (size_t i = 0; i < WIDTH; i++) {
            gradient[i] += pull * train.values[r * WIDTH + i];
        }
        gradient[WIDTH] += pull;
    }
    for (size_t i = 0; i <= WIDTH; i++) {
        assert_true(fabs(gradient[i]) < 1e-3);
    }
    drop(&train);
}

static void one_class_is_refused(void **state) {
    (void)state;
    static struct data train;
    double weights[WIDTH], bias = 0;
    make(&train, TRAIN, 3);
    memset(train.labels, 1, TRAIN);
    assert_int_equal(fathom__logistic_train(weights, &bias, &train.rows, train.labels, NULL, 1), FATHOM_ERROR_ARGUMENT);
    drop(&train);
}

static void the_same_seed_gives_the_same_folds(void **state) {
    (void)state;
    static struct data train;
    double first[TRAIN], second[TRAIN], other[TRAIN], c = 0, auroc = 0;
    make(&train, TRAIN, 1);
    assert_int_equal(fathom__logistic_choose(&c, &auroc, first, &train.rows, train.labels, 0.1, 5), FATHOM_OK);
    assert_true(c == 0.1);
    assert_int_equal(fathom__logistic_choose(&c, &auroc, second, &train.rows, train.labels, 0.1, 5), FATHOM_OK);
    assert_int_equal(fathom__logistic_choose(&c, &auroc, other, &train.rows, train.labels, 0.1, 6), FATHOM_OK);
    assert_memory_equal(first, second, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
    drop(&train);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_planted_direction_is_found),
        cmocka_unit_test(the_optimum_has_no_gradient),
        cmocka_unit_test(one_class_is_refused),
        cmocka_unit_test(the_same_seed_gives_the_same_folds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
