/* The dictionary that a trainer has come to. */
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

/* Where the arrays of a dictionary lie in one block of floats. */
struct layout {
    float *encoder, *decoder, *bias, *threshold, *gate_bias, *magnitude_scale, *decoder_bias;
    uint32_t *groups; /* as long as floats */
};

static int open_layout(struct layout *out, const struct fathom_trainer_options *options) {
    const size_t d = options->d_in, F = options->n_features;
    float *floats = NULL;
    int status = fathom__alloc(&floats, 2 * F * d + 4 * F + d + FATHOM_TRAIN_GROUPS, sizeof *floats);
    if (status) return status;
    out->encoder = floats;
    out->decoder = out->encoder + F * d;
    out->bias = out->decoder + F * d;
    out->threshold = out->bias + F;
    out->gate_bias = out->threshold + F;
    out->magnitude_scale = out->gate_bias + F;
    out->decoder_bias = out->magnitude_scale + F;
    out->groups = (uint32_t *)(void *)(out->decoder_bias + d);
    return 0;
}

static void fill_feature(const struct layout *layout, const fathom_trainer *trainer, size_t f) {
    const size_t d = trainer->options.d_in, stride = trainer->stride;
    const bool jumprelu = trainer->near.count != NULL, gated = trainer->architecture->second != NULL;
    memcpy(layout->encoder + f * d, trainer->encoder.value + f * stride, d * sizeof(float));
    memcpy(layout->decoder + f * d, trainer->decoder.value + f * stride, d * sizeof(float));
    layout->bias[f] = trainer->encoder_bias.value[f];
    layout->threshold[f] = jumprelu ? fathom__jumprelu_threshold(trainer, (uint32_t)f) : trainer->threshold;
    layout->gate_bias[f] = gated ? trainer->scalar[0].value[f] : 0;
    layout->magnitude_scale[f] = gated ? expf(trainer->scalar[1].value[f]) : 1;
}

int fathom_trainer_parts(struct fathom_dictionary_parts *out, void **storage, const fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const bool jumprelu = trainer->near.count != NULL, gated = trainer->architecture->second != NULL;
    struct layout layout;
    int status = open_layout(&layout, options);
    if (status) return status;
    for (size_t f = 0; f < options->n_features; f++)
        fill_feature(&layout, trainer, f);
    memcpy(layout.decoder_bias, trainer->decoder_bias.value, options->d_in * sizeof(float));
    memcpy(layout.groups, options->groups, options->n_groups * sizeof *layout.groups);
    *out = (struct fathom_dictionary_parts){
        .info =
            {
                .architecture = trainer->architecture->kind,
                .d_in = options->d_in,
                .d_out = options->d_in,
                .n_features = options->n_features,
                .k = options->k,
                .subtract_decoder_bias = true,
                .input_scale = (float)trainer->input_scale,
                .group_sizes = layout.groups,
                .n_groups = options->n_groups,
            },
        .encoder = layout.encoder,
        .encoder_bias = layout.bias,
        .decoder = layout.decoder,
        .decoder_bias = layout.decoder_bias,
        .threshold = jumprelu || trainer->threshold >= 0 ? layout.threshold : NULL,
        .gate_bias = gated ? layout.gate_bias : NULL,
        .magnitude_scale = gated ? layout.magnitude_scale : NULL,
    };
    *storage = layout.encoder;
    return 0;
}
