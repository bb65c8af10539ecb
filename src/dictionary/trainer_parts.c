/* The dictionary that a trainer has come to. */
#include <base/memory.h>
#include <dictionary/trainer_internal.h>

/* Where the arrays of a dictionary lie in one block of floats. */
struct layout {
    float *encoder, *decoder, *bias, *threshold, *gate_bias, *magnitude_scale, *decoder_bias;
    float *skip, *input_transform, *output_transform;
    uint32_t *groups; /* as long as floats */
};

static size_t map_count(const struct fathom__map *map) {
    return map->weights ? fathom__map_count(map) : 0;
}

static int open_layout(struct layout *out, const fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const size_t d = options->d_in, d_out = options->d_out ? options->d_out : d, F = options->n_features,
                 skip = options->skip ? d * d_out : 0, encoder = F * (d / trainer->n_layers),
                 decoder = trainer->n_layers > 1 ? fathom__decoder_count(trainer) : F * d_out;
    float *floats = NULL;
    const size_t input = map_count(&trainer->input_transform), output = map_count(&trainer->output_transform);
    int status = fathom__alloc(&floats, encoder + decoder + 4 * F + d_out + skip + input + output + FATHOM_TRAIN_GROUPS,
                               sizeof *floats);
    if (status) return status;
    out->encoder = floats;
    out->decoder = out->encoder + encoder;
    out->bias = out->decoder + decoder;
    out->threshold = out->bias + F;
    out->gate_bias = out->threshold + F;
    out->magnitude_scale = out->gate_bias + F;
    out->decoder_bias = out->magnitude_scale + F;
    out->skip = out->decoder_bias + d_out;
    out->input_transform = out->skip + skip;
    out->output_transform = out->input_transform + input;
    out->groups = (uint32_t *)(void *)(out->output_transform + output);
    return 0;
}

static void fill_feature(const struct layout *layout, const fathom_trainer *trainer, size_t f) {
    const size_t d = trainer->options.d_in / trainer->n_layers,
                 d_out = trainer->options.d_out ? trainer->options.d_out : d, read = trainer->read;
    const struct fathom__span span = fathom__decoder_span(trainer, f);
    const bool jumprelu = trainer->near.count != NULL, gated = trainer->architecture->second != NULL;
    const float scale = gated ? expf(trainer->scalar[1].value[f]) : 1;
    const float *encoder = trainer->encoder.value + f * read;
    /* What a transcoder subtracts from its inputs becomes part of the biases. */
    const float shift =
        trainer->centre ? fathom__dot(encoder, trainer->centre + fathom__layer(trainer, f) * read, read) : 0;
    memcpy(layout->encoder + f * d, encoder, d * sizeof(float));
    memcpy(layout->decoder + (trainer->n_layers > 1 ? span.at : f * d_out), trainer->decoder.value + span.at,
           (trainer->n_layers > 1 ? span.n : d_out) * sizeof(float));
    layout->bias[f] = trainer->encoder_bias.value[f] - scale * shift;
    layout->threshold[f] = jumprelu ? fathom__jumprelu_threshold(trainer, (uint32_t)f) : trainer->threshold;
    layout->gate_bias[f] = gated ? trainer->scalar[0].value[f] - shift : 0;
    layout->magnitude_scale[f] = scale;
}

/* Q⁻¹ S P: every row through P, then every column through Q⁻¹. */
static int fold_skip(const struct layout *layout, const fathom_trainer *trainer) {
    const size_t d = trainer->options.d_in, d_out = trainer->options.d_out;
    float *line = NULL;
    int status = fathom__alloc_aligned(&line, trainer->stride, sizeof *line);
    if (status) return status;
    memset(line, 0, trainer->stride * sizeof *line);
    for (size_t i = 0; i < d_out; i++) {
        memcpy(line, layout->skip + i * d, d * sizeof *line);
        fathom__map_apply_transposed(line, &trainer->input_transform);
        memcpy(layout->skip + i * d, line, d * sizeof *line);
    }
    memset(line, 0, trainer->stride * sizeof *line);
    for (size_t j = 0; j < d; j++) {
        for (size_t i = 0; i < d_out; i++)
            line[i] = layout->skip[i * d + j];
        fathom__map_apply(line, &trainer->output_transform);
        for (size_t i = 0; i < d_out; i++)
            layout->skip[i * d + j] = line[i];
    }
    fathom_free(line);
    return 0;
}

static int fill_output(const struct layout *layout, const fathom_trainer *trainer) {
    const size_t d = trainer->options.d_in, d_out = trainer->options.d_out ? trainer->options.d_out : d;
    const float units = (float)(trainer->input_scale / trainer->output_scale);
    memcpy(layout->decoder_bias, trainer->decoder_bias.value, d_out * sizeof(float));
    for (size_t i = 0; i < d_out && trainer->skip.value; i++) {
        const float *row = trainer->skip.value + i * trainer->stride;
        layout->decoder_bias[i] -= fathom__dot(row, trainer->centre, trainer->stride);
        for (size_t j = 0; j < d; j++)
            layout->skip[i * d + j] = row[j] * units; /* from model units to model units */
    }
    return trainer->skip.value && trainer->input_transform.weights ? fold_skip(layout, trainer) : 0;
}

int fathom_trainer_parts(struct fathom_dictionary_parts *out, void **storage, fathom_trainer *trainer) {
    const struct fathom_trainer_options *options = &trainer->options;
    const bool jumprelu = trainer->near.count != NULL, gated = trainer->architecture->second != NULL;
    struct layout layout;
    int status = open_layout(&layout, trainer);
    if (status) return status;
    fathom__average_use(trainer);
    for (size_t f = 0; f < options->n_features; f++)
        fill_feature(&layout, trainer, f);
    status = fill_output(&layout, trainer);
    if (options->n_sources) fathom__sources_fold(layout.encoder, layout.decoder, layout.decoder_bias, trainer);
    if (options->n_layers) fathom__layers_fold(layout.encoder, layout.decoder, layout.decoder_bias, trainer);
    fathom__average_leave(trainer);
    if (status) {
        fathom_free(layout.encoder);
        return status;
    }
    if (trainer->input_transform.weights) fathom__map_weights(layout.input_transform, &trainer->input_transform);
    if (trainer->output_transform.weights) fathom__map_weights(layout.output_transform, &trainer->output_transform);
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
                .input_scale = trainer->source_scale ? 1 : (float)trainer->input_scale,
                .output_scale = trainer->source_scale ? 1 : (float)trainer->output_scale,
                .group_sizes = layout.groups,
                .n_groups = options->n_groups,
                .n_layers = options->n_layers,
            },
        .encoder = layout.encoder,
        .encoder_bias = layout.bias,
        .decoder = layout.decoder,
        .decoder_bias = layout.decoder_bias,
        .threshold = jumprelu || trainer->threshold >= 0 ? layout.threshold : NULL,
        .gate_bias = gated ? layout.gate_bias : NULL,
        .magnitude_scale = gated ? layout.magnitude_scale : NULL,
        .skip = trainer->skip.value ? layout.skip : NULL,
        .input_transform = trainer->input_transform.weights ? layout.input_transform : NULL,
        .output_transform = trainer->output_transform.weights ? layout.output_transform : NULL,
        .diagonal_transforms = trainer->input_transform.diagonal,
    };
    *storage = layout.encoder;
    return 0;
}
