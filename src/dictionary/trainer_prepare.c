/* What is set once, from the first rows: scales, the centre of the rows, biases to start with. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

enum { MOST_ROWS = 8192 }; /* that a centre is made of */

/* Rows of d numbers, `step` apart. */
struct points {
    const float *rows;
    size_t n, d, step;
};

/* The point with the least sum of distances to the rows (Weiszfeld's iteration), which a few far rows do not move. */
static void geometric_median(double *out, double *next, const struct points *points, double row_scale) {
    enum { ITERATIONS = 20 };
    const double nearest = 1e-6;
    const size_t d = points->d;
    for (int iteration = 0; iteration <= ITERATIONS; iteration++) {
        double weights = 0;
        memset(next, 0, d * sizeof *next);
        for (size_t r = 0; r < points->n; r++) {
            const float *row = points->rows + r * points->step;
            double distance = 0;
            if (iteration > 0) /* the first round takes the mean */
                for (size_t j = 0; j < d; j++)
                    distance += (row[j] * row_scale - out[j]) * (row[j] * row_scale - out[j]);
            const double weight = iteration > 0 ? 1 / fmax(sqrt(distance), nearest) : 1;
            weights += weight;
            for (size_t j = 0; j < d; j++)
                next[j] += weight * row_scale * row[j];
        }
        for (size_t j = 0; j < d; j++)
            out[j] = next[j] / weights;
    }
}

/* The scale and the centre of points. */
static int measure(double *row_scale, float *centre, const fathom_trainer *trainer, struct points points) {
    double *median = NULL, *next = NULL, norms = 0;
    for (size_t r = 0; r < points.n; r++) {
        double squares = 0;
        for (size_t j = 0; j < points.d; j++)
            squares += (double)points.rows[r * points.step + j] * points.rows[r * points.step + j];
        if (!isfinite(squares))
            return fathom__fail(FATHOM_ERROR_NUMERIC, "trainer: row %zu of those to prepare with is not finite", r);
        norms += sqrt(squares);
    }
    int status = fathom__alloc(&median, points.d, sizeof *median);
    if (!status) status = fathom__alloc(&next, points.d, sizeof *next);
    if (!status) {
        if (!trainer->options.no_input_scale && norms > 0)
            *row_scale = (float)(sqrt((double)points.d) * (double)points.n / norms);
        if (points.n > MOST_ROWS) points.n = MOST_ROWS;
        geometric_median(median, next, &points, *row_scale);
        for (size_t j = 0; j < points.d; j++)
            centre[j] = (float)median[j];
    }
    fathom_free(median);
    fathom_free(next);
    return status;
}

/* Some of the points, transformed. *rows is the caller's to free. */
static int transform_points(struct points *out, float **rows, struct points points, const struct fathom__map *map) {
    const size_t n = points.n < MOST_ROWS ? points.n : MOST_ROWS, stride = map->stride;
    int status = fathom__alloc_aligned(rows, n * stride, sizeof **rows);
    if (status) return status;
    memset(*rows, 0, n * stride * sizeof **rows);
    for (size_t r = 0; r < n; r++) {
        memcpy(*rows + r * stride, points.rows + r * points.n / n * points.step, points.d * sizeof **rows);
        fathom__map_apply(*rows + r * stride, map);
    }
    *out = (struct points){*rows, n, points.d, stride};
    return 0;
}

/* Transform, scale and centre of one kind of rows. */
static int prepare_rows(double *scale, float *centre, struct fathom__map *forward, struct fathom__map *backward,
                        const fathom_trainer *trainer, struct points points) {
    const enum fathom_trainer_inputs inputs = trainer->options.inputs;
    float *transformed = NULL;
    int status = 0;
    if (inputs != FATHOM_INPUTS_SCALED) {
        status = fathom__whitening_fit(forward, backward, points.rows, points.n, points.d, points.step,
                                       inputs == FATHOM_INPUTS_WHITENED);
        if (!status) status = transform_points(&points, &transformed, points, forward);
    }
    if (!status) status = measure(scale, centre, trainer, points);
    fathom_free(transformed);
    return status;
}

/* Rows of several parts, every part scaled; at most as many as the centre is found with. *out is new. */
static int scale_sources(float **out, size_t *n_out, fathom_trainer *trainer, const float *rows, size_t n) {
    int status = fathom__sources_measure(trainer, rows, n);
    *n_out = n < MOST_ROWS ? n : MOST_ROWS;
    if (!status) status = fathom__alloc(out, *n_out * trainer->row_width, sizeof **out);
    if (!status) fathom__sources_scale(*out, trainer, rows, *n_out);
    return status;
}

int fathom_trainer_prepare(fathom_trainer *trainer, const float *rows, size_t n) {
    const struct fathom_trainer_options *options = &trainer->options;
    struct points inputs = {rows, n, options->d_in, trainer->row_width}, targets;
    float *scaled = NULL;
    if (n == 0) return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: no rows to prepare with");
    if (trainer->prepared) return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: was prepared before");
    struct fathom__map unused = {0};
    int status = trainer->source_scale ? scale_sources(&scaled, &inputs.n, trainer, rows, n) : 0;
    if (scaled) inputs.rows = scaled;
    targets = (struct points){inputs.rows + options->d_in, inputs.n, options->d_out, trainer->row_width};
    if (!status)
        status = prepare_rows(&trainer->input_scale, options->d_out ? trainer->centre : trainer->decoder_bias.value,
                              &trainer->input_transform, options->d_out ? &unused : &trainer->output_transform, trainer,
                              inputs);
    fathom__map_close(&unused);
    if (!status && options->d_out)
        status = prepare_rows(&trainer->output_scale, trainer->decoder_bias.value, &trainer->target_transform,
                              &trainer->output_transform, trainer, targets);
    else
        trainer->output_scale = trainer->input_scale;
    fathom_free(scaled);
    if (status) return status;
    trainer->prepared = true;
    status = fathom__trainer_start(trainer, rows, n);
    if (status) trainer->prepared = false;
    return status;
}
