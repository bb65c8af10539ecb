#include "curve.h"
#include <math.h>
#include <string.h>

enum { COLUMNS = 64, ROWS = 16, LABEL = 9 };

static double scaled(double value, bool logarithmic) {
    return logarithmic ? (value > 0 ? log10(value) : NAN) : value;
}

/* What the plot's points span, in scaled units; false when there is none. */
static bool find_span(double low[2], double high[2], const struct curve_plot *plot) {
    low[0] = low[1] = INFINITY;
    high[0] = high[1] = -INFINITY;
    for (size_t c = 0; c < plot->n_curves && c < CURVE_MOST; c++)
        for (size_t i = 0; i < plot->curves[c].n; i++) {
            const double at[2] = {scaled(plot->curves[c].x[i], plot->log_x), scaled(plot->curves[c].y[i], plot->log_y)};
            if (!isfinite(at[0]) || !isfinite(at[1])) continue;
            for (int a = 0; a < 2; a++) {
                low[a] = fmin(low[a], at[a]);
                high[a] = fmax(high[a], at[a]);
            }
        }
    for (int a = 0; a < 2; a++)
        if (high[a] - low[a] <= 0) { /* a single value lies in the middle */
            const double room = low[a] == 0 ? 1 : fabs(low[a]) / 10;
            low[a] -= room;
            high[a] += room;
        }
    return isfinite(low[0]) && isfinite(low[1]);
}

static char letter(size_t curve) {
    return (char)('a' + (int)curve);
}

static double unscaled(double value, bool logarithmic) {
    return logarithmic ? pow(10, value) : value;
}

static void print_axis(FILE *stream, const struct curve_plot *plot, const double low[2], const double high[2]) {
    char left[32], right[32];
    snprintf(left, sizeof left, "%.4g", unscaled(low[0], plot->log_x));
    snprintf(right, sizeof right, "%.4g %s", unscaled(high[0], plot->log_x), plot->x_name);
    fprintf(stream, "%*s └", LABEL, "");
    for (int i = 0; i < COLUMNS; i++)
        fputs("─", stream);
    const int between = COLUMNS - (int)strlen(left) - (int)strlen(right) + (int)strlen(plot->x_name) + 1;
    fprintf(stream, "\n%*s  %s%*s%s\n", LABEL, "", left, between > 1 ? between : 1, "", right);
}

void curve_print(FILE *stream, const struct curve_plot *plot) {
    char cells[ROWS][COLUMNS];
    double low[2], high[2];
    if (!find_span(low, high, plot)) {
        fprintf(stream, "%s: nothing to show\n", plot->title);
        return;
    }
    memset(cells, ' ', sizeof cells);
    for (size_t c = 0; c < plot->n_curves && c < CURVE_MOST; c++)
        for (size_t i = 0; i < plot->curves[c].n; i++) {
            const double x = scaled(plot->curves[c].x[i], plot->log_x), y = scaled(plot->curves[c].y[i], plot->log_y);
            if (!isfinite(x) || !isfinite(y)) continue;
            const int column = (int)lround((x - low[0]) / (high[0] - low[0]) * (COLUMNS - 1)),
                      row = (int)lround((high[1] - y) / (high[1] - low[1]) * (ROWS - 1));
            cells[row][column] = letter(c);
        }
    fprintf(stream, "%*s  %s\n", LABEL, plot->y_name, plot->title);
    for (int r = 0; r < ROWS; r++) {
        const double y = high[1] - (high[1] - low[1]) * r / (ROWS - 1);
        char label[32] = "";
        if (r % (ROWS / 4) == 0 || r == ROWS - 1) snprintf(label, sizeof label, "%.4g", unscaled(y, plot->log_y));
        fprintf(stream, "%*s │%.*s\n", LABEL, label, COLUMNS, cells[r]);
    }
    print_axis(stream, plot, low, high);
    for (size_t c = 0; c < plot->n_curves && c < CURVE_MOST; c++)
        fprintf(stream, "%*s  %c  %s\n", LABEL, "", letter(c), plot->curves[c].name);
    if (plot->n_curves > CURVE_MOST)
        fprintf(stream, "%*s  and %zu more that are not shown\n", LABEL, "", plot->n_curves - CURVE_MOST);
}
