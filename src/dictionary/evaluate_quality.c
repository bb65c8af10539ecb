/* What rows and their reconstructions tell. */
#include <base/memory.h>
#include <dictionary/evaluate_internal.h>
#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What a vector and its reconstruction have in common. */
struct pair {
    double product, x_squares, y_squares, errors;
};

static struct pair compare(const float *x, const float *y, const double *centre, size_t d) {
    struct pair pair = {0};
    for (size_t j = 0; j < d; j++) {
        const double middle = centre ? centre[j] : 0, a = x[j] - middle, b = y[j] - middle;
        pair.product += a * b;
        pair.x_squares += a * a;
        pair.y_squares += b * b;
        pair.errors += (a - b) * (a - b);
    }
    return pair;
}

static double cosine(const struct pair *pair) {
    return pair->x_squares > 0 && pair->y_squares > 0 ? pair->product / sqrt(pair->x_squares * pair->y_squares) : 0;
}

/* Fractions of the variance explained, over all dimensions and the median of them. */
static void explain_variance(struct fathom_reconstruction_quality *out, double *errors, const double *spread,
                             size_t d) {
    double all_errors = 0, all_spread = 0;
    for (size_t j = 0; j < d; j++) {
        all_errors += errors[j];
        all_spread += spread[j];
        errors[j] = spread[j] > 0 ? 1 - errors[j] / spread[j] : 0;
    }
    qsort(errors, d, sizeof *errors, by_value);
    out->fve = all_spread > 0 ? 1 - all_errors / all_spread : 0;
    out->median_fve = errors[d / 2];
}

int fathom__evaluate_quality(struct fathom_reconstruction_quality *out, const float *rows, const float *guesses,
                             size_t n, size_t d) {
    double *mean = NULL, *spread = NULL, *errors = NULL, products = 0, y_squares = 0, x_squares = 0, all_errors = 0;
    const double count = (double)n;
    int status = fathom__alloc(&mean, d, sizeof *mean);
    if (!status) status = fathom__alloc(&spread, d, sizeof *spread);
    if (!status) status = fathom__alloc(&errors, d, sizeof *errors);
    if (status) goto done;
    *out = (struct fathom_reconstruction_quality){.measured = true};
    for (size_t r = 0; r < n; r++)
        for (size_t j = 0; j < d; j++)
            mean[j] += rows[r * d + j] / count;
    for (size_t r = 0; r < n; r++) {
        const float *x = rows + r * d, *y = guesses + r * d;
        for (size_t j = 0; j < d; j++) {
            const double from_mean = x[j] - mean[j], error = (double)x[j] - y[j];
            spread[j] += from_mean * from_mean;
            errors[j] += error * error;
        }
        const struct pair centred = compare(x, y, mean, d), raw = compare(x, y, NULL, d);
        out->cosine += cosine(&centred) / count;
        out->raw_cosine += cosine(&raw) / count;
        out->mean_length += sqrt(raw.y_squares) / count;
        if (raw.x_squares > 0) out->length_ratio += sqrt(raw.y_squares / raw.x_squares) / count;
        if (centred.x_squares > 0) out->saebench_variance_legacy += (1 - raw.errors / centred.x_squares) / count;
        products += raw.product;
        x_squares += raw.x_squares;
        y_squares += raw.y_squares;
        all_errors += raw.errors;
    }
    out->relative_bias = products != 0 ? y_squares / products : NAN;
    out->squared_error = all_errors / count;
    const double squares = x_squares / count, each = squares / (double)d;
    out->saebench_variance = 1 - out->squared_error / (squares - each * each);
    explain_variance(out, errors, spread, d);
done:
    fathom_free(mean);
    fathom_free(spread);
    fathom_free(errors);
    return status;
}
