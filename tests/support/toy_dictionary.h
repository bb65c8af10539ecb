/* A dictionary of 8 orthonormal features for the tiny models of width 64: what a feature reads can be told by hand.
 *
 * Feature i has encoder and decoder row q_i: entry j is +1/8 or -1/8 by the parity of the bits of i and j together
 * (rows of a Hadamard matrix). No biases; a small threshold. f_i(x) = s · q_i·x where that is above it.
 */
#ifndef FATHOM_TESTS_TOY_DICTIONARY_H
#define FATHOM_TESTS_TOY_DICTIONARY_H

#include <fathom/dictionary.h>
#include <math.h>
#include <string.h>

enum { TOY_WIDTH = 64, TOY_FEATURES = 8 };
#define TOY_THRESHOLD 0.01f

struct toy_options {
    const char *hook, *hook_out; /* hook_out NULL: the same */
    float scale;
    uint32_t skip_positions;
    float max_norm;
    const char *identity;   /* NULL: the model's */
    bool no_threshold;      /* TopK with k = 4 */
    const char *input_norm; /* undone; NULL: none */
};

static inline float toy_entry(uint32_t feature, uint32_t column) {
    return __builtin_parity((feature + 1) & column) ? -0.125f : 0.125f;
}

/* s · q_i·x, whatever the threshold. */
static inline double toy_projection(const float *row, uint32_t feature, double scale) {
    double sum = 0;
    for (uint32_t j = 0; j < TOY_WIDTH; j++)
        sum += (double)row[j] * toy_entry(feature, j);
    return scale * sum;
}

static inline double toy_level(const float *row, uint32_t feature, double scale) {
    double value = toy_projection(row, feature, scale);
    return value > TOY_THRESHOLD ? value : 0;
}

static inline int toy_dictionary_write(const char *path, const fathom_model *model, const struct toy_options *options) {
    static float matrix[TOY_FEATURES * TOY_WIDTH], zeros[TOY_WIDTH], thresholds[TOY_FEATURES];
    const struct fathom_model_info *about = fathom_model_describe(model);
    for (uint32_t i = 0; i < TOY_FEATURES; i++) {
        thresholds[i] = TOY_THRESHOLD;
        for (uint32_t j = 0; j < TOY_WIDTH; j++)
            matrix[i * TOY_WIDTH + j] = toy_entry(i, j);
    }
    struct fathom_dictionary_parts parts = {
        .info = {.name = "toy",
                 .architecture = options->no_threshold ? "topk" : "jumprelu",
                 .hook_in = options->hook,
                 .hook_out = options->hook_out ? options->hook_out : options->hook,
                 .model_identity = options->identity ? options->identity : about->source_identity,
                 .model_name = about->name,
                 .training = "{}",
                 .d_in = TOY_WIDTH,
                 .d_out = TOY_WIDTH,
                 .n_features = TOY_FEATURES,
                 .k = 4,
                 .input_scale = options->scale,
                 .skip_positions = options->skip_positions,
                 .max_norm = options->max_norm,
                 .input_norm = options->input_norm,
                 .undo_input_norm = options->input_norm != NULL},
        .encoder = matrix,
        .encoder_bias = zeros,
        .decoder = matrix,
        .decoder_bias = zeros,
        .threshold = options->no_threshold ? NULL : thresholds,
    };
    return fathom_dictionary_write(path, &parts, "f32");
}

#endif
