/* The same plots as SVG: no script, no font of its own, readable on light and dark ground. */
#include "curve.h"
#include <base/error.h>
#include <base/file.h>
#include <math.h>

enum { WIDTH = 720, HEIGHT = 440, LEFT = 70, RIGHT = 20, TOP = 36, BOTTOM = 48, LEGEND_LINE = 18, TICKS = 5 };
#define MARK_RADIUS 3.5

/* Told apart also by those who do not see red and green as different (Okabe and Ito). */
static const char *const colours[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7",
                                      "#56b4e9", "#d55e00", "#999933", "#666666"};
enum { N_COLOURS = sizeof colours / sizeof *colours };

struct axis {
    double low, high;
    bool logarithmic;
    double from, to; /* on the page */
};

static double scaled(double value, bool logarithmic) {
    return logarithmic ? (value > 0 ? log10(value) : NAN) : value;
}

static double place(const struct axis *axis, double value) {
    const double at = scaled(value, axis->logarithmic);
    return axis->from + (at - axis->low) / (axis->high - axis->low) * (axis->to - axis->from);
}

static void widen(struct axis *axis, double value) {
    const double at = scaled(value, axis->logarithmic);
    if (!isfinite(at)) return;
    axis->low = fmin(axis->low, at);
    axis->high = fmax(axis->high, at);
}

static void settle(struct axis *axis) {
    if (!isfinite(axis->low)) axis->low = axis->high = 0;
    if (axis->high - axis->low > 0) return;
    const double room = axis->low == 0 ? 1 : fabs(axis->low) / 10;
    axis->low -= room;
    axis->high += room;
}

static void write_text(FILE *stream, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '<': fputs("&lt;", stream); break;
        case '>': fputs("&gt;", stream); break;
        case '&': fputs("&amp;", stream); break;
        default:
            if ((unsigned char)*text >= ' ') fputc(*text, stream);
        }
    }
}

static void write_ticks(FILE *stream, const struct axis *x, const struct axis *y) {
    for (int i = 0; i < TICKS; i++) {
        const double part = (double)i / (TICKS - 1), at_x = x->low + part * (x->high - x->low),
                     at_y = y->low + part * (y->high - y->low), page_x = x->from + part * (x->to - x->from),
                     page_y = y->from + part * (y->to - y->from);
        fprintf(stream,
                "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" class=\"grid\"/>"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>\n",
                page_x, TOP, page_x, HEIGHT - BOTTOM, page_x, HEIGHT - BOTTOM + LEGEND_LINE,
                x->logarithmic ? pow(10, at_x) : at_x);
        fprintf(stream,
                "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"grid\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
                LEFT, page_y, WIDTH - RIGHT, page_y, LEFT - 6, page_y + 4, y->logarithmic ? pow(10, at_y) : at_y);
    }
}

static void write_curve(FILE *stream, const struct curve *curve, const struct axis *x, const struct axis *y,
                        const char *colour) {
    if (!curve->marks) {
        fprintf(stream, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" points=\"", colour);
        for (size_t i = 0; i < curve->n; i++) {
            const double at_x = place(x, curve->x[i]), at_y = place(y, curve->y[i]);
            if (isfinite(at_x) && isfinite(at_y)) fprintf(stream, "%.1f,%.1f ", at_x, at_y);
        }
        fputs("\"/>\n", stream);
        return;
    }
    for (size_t i = 0; i < curve->n; i++) {
        const double at_x = place(x, curve->x[i]), at_y = place(y, curve->y[i]);
        if (isfinite(at_x) && isfinite(at_y))
            fprintf(stream, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>\n", at_x, at_y, MARK_RADIUS,
                    colour);
    }
}

static void write_plot(FILE *stream, const struct curve_plot *plot) {
    struct axis x = {INFINITY, -INFINITY, plot->log_x, LEFT, WIDTH - RIGHT},
                y = {INFINITY, -INFINITY, plot->log_y, HEIGHT - BOTTOM, TOP};
    const size_t n = plot->n_curves < CURVE_MOST ? plot->n_curves : CURVE_MOST;
    for (size_t c = 0; c < n; c++)
        for (size_t i = 0; i < plot->curves[c].n; i++)
            if (isfinite(scaled(plot->curves[c].x[i], x.logarithmic)) &&
                isfinite(scaled(plot->curves[c].y[i], y.logarithmic))) {
                widen(&x, plot->curves[c].x[i]);
                widen(&y, plot->curves[c].y[i]);
            }
    settle(&x);
    settle(&y);
    fprintf(stream,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"12\">\n<style>text{fill:#222}.grid{stroke:#ddd}@media(prefers-color-scheme:dark)"
            "{text{fill:#ddd}.grid{stroke:#444}}</style>\n",
            WIDTH, HEIGHT + (int)n * LEGEND_LINE);
    fprintf(stream, "<text x=\"%d\" y=\"20\" font-size=\"14\">", LEFT);
    write_text(stream, plot->title);
    fputs("</text>\n", stream);
    write_ticks(stream, &x, &y);
    fprintf(stream, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", WIDTH - RIGHT, HEIGHT - 10);
    write_text(stream, plot->x_name);
    fprintf(stream, "</text>\n<text x=\"%d\" y=\"%d\">", 6, TOP - 16);
    write_text(stream, plot->y_name);
    fputs("</text>\n", stream);
    for (size_t c = 0; c < n; c++) {
        const char *colour = colours[c % N_COLOURS];
        const int line = HEIGHT + (int)c * LEGEND_LINE;
        write_curve(stream, &plot->curves[c], &x, &y, colour);
        fprintf(stream, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"4\" fill=\"%s\"/><text x=\"%d\" y=\"%d\">", LEFT,
                line - 4, colour, LEFT + LEGEND_LINE, line);
        write_text(stream, plot->curves[c].name);
        fputs("</text>\n", stream);
    }
    fputs("</svg>\n", stream);
}

int curve_write_svg(const char *path, const struct curve_plot *plot) {
    struct fathom__writer writer;
    const int status = fathom__writer_open(&writer, path);
    if (status) return status;
    write_plot(writer.stream, plot);
    return fathom__writer_commit(&writer);
}
