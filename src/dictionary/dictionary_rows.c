/* What lies between the model's rows and the dictionary's own space: scale, norm, transform and skip; and a feature's
 * activation. */
#include <dictionary/dictionary_internal.h>
#include <math.h>

#define LAYER_EPSILON 1e-5 /* of layer_norm and standardise */
#define RMS_EPSILON 1e-6

enum fathom__input_norm fathom__input_norm(const char *name) {
    static const char *const names[FATHOM__NORMS] = {"none",          "centre", "layer_norm",
                                                     "constant_norm", "rms",    "standardise"};
    int norm = 0;
    while (norm < FATHOM__NORMS && strcmp(name, names[norm]) != 0)
        norm++;
    return (enum fathom__input_norm)norm;
}

/* n(x) = (x - shift) / divisor and m(y) = y · factor + shift. */
struct norm {
    double shift, divisor, factor;
};

static struct norm measure(const fathom_dictionary *dictionary, const float *row) {
    const size_t d = dictionary->info.d_in;
    const enum fathom__input_norm kind = dictionary->norm;
    const bool centres = kind == FATHOM__NORM_CENTRE || kind == FATHOM__NORM_LAYER || kind == FATHOM__NORM_STANDARDISE;
    struct norm norm = {0, 1, 1};
    double sum = 0, squares = 0;
    if (kind == FATHOM__NORM_NONE) return norm;
    for (size_t j = 0; j < d && centres; j++)
        sum += row[j];
    norm.shift = sum / (double)d;
    for (size_t j = 0; j < d; j++)
        squares += (row[j] - norm.shift) * (row[j] - norm.shift);
    switch (kind) {
    case FATHOM__NORM_LAYER:
        norm.factor = d > 1 ? sqrt(squares / (double)(d - 1)) : 0;
        norm.divisor = norm.factor + LAYER_EPSILON;
        break;
    case FATHOM__NORM_CONSTANT: norm.divisor = norm.factor = squares > 0 ? sqrt(squares / (double)d) : 1; break;
    case FATHOM__NORM_RMS: norm.divisor = norm.factor = sqrt(squares / (double)d + RMS_EPSILON); break;
    case FATHOM__NORM_STANDARDISE: norm.divisor = norm.factor = sqrt(squares / (double)d + LAYER_EPSILON); break;
    default: break;
    }
    return norm;
}

void fathom__dictionary_input(float *x, const fathom_dictionary *dictionary, const float *row) {
    const size_t d = dictionary->info.d_in;
    const float scale = dictionary->info.input_scale;
    memset(x + d, 0, (dictionary->stride - d) * sizeof *x);
    if (dictionary->norm == FATHOM__NORM_NONE) {
        for (size_t j = 0; j < d; j++)
            x[j] = row[j] * scale;
    } else {
        const struct norm norm = measure(dictionary, row);
        for (size_t j = 0; j < d; j++)
            x[j] = (float)((row[j] - norm.shift) / norm.divisor) * scale;
    }
    fathom__map_apply(x, &dictionary->input_transform);
    for (size_t j = 0; j < d; j++)
        x[j] -= dictionary->subtracted[j];
}

void fathom__dictionary_restore(float *y, const fathom_dictionary *dictionary, const float *row) {
    const size_t d_in = dictionary->info.d_in, d_out = dictionary->info.d_out;
    if (dictionary->info.undo_input_norm && dictionary->norm != FATHOM__NORM_NONE) {
        const struct norm norm = measure(dictionary, row);
        for (size_t j = 0; j < d_out; j++)
            y[j] = (float)(y[j] * norm.factor + norm.shift);
    }
    for (size_t i = 0; dictionary->skip && i < d_out; i++) {
        const float *weights = dictionary->skip + i * d_in;
        float sum = 0;
        for (size_t j = 0; j < d_in; j++)
            sum += weights[j] * row[j];
        y[i] += sum;
    }
}

float fathom_dictionary_gain(const fathom_dictionary *dictionary, const float *row) {
    const float gain = 1 / dictionary->info.output_scale;
    return dictionary->info.undo_input_norm ? gain * (float)measure(dictionary, row).factor : gain;
}

float fathom__dictionary_value(const fathom_dictionary *dictionary, uint32_t feature, float product) {
    const float bias = dictionary->encoder_bias[feature];
    if (dictionary->gate_bias) {
        const float value = product * dictionary->magnitude_scale[feature] + bias;
        return product + dictionary->gate_bias[feature] > 0 && value > 0 ? value : 0;
    }
    const float value = product + bias;
    return value > fathom_dictionary_threshold(dictionary, feature) ? value : 0;
}
