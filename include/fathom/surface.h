/* The loss surface of dictionaries: how the held-out loss falls with features n, active features k and training tokens D.
 *
 *   L(n, k, D) = exp(alpha + beta_k ln k + beta_n ln n + gamma ln k ln n)      what more features would explain
 *              + exp(zeta + eta ln k)                                           what no number of features explains
 *              + exp(theta + delta ln D + epsilon ln n)                         what more training would explain
 *
 * The first two terms are those of Gao et al. 2024 ("Scaling and evaluating sparse autoencoders"), who train every run
 * to convergence; the third is for runs that are not. L is the normalised mean squared error, 1 - FVE, on held-out rows.
 *
 * The fit is by least squares of ln L (Levenberg-Marquardt, from several starts). A term that the points cannot tell
 * from another is left out: the second takes three widths, its slope three ks; the third two token counts, its slope
 * delta three (with two it is -1/2), and epsilon two widths.
 */
#ifndef FATHOM_SURFACE_H
#define FATHOM_SURFACE_H

#include <fathom/error.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_surface_point {
    double n_features, k, tokens;
    double loss; /* above 0 */
};

struct fathom_surface {
    double alpha, beta_k, beta_n, gamma;
    double zeta, eta;
    double theta, delta, epsilon;
    bool has_floor;  /* the second term */
    bool has_tokens; /* the third */
    size_t n_points, n_parameters;
    double error; /* root of the mean squared difference of ln L */
};

/* Errors: ARGUMENT (a point that is not finite and above 0; no more points than parameters), NUMERIC (no fit found). */
FATHOM_API int fathom_surface_fit(struct fathom_surface *out, const struct fathom_surface_point *points, size_t n);
FATHOM_API double fathom_surface_loss(const struct fathom_surface *surface, double n_features, double k, double tokens);

#ifdef __cplusplus
}
#endif
#endif
