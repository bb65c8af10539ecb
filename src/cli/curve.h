/* Curves of runs: for the terminal and as SVG. */
#ifndef FATHOM_CLI_CURVE_H
#define FATHOM_CLI_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct curve {
    const char *name;
    const double *x, *y; /* [n], x not falling; what is not finite is left out */
    size_t n;
    bool marks; /* SVG: points alone, without a line */
};

struct curve_plot {
    const char *title, *x_name, *y_name;
    bool log_x, log_y; /* by their logarithms; values that have none are left out */
    const struct curve *curves;
    size_t n_curves;
};

#define CURVE_MOST 16 /* curves of a plot: more are left out, and said so */

/* Draws with characters: one letter a curve, the last one on top where they meet. */
void curve_print(FILE *stream, const struct curve_plot *plot);
/* A whole SVG file. Errors: IO. */
int curve_write_svg(const char *path, const struct curve_plot *plot);

#endif
