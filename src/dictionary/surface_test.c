/* Fits to surfaces whose exponents are known. */
#include <base/random.h>
#include <dictionary/surface_solve.h>
#include <fathom/surface.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { WIDTHS = 4, KS = 3, COUNTS = 4, ALL = WIDTHS * KS * COUNTS };

/* The first two terms are near those that Gao et al. give for GPT-4. */
static const struct fathom_surface truth = {.alpha = -0.5,
                                            .beta_k = 0.26,
                                            .beta_n = -0.017,
                                            .gamma = -0.042,
                                            .zeta = -1.32,
                                            .eta = -0.085,
                                            .theta = 3.0,
                                            .delta = -0.45,
                                            .epsilon = 0.12,
                                            .has_floor = true,
                                            .has_tokens = true};

static size_t fill(struct fathom_surface_point *points, const struct fathom_surface *surface, size_t widths, size_t ks,
                   size_t counts, double noise) {
    struct fathom__random random;
    size_t n = 0;
    fathom__random_seed(&random, 1);
    for (size_t w = 0; w < widths; w++)
        for (size_t k = 0; k < ks; k++)
            for (size_t c = 0; c < counts; c++) {
                const double features = 1024 * pow(4, (double)w), active = 8 * pow(2, (double)k),
                             tokens = 1e6 * pow(3, (double)c);
                points[n++] = (struct fathom_surface_point){features, active, tokens,
                                                            fathom_surface_loss(surface, features, active, tokens) *
                                                                exp(noise * fathom__random_normal(&random))};
            }
    return n;
}

static void check_near(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance)) fail_msg("%g is not %g within %g", value, expected, tolerance);
}

static void test_exponents_are_found(void **state) {
    (void)state;
    struct fathom_surface_point points[ALL];
    struct fathom_surface fit;
    const size_t n = fill(points, &truth, WIDTHS, KS, COUNTS, 0);
    assert_int_equal(fathom_surface_fit(&fit, points, n), 0);
    assert_int_equal(fit.n_parameters, 9);
    assert_true(fit.error < 1e-5);
    check_near(fit.delta, truth.delta, 0.01);
    check_near(fit.epsilon, truth.epsilon, 0.01);
    check_near(fit.gamma, truth.gamma, 0.005);
    check_near(fit.eta, truth.eta, 0.02);
    /* far outside of the points */
    check_near(fathom_surface_loss(&fit, 1e6, 128, 1e9) / fathom_surface_loss(&truth, 1e6, 128, 1e9), 1, 0.02);
}

/* The largest corner withheld and predicted, with noise as held-out figures have it. */
static void test_withheld_points_are_predicted(void **state) {
    (void)state;
    struct fathom_surface_point points[ALL], kept[ALL];
    struct fathom_surface fit;
    const size_t n = fill(points, &truth, WIDTHS, KS, COUNTS, 0.002);
    size_t n_kept = 0;
    const double widest = points[n - 1].n_features, most = points[n - 1].tokens;
    for (size_t i = 0; i < n; i++)
        if (points[i].n_features < widest || points[i].tokens < most) kept[n_kept++] = points[i];
    assert_int_equal(n_kept, n - KS);
    assert_int_equal(fathom_surface_fit(&fit, kept, n_kept), 0);
    for (size_t i = 0; i < n; i++)
        check_near(fathom_surface_loss(&fit, points[i].n_features, points[i].k, points[i].tokens) / points[i].loss, 1,
                   0.02);
}

/* What the points cannot tell is left out, and the rest is still found. */
static void test_few_values(void **state) {
    (void)state;
    struct fathom_surface_point points[ALL];
    struct fathom_surface fit, flat = truth;
    flat.has_floor = flat.has_tokens = false;
    size_t n = fill(points, &flat, 2, KS, 1, 0);
    assert_int_equal(fathom_surface_fit(&fit, points, n), 0);
    assert_int_equal(fit.n_parameters, 4);
    assert_false(fit.has_floor || fit.has_tokens);
    check_near(fit.gamma, truth.gamma, 1e-6);
    check_near(fit.alpha, truth.alpha, 1e-5);
    flat.has_tokens = true;
    n = fill(points, &flat, 2, 2, 2, 0);
    assert_int_equal(fathom_surface_fit(&fit, points, n), 0);
    assert_true(fit.has_tokens && fit.delta == -0.5);
}

static void test_refusals(void **state) {
    (void)state;
    struct fathom_surface_point points[ALL];
    struct fathom_surface fit;
    const double bad[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const size_t n = fill(points, &truth, 2, 2, 2, 0);
        points[3].loss = bad[i];
        assert_int_equal(fathom_surface_fit(&fit, points, n), FATHOM_ERROR_ARGUMENT);
        assert_non_null(strstr(fathom_error_message(), "point 3"));
    }
    fill(points, &truth, WIDTHS, KS, COUNTS, 0);
    points[1] = points[ALL - 1];
    assert_int_equal(fathom_surface_fit(&fit, points, 2), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "2 points for 6 parameters"));
    assert_int_equal(fathom_surface_fit(&fit, points, 1), FATHOM_ERROR_ARGUMENT); /* any curve goes through one point */
    assert_int_equal(fathom_surface_fit(&fit, points, 0), FATHOM_ERROR_ARGUMENT);
}

/* Rosenbrock's valley as two residuals. */
static double valley(double *slopes, const double *p, size_t index, const void *payload) {
    (void)payload;
    slopes[0] = index ? -20 * p[0] : -1;
    slopes[1] = index ? 10 : 0;
    return index ? 10 * (p[1] - p[0] * p[0]) : 1 - p[0];
}

static double not_finite(double *slopes, const double *p, size_t index, const void *payload) {
    (void)p;
    (void)index;
    (void)payload;
    slopes[0] = 1;
    return NAN;
}

static void test_solver(void **state) {
    (void)state;
    double p[2] = {-1.2, 1}, squares = 1;
    assert_int_equal(fathom__solve(p, &squares, 2, 2, valley, NULL), 0);
    check_near(p[0], 1, 1e-6);
    check_near(p[1], 1, 1e-6);
    assert_true(squares < 1e-12);
    assert_int_equal(fathom__solve(p, &squares, 1, 1, not_finite, NULL), FATHOM_ERROR_NUMERIC);
    assert_int_equal(fathom__solve(p, &squares, FATHOM__SOLVE_MOST + 1, 1, valley, NULL), FATHOM_ERROR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exponents_are_found),
        cmocka_unit_test(test_withheld_points_are_predicted),
        cmocka_unit_test(test_few_values),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_solver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
