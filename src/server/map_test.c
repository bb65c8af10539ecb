/* Principal components and embeddings of points whose neighbours are known. */
#include "base/random.h"
#include "server/components.h"
#include "server/embedding.h"
#include "tests/support/check.h"
#include <math.h>
#include <string.h>

enum { CLUSTERS = 6, EACH = 40, POINTS = CLUSTERS * EACH, WIDTH = 16, NEAREST = 10 };

static float rows[POINTS * WIDTH], x[POINTS], y[POINTS];
static uint32_t nearest[POINTS * NEAREST];
static float distances[POINTS * NEAREST];

/* Clusters around the axes of a space of many dimensions, one an axis. */
static void make_points(void) {
    struct fathom__random random;
    fathom__random_seed(&random, 3);
    for (int i = 0; i < POINTS; i++)
        for (int j = 0; j < WIDTH; j++)
            rows[i * WIDTH + j] = 0.1f * (float)fathom__random_normal(&random) + (j == i / EACH ? 3.0f : 0);
}

static float distance_of(int i, int j) {
    float sum = 0;
    for (int k = 0; k < WIDTH; k++)
        sum += (rows[i * WIDTH + k] - rows[j * WIDTH + k]) * (rows[i * WIDTH + k] - rows[j * WIDTH + k]);
    return sqrtf(sum);
}

static void find_nearest(void) {
    for (int i = 0; i < POINTS; i++) {
        int n = 0;
        for (int j = 0; j < POINTS; j++) {
            const float distance = distance_of(i, j);
            if (i == j || (n == NEAREST && distance >= distances[i * NEAREST + NEAREST - 1])) continue;
            int at = n < NEAREST ? n++ : NEAREST - 1;
            for (; at > 0 && distances[i * NEAREST + at - 1] > distance; at--) {
                distances[i * NEAREST + at] = distances[i * NEAREST + at - 1];
                nearest[i * NEAREST + at] = nearest[i * NEAREST + at - 1];
            }
            distances[i * NEAREST + at] = distance;
            nearest[i * NEAREST + at] = (uint32_t)j;
        }
    }
}

/* The share of points whose nearest one on the map is of their own cluster. */
static double together(void) {
    int good = 0;
    for (int i = 0; i < POINTS; i++) {
        int best = -1;
        float least = INFINITY;
        for (int j = 0; j < POINTS; j++) {
            const float square = (x[i] - x[j]) * (x[i] - x[j]) + (y[i] - y[j]) * (y[i] - y[j]);
            if (i == j || square >= least) continue;
            least = square;
            best = j;
        }
        good += best / EACH == i / EACH;
    }
    return (double)good / POINTS;
}

static void components_are_those_of_most_variance(void **state) {
    (void)state;
    struct fathom__random random;
    fathom__random_seed(&random, 5);
    for (int i = 0; i < POINTS; i++)
        for (int j = 0; j < WIDTH; j++)
            rows[i * WIDTH + j] = (float)fathom__random_normal(&random) * (j == 4 ? 9.0f : j == 7 ? 4.0f : 0.1f) + 2.0f;
    check_ok(fathom__components(x, y, rows, POINTS, WIDTH));
    double mean[WIDTH] = {0}, most[2] = {0};
    for (int i = 0; i < POINTS; i++)
        for (int j = 0; j < WIDTH; j++)
            mean[j] += (double)rows[i * WIDTH + j] / POINTS;
    for (int i = 0; i < POINTS; i++) {
        assert_true(fabs(fabs((double)x[i]) - fabs((double)rows[i * WIDTH + 4] - mean[4])) < 0.6);
        assert_true(fabs(fabs((double)y[i]) - fabs((double)rows[i * WIDTH + 7] - mean[7])) < 0.9);
        if (fabs((double)x[i]) > fabs(most[0])) most[0] = (double)x[i];
        if (fabs((double)y[i]) > fabs(most[1])) most[1] = (double)y[i];
    }
    assert_true(most[0] > 0 && most[1] > 0);
}

static void scatter(void) {
    struct fathom__random random;
    fathom__random_seed(&random, 9);
    for (int i = 0; i < POINTS; i++) {
        x[i] = (float)fathom__random_normal(&random);
        y[i] = (float)fathom__random_normal(&random);
    }
}

/* From places without order, and the same ones again by the same seed. */
static void neighbours_come_together(void **state) {
    (void)state;
    static float first[2][POINTS];
    const struct fathom__neighbours neighbours = {POINTS, NEAREST, nearest, distances};
    make_points();
    find_nearest();
    scatter();
    assert_true(together() < 0.5);
    check_ok(fathom__embed(x, y, &neighbours, 7, NULL, NULL));
    assert_true(together() > 0.95);
    memcpy(first[0], x, sizeof x);
    memcpy(first[1], y, sizeof y);
    scatter();
    check_ok(fathom__embed(x, y, &neighbours, 7, NULL, NULL));
    assert_memory_equal(first[0], x, sizeof x);
    assert_memory_equal(first[1], y, sizeof y);
}

static void points_without_neighbours_stay_finite(void **state) {
    (void)state;
    const struct fathom__neighbours neighbours = {POINTS, NEAREST, nearest, distances};
    make_points();
    find_nearest();
    for (int i = 0; i < NEAREST; i++) {
        nearest[3 * NEAREST + i] = UINT32_MAX; /* one that has none, and one that lies where its neighbours lie */
        distances[5 * NEAREST + i] = 0;
    }
    memset(x, 0, sizeof x);
    memset(y, 0, sizeof y);
    x[0] = 1;
    check_ok(fathom__embed(x, y, &neighbours, 7, NULL, NULL));
    for (int i = 0; i < POINTS; i++)
        assert_true(isfinite(x[i]) && isfinite(y[i]));
}

static bool at_once(void *payload) {
    (void)payload;
    return true;
}

static void an_embedding_can_be_stopped(void **state) {
    (void)state;
    const struct fathom__neighbours neighbours = {POINTS, NEAREST, nearest, distances};
    make_points();
    find_nearest();
    check_status(fathom__embed(x, y, &neighbours, 7, at_once, NULL), FATHOM_ERROR_STOPPED, "map");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components_are_those_of_most_variance),
        cmocka_unit_test(neighbours_come_together),
        cmocka_unit_test(points_without_neighbours_stay_finite),
        cmocka_unit_test(an_embedding_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
