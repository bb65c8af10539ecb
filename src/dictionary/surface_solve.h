/* Nonlinear least squares in few parameters: Levenberg-Marquardt with Marquardt's scaling. */
#ifndef FATHOM_DICTIONARY_SURFACE_SOLVE_H
#define FATHOM_DICTIONARY_SURFACE_SOLVE_H

#include <stddef.h>

#define FATHOM__SOLVE_MOST 16

/* The difference of one observation, and its derivatives by the parameters. */
typedef double (*fathom__residual_fn)(double *slopes, const double *parameters, size_t index, const void *payload);

/* Moves parameters to a local minimum of the sum of squares, which goes to *squares. NUMERIC when the start already
 * has a residual that is not finite; ARGUMENT over FATHOM__SOLVE_MOST parameters. */
int fathom__solve(double *parameters, double *squares, size_t n_parameters, size_t n_residuals, fathom__residual_fn fn,
                  const void *payload);

#endif
