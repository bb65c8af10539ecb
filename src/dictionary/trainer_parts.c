/* The dictionary that a trainer has come to. */
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

/* Where the arrays of a dictionary lie in one block of floats. */
struct layout {
    float *encoder, *decoder, *bias, *threshold, *gate_bias, *magnitude_scale, *decoder_bias;
    float *skip;
    uint32_t *groups; /* as long as floats */
};

static int open_layout(struct layout *out, const struct fathom_trainer_options *options) {
    const size_t d = options->d_in, d_out = options->d_out ? options->d_out : d, F = options->n_features,
                 skip = options->skip ? d * d_out : 0;
    float *floats = NULL;
    int status = fathom__alloc(&floats, F * d + F * d_out + 4 * F + d_out + skip + FATHOM_TRAIN_GROUPS, sizeof *floats);
    if (status) return status;
    out->encoder = floats;
    out->decoder = out->encoder + F * d;
    out->bias = out->decoder + F * d_out;
    out->threshold = out->bias + F;
    out->gate_bias = out->threshold + F;
    out->magnitude_scale = out->gate_bias + F;
    out->decoder_bias = out->magnitude_scale + F;
    out->skip = out->decoder_bias + d_out;
    out->groups = (uint32_t *)(void *)(out->skip + skip);
    return 0;
}

static void fill_feature(const struct layout *layout, const fathom_trainer *trainer, size_t f) {
    const size_t d = trainer->options.d_in, d_out = trainer->options.d_out ? trainer->options.d_out : d,
                 stride = trainer->stride;
    const bool jumprelu = trainer->near.count != NULL, gated = trainer->architecture->second != NULL;
    const float scale = gated ? expf(trainer->scalar[1].value[f]) : 1;
    float *encoder = trainer->encoder.value + f * stride;
    /* What a transcoder subtracts from its inputs becomes part of the biases. */
    const float shift = trainer->centre ? fathom__dot(encoder, trainer->centre, stride) : 0;
    memcpy(layout->encoder + f * d, encoder, d * sizeof(float));
    memcpy(layout->decoder + f * d_out, trainer->decoder.value + f * stride, d_out * sizeof(float));
    layout->bias[f] = trainer->encoder_bias.value[f] - scale * shift;
    layout->threshold[f] = jumprelu ? fathom__jumprelu_threshold(trainer, (uint32_t)f) : trainer->threshold;
    layout->gate_bias[f] = gated ? trainer->scalar[0].value[f] - shift : 0;
    layout->magnitude_scale[f] = scale;
}

static void fill_output(const struct layout *layout, const fathom_trainer *trainer) {
    const size_t d = trainer->options.d_in, d_out = trainer->options.d_out ? trainer->options.d_out : d;
    const float units = (float)(trainer->input_scale / trainer->output_scale);
    memcpy(layout->decoder_bias, trainer->decoder_bias.value, d_out * sizeof(float));
    for (size_t i = 0; i < d_out && trainer->skip.value; i++) {
        const float *row = trainer->skip.value + i * trainer->stride;
        layout->decoder_bias[i] -= fathom__dot(row, trainer->centre, trainer->stride);
        for (size_t j = 0; j < d; j++)
            layout->skip[i * d + j] = row[j] * units; /* from model units to model units */
    }
}

int fathom_trainer_parts(struct fathom_dictionary_parts *out, void **storage, fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const bool jumprelu = trainer->near.count != NULL, gated = trainer->architecture->second != NULL;
    struct layout layout;
    int status = open_layout(&layout, options);
    if (status) return status;
    fathom__average_use(trainer);
    for (size_t f = 0; f < options->n_features; f++)
        fill_feature(&layout, trainer, f);
    fill_output(&layout, trainer);
    fathom__average_leave(trainer);
    memcpy(layout.groups, options->groups, options->n_groups * sizeof *layout.groups);
    *out = (struct fathom_dictionary_parts){
        .info =
            {
                .architecture = trainer->architecture->kind,
                .d_in = options->d_in,
                .d_out = options->d_out ? options->d_out : options->d_in,
                .n_features = options->n_features,
                .k = options->k,
                .subtract_decoder_bias = options->d_out == 0,
                .input_scale = (float)trainer->input_scale,
                .output_scale = (float)trainer->output_scale,
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
        .skip = trainer->skip.value ? layout.skip : NULL,
    };
    *storage = layout.encoder;
    return 0;
}
