#include <base/error.h>
#include <dictionary/surface_solve.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MOST_STEPS = 500, MOST = FATHOM__SOLVE_MOST };
#define DAMPING_START 1e-2
#define DAMPING_UP 4.0
#define DAMPING_DOWN 0.4
#define DAMPING_MOST 1e12
#define DIAGONAL_LEAST 1e-12 /* a parameter that nothing depends on still has a scale */
#define IMPROVEMENT_LEAST 1e-14
#define PATIENCE 3 /* steps in a row that improve less */

struct normal {
    double matrix[MOST][MOST], vector[MOST]; /* JᵀJ and -Jᵀr */
    double squares;
};

static void gather(struct normal *normal, const double *p, size_t n_parameters, size_t n, fathom__residual_fn fn,
                   const void *payload) {
    memset(normal, 0, sizeof *normal);
    for (size_t i = 0; i < n; i++) {
        double slopes[MOST] = {0};
        const double r = fn(slopes, p, i, payload);
        normal->squares += r * r;
        for (size_t a = 0; a < n_parameters; a++) {
            normal->vector[a] -= slopes[a] * r;
            for (size_t b = 0; b <= a; b++)
                normal->matrix[a][b] += slopes[a] * slopes[b];
        }
    }
}

/* Solves (JᵀJ + damping · diag) step = -Jᵀr by Cholesky; false where that is not positive. */
static bool solve(double *step, const struct normal *normal, size_t n, double damping) {
    double lower[MOST][MOST];
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b <= a; b++) {
            double sum = normal->matrix[a][b];
            if (a == b) sum += damping * fmax(normal->matrix[a][a], DIAGONAL_LEAST);
            for (size_t c = 0; c < b; c++)
                sum -= lower[a][c] * lower[b][c];
            if (a == b && !(sum > 0)) return false;
            lower[a][b] = a == b ? sqrt(sum) : sum / lower[b][b];
        }
    for (size_t a = 0; a < n; a++) {
        double sum = normal->vector[a];
        for (size_t c = 0; c < a; c++)
            sum -= lower[a][c] * step[c];
        step[a] = sum / lower[a][a];
    }
    for (size_t a = n; a-- > 0;) {
        double sum = step[a];
        for (size_t c = a + 1; c < n; c++)
            sum -= lower[c][a] * step[c];
        step[a] = sum / lower[a][a];
    }
    return true;
}

int fathom__solve(double *parameters, double *squares, size_t n_parameters, size_t n_residuals, fathom__residual_fn fn,
                  const void *payload) {
    struct normal normal, tried;
    double damping = DAMPING_START, candidate[MOST], step[MOST];
    int stalled = 0;
    if (n_parameters > MOST)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "solve: %zu parameters, at most %d are expected", n_parameters,
                            MOST);
    gather(&normal, parameters, n_parameters, n_residuals, fn, payload);
    if (!isfinite(normal.squares))
        return fathom__fail(FATHOM_ERROR_NUMERIC, "solve: the start has a residual that is not finite");
    for (int i = 0; i < MOST_STEPS && stalled < PATIENCE && damping < DAMPING_MOST && normal.squares > 0; i++) {
        bool better = solve(step, &normal, n_parameters, damping);
        for (size_t a = 0; better && a < n_parameters; a++)
            candidate[a] = parameters[a] + step[a];
        if (better) {
            gather(&tried, candidate, n_parameters, n_residuals, fn, payload);
            better = isfinite(tried.squares) && tried.squares < normal.squares;
        }
        if (!better) {
            damping *= DAMPING_UP;
            continue;
        }
        stalled = normal.squares - tried.squares < IMPROVEMENT_LEAST * normal.squares ? stalled + 1 : 0;
        normal = tried;
        memcpy(parameters, candidate, n_parameters * sizeof *parameters);
        damping *= DAMPING_DOWN;
    }
    *squares = normal.squares;
    return 0;
}
