/* Sums over rows, feature by feature, and what they say. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/drift.h>
#include <math.h>
#include <stdlib.h>

#define MOVED_ERROR 0.1

/* Of one feature over all rows. */
struct sums {
    uint64_t rows_a, rows_b, rows_both;
    double a, a_squares, b_squares, products, differences;
};

struct fathom_drift {
    const fathom_dictionary *a, *b;
    struct sums *features;
    struct fathom_sparse sparse_a, sparse_b;
    float *rows_a, *rows_b; /* those that both cover */
    float *output_a, *output_b;
    size_t row_capacity, row_b_capacity, output_capacity, output_b_capacity;
    uint64_t rows, left_out;
    double output_squares, output_differences;
};

static int differ(const fathom_dictionary *a, const fathom_dictionary *b, const char *what) {
    return fathom__fail(FATHOM_ERROR_MISMATCH, "%s and %s have different %s", a->info.path, b->info.path, what);
}

int fathom_drift_open(fathom_drift **out, const fathom_dictionary *a, const fathom_dictionary *b) {
    fathom_drift *drift = NULL;
    if (a->info.n_features != b->info.n_features) return differ(a, b, "numbers of features");
    if (a->info.d_in != b->info.d_in || a->info.d_out != b->info.d_out) return differ(a, b, "widths");
    if (strcmp(a->info.hook_in, b->info.hook_in) != 0 || strcmp(a->info.hook_out, b->info.hook_out) != 0)
        return differ(a, b, "hook points");
    int status = fathom__alloc(&drift, 1, sizeof *drift);
    if (!status) status = fathom__alloc(&drift->features, a->info.n_features, sizeof *drift->features);
    if (status) {
        fathom_drift_close(drift);
        return status;
    }
    drift->a = a;
    drift->b = b;
    *out = drift;
    return 0;
}

void fathom_drift_close(fathom_drift *drift) {
    if (!drift) return;
    fathom_sparse_free(&drift->sparse_a);
    fathom_sparse_free(&drift->sparse_b);
    fathom_free(drift->rows_a);
    fathom_free(drift->rows_b);
    fathom_free(drift->output_a);
    fathom_free(drift->output_b);
    fathom_free(drift->features);
    fathom_free(drift);
}

const fathom_dictionary *fathom__drift_dictionary(const fathom_drift *drift) {
    return drift->a;
}

/* The features of a row in both readings, in ascending order, merged. */
static void add_features(fathom_drift *drift, size_t r) {
    const struct fathom_sparse *a = &drift->sparse_a, *b = &drift->sparse_b;
    size_t i = a->offsets[r], j = b->offsets[r];
    while (i < a->offsets[r + 1] || j < b->offsets[r + 1]) {
        const uint32_t in_a = i < a->offsets[r + 1] ? a->features[i] : UINT32_MAX,
                       in_b = j < b->offsets[r + 1] ? b->features[j] : UINT32_MAX, feature = in_a < in_b ? in_a : in_b;
        const double x = in_a == feature ? a->values[i++] : 0, y = in_b == feature ? b->values[j++] : 0;
        struct sums *sums = &drift->features[feature];
        sums->rows_a += x > 0;
        sums->rows_b += y > 0;
        sums->rows_both += x > 0 && y > 0;
        sums->a += x;
        sums->a_squares += x * x;
        sums->b_squares += y * y;
        sums->products += x * y;
        sums->differences += (x - y) * (x - y);
    }
}

static int make_room(fathom_drift *drift, size_t n) {
    const size_t in = n * drift->a->info.d_in, out = n * drift->a->info.d_out;
    int status = fathom__grow(&drift->rows_a, &drift->row_capacity, in, sizeof *drift->rows_a);
    if (!status) status = fathom__grow(&drift->rows_b, &drift->row_b_capacity, in, sizeof *drift->rows_b);
    if (!status) status = fathom__grow(&drift->output_a, &drift->output_capacity, out, sizeof *drift->output_a);
    if (!status) status = fathom__grow(&drift->output_b, &drift->output_b_capacity, out, sizeof *drift->output_b);
    return status;
}

int fathom_drift_add(fathom_drift *drift, const float *rows_a, const float *rows_b, const int32_t *positions,
                     size_t n_rows) {
    const size_t d = drift->a->info.d_in, d_out = drift->a->info.d_out;
    size_t n = 0;
    int status = make_room(drift, n_rows);
    if (status) return status;
    for (size_t r = 0; r < n_rows; r++) {
        const int32_t position = positions ? positions[r] : INT32_MAX;
        if (!fathom_dictionary_covers(drift->a, rows_a + r * d, position) ||
            !fathom_dictionary_covers(drift->b, rows_b + r * d, position)) {
            drift->left_out++;
            continue;
        }
        memcpy(drift->rows_a + n * d, rows_a + r * d, d * sizeof *rows_a);
        memcpy(drift->rows_b + n++ * d, rows_b + r * d, d * sizeof *rows_b);
    }
    status = fathom_dictionary_encode(&drift->sparse_a, drift->a, drift->rows_a, NULL, n, FATHOM_ENCODE_RUN);
    if (!status)
        status = fathom_dictionary_encode(&drift->sparse_b, drift->b, drift->rows_b, NULL, n, FATHOM_ENCODE_RUN);
    if (!status) status = fathom_dictionary_reconstruct(drift->output_a, drift->a, &drift->sparse_a, drift->rows_a);
    if (!status) status = fathom_dictionary_reconstruct(drift->output_b, drift->b, &drift->sparse_b, drift->rows_b);
    if (status) return status;
    for (size_t r = 0; r < n; r++)
        add_features(drift, r);
    for (size_t i = 0; i < n * d_out; i++) {
        const double x = drift->output_a[i], difference = x - drift->output_b[i];
        drift->output_squares += x * x;
        drift->output_differences += difference * difference;
    }
    drift->rows += n;
    return 0;
}

static double root_part(double part, double whole) {
    if (whole > 0) return sqrt(part / whole);
    return part > 0 ? INFINITY : 0;
}

int fathom_drift_feature(struct fathom_drift_feature *out, const fathom_drift *drift, uint32_t feature) {
    if (feature >= drift->a->info.n_features)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: there is no feature %u; they are numbered 0 to %u",
                            drift->a->info.path, feature, drift->a->info.n_features - 1);
    const struct sums *sums = &drift->features[feature];
    const double lengths = sqrt(sums->a_squares) * sqrt(sums->b_squares);
    *out = (struct fathom_drift_feature){.rows_a = sums->rows_a,
                                         .rows_b = sums->rows_b,
                                         .rows_both = sums->rows_both,
                                         .mean = sums->rows_a ? sums->a / (double)sums->rows_a : 0,
                                         .change = sqrt(sums->differences),
                                         .error = root_part(sums->differences, sums->a_squares),
                                         .cosine = lengths > 0 ? sums->products / lengths : 0};
    return 0;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted values, the least that at least the part `quantile` does not exceed. */
static double quantile_of(const double *values, size_t n, double quantile) {
    if (n == 0) return 0;
    const size_t index = (size_t)ceil(quantile * (double)n);
    return values[index > 0 ? index - 1 : 0];
}

int fathom_drift_summarise(struct fathom_drift_summary *out, const fathom_drift *drift) {
    const uint32_t F = drift->a->info.n_features;
    struct fathom_drift_summary summary = {.rows = drift->rows, .rows_left_out = drift->left_out};
    double *errors = NULL, active_a = 0, active_b = 0, both = 0, squares = 0, differences = 0;
    int status = fathom__alloc(&errors, F, sizeof *errors);
    if (status) return status;
    for (uint32_t f = 0; f < F; f++) {
        const struct sums *sums = &drift->features[f];
        active_a += (double)sums->rows_a;
        active_b += (double)sums->rows_b;
        both += (double)sums->rows_both;
        squares += sums->a_squares;
        differences += sums->differences;
        summary.found += sums->rows_a == 0 && sums->rows_b > 0;
        if (sums->rows_a == 0) continue;
        errors[summary.active++] = root_part(sums->differences, sums->a_squares);
        summary.lost += sums->rows_b == 0;
    }
    qsort(errors, summary.active, sizeof *errors, by_size);
    for (size_t i = 0; i < summary.active; i++)
        summary.moved += errors[i] > MOVED_ERROR;
    const double rows = drift->rows ? (double)drift->rows : 1, either = active_a + active_b - both;
    summary.l0_a = active_a / rows;
    summary.l0_b = active_b / rows;
    summary.overlap = either > 0 ? both / either : 1;
    summary.error = root_part(differences, squares);
    summary.reconstruction = root_part(drift->output_differences, drift->output_squares);
    summary.median = quantile_of(errors, summary.active, 0.5);
    summary.ninetieth = quantile_of(errors, summary.active, 0.9);
    summary.ninety_ninth = quantile_of(errors, summary.active, 0.99);
    fathom_free(errors);
    *out = summary;
    return 0;
}
