/* The fit works on logarithms less their means, where the parameters hardly depend on one another; what comes out is
 * turned back. */
#include <base/error.h>
#include <dictionary/surface_solve.h>
#include <fathom/surface.h>
#include <math.h>
#include <string.h>

#define FIXED_DELTA (-0.5)  /* the error of a mean falls with the root of its number */
enum { MOST_DISTINCT = 3 }; /* more than three values of an axis decide nothing */

enum parameter { ALPHA, BETA_K, BETA_N, GAMMA, ZETA, ETA, THETA, DELTA, EPSILON, N_PARAMETERS };
_Static_assert(N_PARAMETERS <= FATHOM__SOLVE_MOST, "the solver's room");

/* Logarithms of a point, less their means. */
struct sample {
    double n, k, tokens, loss;
};

struct problem {
    const struct fathom_surface_point *points;
    struct sample mean;
    size_t n;
    int place[N_PARAMETERS]; /* among those that are fitted; -1: fixed */
    size_t n_free;
    bool has_floor, has_tokens;
};

static struct sample sample_of(const struct problem *problem, const struct fathom_surface_point *point) {
    return (struct sample){log(point->n_features) - problem->mean.n, log(point->k) - problem->mean.k,
                           log(point->tokens) - problem->mean.tokens, log(point->loss)};
}

static double value_of(const struct problem *problem, const double *free, enum parameter parameter) {
    if (problem->place[parameter] >= 0) return free[problem->place[parameter]];
    return parameter == DELTA ? FIXED_DELTA : 0;
}

/* ln L at a sample and its derivatives by the free parameters. */
static double evaluate(double *slopes, const struct problem *problem, const double *p, const struct sample *s) {
    double terms[3] = {0};
    terms[0] = exp(value_of(problem, p, ALPHA) + value_of(problem, p, BETA_K) * s->k +
                   value_of(problem, p, BETA_N) * s->n + value_of(problem, p, GAMMA) * s->k * s->n);
    if (problem->has_floor) terms[1] = exp(value_of(problem, p, ZETA) + value_of(problem, p, ETA) * s->k);
    if (problem->has_tokens)
        terms[2] = exp(value_of(problem, p, THETA) + value_of(problem, p, DELTA) * s->tokens +
                       value_of(problem, p, EPSILON) * s->n);
    const double loss = terms[0] + terms[1] + terms[2];
    const double by[N_PARAMETERS] = {terms[0],       terms[0] * s->k, terms[0] * s->n, terms[0] * s->k * s->n,
                                     terms[1],       terms[1] * s->k, terms[2],        terms[2] * s->tokens,
                                     terms[2] * s->n};
    for (int i = 0; i < N_PARAMETERS; i++)
        if (problem->place[i] >= 0) slopes[problem->place[i]] = by[i] / loss;
    return log(loss);
}

static double residual(double *slopes, const double *parameters, size_t index, const void *payload) {
    const struct problem *problem = payload;
    const struct sample s = sample_of(problem, &problem->points[index]);
    return evaluate(slopes, problem, parameters, &s) - s.loss;
}

static size_t distinct(const struct fathom_surface_point *points, size_t n, size_t offset) {
    double seen[MOST_DISTINCT];
    size_t found = 0;
    for (size_t i = 0; i < n && found < MOST_DISTINCT; i++) {
        const double value = *(const double *)(const void *)((const char *)&points[i] + offset);
        size_t j = 0;
        while (j < found && seen[j] != value)
            j++;
        if (j == found) seen[found++] = value;
    }
    return found;
}

static void set_up(struct problem *problem, const struct fathom_surface_point *points, size_t n) {
    const size_t widths = distinct(points, n, offsetof(struct fathom_surface_point, n_features)),
                 ks = distinct(points, n, offsetof(struct fathom_surface_point, k)),
                 counts = distinct(points, n, offsetof(struct fathom_surface_point, tokens));
    const bool fitted[N_PARAMETERS] = {[ALPHA] = true,
                                       [BETA_K] = ks >= 2,
                                       [BETA_N] = widths >= 2,
                                       [GAMMA] = ks >= 2 && widths >= 2,
                                       [ZETA] = widths >= 3,
                                       [ETA] = widths >= 3 && ks >= 3,
                                       [THETA] = counts >= 2,
                                       [DELTA] = counts >= 3,
                                       [EPSILON] = counts >= 2 && widths >= 2};
    *problem = (struct problem){.points = points, .n = n, .has_floor = fitted[ZETA], .has_tokens = fitted[THETA]};
    for (int i = 0; i < N_PARAMETERS; i++)
        problem->place[i] = fitted[i] ? (int)problem->n_free++ : -1;
    for (size_t i = 0; i < n; i++) {
        problem->mean.n += log(points[i].n_features) / (double)n;
        problem->mean.k += log(points[i].k) / (double)n;
        problem->mean.tokens += log(points[i].tokens) / (double)n;
        problem->mean.loss += log(points[i].loss) / (double)n;
    }
}

static void put(double *free, const struct problem *problem, enum parameter parameter, double value) {
    if (problem->place[parameter] >= 0) free[problem->place[parameter]] = value;
}

/* The best of several starts: the terms' shares of the loss, and how fast training ends, are what the loss's valleys
 * differ in. */
static int search(double *best, double *error, const struct problem *problem) {
    static const double floors[] = {0.03, 0.3, 0.7}, trainings[] = {0.02, 0.2}, speeds[] = {-0.3, -1};
    static const double slope_k = -0.3, slope_n = -0.1;
    int found = -1;
    *error = INFINITY;
    for (size_t f = 0; f < sizeof floors / sizeof *floors; f++)
        for (size_t t = 0; t < sizeof trainings / sizeof *trainings; t++)
            for (size_t s = 0; s < sizeof speeds / sizeof *speeds; s++) {
                double p[N_PARAMETERS] = {0}, squares = 0;
                put(p, problem, ALPHA,
                    problem->mean.loss + log(1 - (problem->has_floor ? floors[f] : 0) * (1 - trainings[t])));
                put(p, problem, BETA_K, slope_k);
                put(p, problem, BETA_N, slope_n);
                put(p, problem, ZETA, problem->mean.loss + log(floors[f]));
                put(p, problem, ETA, slope_k);
                put(p, problem, THETA, problem->mean.loss + log(trainings[t]));
                put(p, problem, DELTA, speeds[s]);
                if (fathom__solve(p, &squares, problem->n_free, problem->n, residual, problem)) continue;
                if (!(squares < *error)) continue;
                *error = squares;
                memcpy(best, p, problem->n_free * sizeof *p);
                found = 0;
            }
    return found ? fathom__fail(FATHOM_ERROR_NUMERIC, "surface: no fit to %zu points was found", problem->n) : 0;
}

static void turn_back(struct fathom_surface *out, const struct problem *problem, const double *p) {
    const struct sample *m = &problem->mean;
    const double beta_k = value_of(problem, p, BETA_K), beta_n = value_of(problem, p, BETA_N),
                 gamma = value_of(problem, p, GAMMA);
    out->gamma = gamma;
    out->beta_k = beta_k - gamma * m->n;
    out->beta_n = beta_n - gamma * m->k;
    out->alpha = value_of(problem, p, ALPHA) - beta_k * m->k - beta_n * m->n + gamma * m->k * m->n;
    out->eta = value_of(problem, p, ETA);
    out->zeta = value_of(problem, p, ZETA) - out->eta * m->k;
    out->delta = value_of(problem, p, DELTA);
    out->epsilon = value_of(problem, p, EPSILON);
    out->theta = value_of(problem, p, THETA) - out->delta * m->tokens - out->epsilon * m->n;
}

int fathom_surface_fit(struct fathom_surface *out, const struct fathom_surface_point *points, size_t n) {
    struct problem problem;
    double best[N_PARAMETERS] = {0}, error;
    for (size_t i = 0; i < n; i++) {
        const struct fathom_surface_point *p = &points[i];
        const double all[] = {p->n_features, p->k, p->tokens, p->loss};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++)
            if (!isfinite(all[j]) || !(all[j] > 0))
                return fathom__fail(
                    FATHOM_ERROR_ARGUMENT,
                    "surface: point %zu (features %g, k %g, tokens %g, loss %g): finite numbers above 0 "
                    "are expected",
                    i, p->n_features, p->k, p->tokens, p->loss);
    }
    set_up(&problem, points, n);
    if (n <= problem.n_free)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "surface: %zu points for %zu parameters", n, problem.n_free);
    const int status = search(best, &error, &problem);
    if (status) return status;
    *out = (struct fathom_surface){.has_floor = problem.has_floor,
                                   .has_tokens = problem.has_tokens,
                                   .n_points = n,
                                   .n_parameters = problem.n_free,
                                   .error = sqrt(error / (double)n)};
    turn_back(out, &problem, best);
    return 0;
}

double fathom_surface_loss(const struct fathom_surface *s, double n_features, double k, double tokens) {
    const double n = log(n_features), a = log(k);
    double loss = exp(s->alpha + s->beta_k * a + s->beta_n * n + s->gamma * a * n);
    if (s->has_floor) loss += exp(s->zeta + s->eta * a);
    if (s->has_tokens) loss += exp(s->theta + s->delta * log(tokens) + s->epsilon * n);
    return loss;
}
