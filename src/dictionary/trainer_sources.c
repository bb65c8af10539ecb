/* Rows made of several sources' rows, each with a scale of its own; and crosscoders, whose features have a part in each.
 *
 * All else of a crosscoder is an SAE's: only what is scaled and what |d| means in the sparsity losses differ.
 */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

int fathom__sources_open(fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const uint32_t n_parts = fathom__n_parts(options);
    int status = fathom__alloc(&trainer->source_scale, n_parts, sizeof *trainer->source_scale);
    if (!status)
        status = fathom__alloc(&trainer->scaled, (size_t)options->batch * trainer->row_width, sizeof *trainer->scaled);
    for (uint32_t s = 0; s < n_parts && !status; s++)
        trainer->source_scale[s] = 1;
    return status;
}

void fathom__sources_close(fathom_trainer *trainer) {
    fathom_free(trainer->source_scale);
    fathom_free(trainer->scaled);
}

static double squares(const float *row, size_t n) {
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += (double)row[j] * row[j];
    return sum;
}

int fathom__sources_measure(fathom_trainer *trainer, const float *rows, size_t n) {
    const struct fathom_trainer_options *options = &trainer->options;
    const float *part = rows;
    for (uint32_t s = 0; s < fathom__n_parts(options); s++) {
        const uint32_t width = fathom__part_width(options, s);
        double norms = 0;
        for (size_t r = 0; r < n; r++) {
            const double length = sqrt(squares(part + r * trainer->row_width, width));
            if (!isfinite(length))
                return fathom__fail(FATHOM_ERROR_NUMERIC,
                                    "trainer: row %zu of those to prepare with is not finite in source %u", r, s);
            norms += length;
        }
        if (!options->no_input_scale && norms > 0)
            trainer->source_scale[s] = (float)(sqrt((double)width) * (double)n / norms);
        part += width;
    }
    return 0;
}

void fathom__sources_scale(float *out, const fathom_trainer *trainer, const float *rows, size_t n) {
    const struct fathom_trainer_options *options = &trainer->options;
    for (size_t r = 0; r < n; r++)
        for (uint32_t s = 0; s < fathom__n_parts(options); s++) {
            const float scale = trainer->source_scale[s];
            const uint32_t width = fathom__part_width(options, s);
            for (uint32_t j = 0; j < width; j++)
                *out++ = *rows++ * scale;
        }
}

void fathom__sources_align(float *row, const fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const uint32_t width = options->sources[0];
    for (uint32_t s = 1; s < options->n_sources; s++)
        if (options->sources[s] != width) return;
    const double before = squares(row, options->d_in);
    for (uint32_t s = 1; s < options->n_sources; s++)
        memcpy(row + (size_t)s * width, row, width * sizeof *row);
    const float factor = (float)sqrt(before / squares(row, options->d_in));
    for (uint32_t j = 0; j < options->d_in; j++)
        row[j] *= factor;
}

float fathom__sources_length(const fathom_trainer *trainer, const float *row) {
    double sum = 0;
    for (uint32_t s = 0; s < trainer->options.n_sources; s++) {
        sum += sqrt(squares(row, trainer->options.sources[s]));
        row += trainer->options.sources[s];
    }
    return (float)sum;
}

void fathom__sources_pull(float *gradient, const fathom_trainer *trainer, uint32_t feature, float amount) {
    const struct fathom_trainer_options *options = &trainer->options;
    const struct fathom__span span = fathom__decoder_span(trainer, feature);
    const float *row = trainer->decoder.value + span.at;
    if (!options->n_sources) { /* |d| · ∂|d|/∂d = d */
        fathom__add_scaled(gradient, amount, row, span.n);
        return;
    }
    for (uint32_t s = 0; s < options->n_sources; s++) {
        const uint32_t width = options->sources[s];
        const double length = sqrt(squares(row, width));
        const float each = length > 0 ? amount * (float)(trainer->norm[feature] / length) : 0;
        for (uint32_t j = 0; j < width; j++)
            *gradient++ += each * *row++;
    }
}

void fathom__sources_fold(float *encoder, float *decoder, float *decoder_bias, const fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    for (size_t f = 0; f <= options->n_features; f++) /* the last is b_dec */
        for (uint32_t s = 0; s < options->n_sources; s++) {
            const float scale = trainer->source_scale[s] * (float)trainer->input_scale;
            for (uint32_t j = 0; j < options->sources[s]; j++) {
                if (f < options->n_features) {
                    *encoder++ *= scale;
                    *decoder++ /= scale;
                } else {
                    *decoder_bias++ /= scale;
                }
            }
        }
}
