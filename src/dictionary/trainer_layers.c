/* Cross-layer transcoders: features that read the rows of one layer and write those of that layer and all later ones
 * (Ameisen et al., March 2025).
 *
 * Rows hold the inputs of all layers, then their targets, each scaled by itself. What is trained is a transcoder of those
 * rows, of whose matrices only the blocks that may be other than 0 exist: an encoder row is as long as one layer, and a
 * decoder row as the layers from its own on. So there is a dense product for each layer, and all else goes by
 * fathom__decoder_span.
 */
#include <base/error.h>
#include <dictionary/trainer_internal.h>

int fathom__layers_check(const struct fathom_trainer_options *options) {
    const uint32_t n = options->n_layers;
    if (n == 0) return 0;
    if (n < 2 || n > FATHOM_TRAIN_LAYERS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "trainer: %u layers; 2 to %d are expected of a cross-layer transcoder", n,
                            FATHOM_TRAIN_LAYERS);
    if (options->d_in != options->d_out || options->d_in % n || options->d_in / n % FATHOM__LANES)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "trainer: %u layers of inputs of width %u and targets of width %u together; of both the "
                            "same is expected, and of each layer a multiple of %d",
                            n, options->d_in, options->d_out, FATHOM__LANES);
    if (options->n_features % n)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "trainer: %u features of %u layers; as many of each layer are expected",
                            options->n_features, n);
    if (options->n_sources || options->skip)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: a cross-layer transcoder has no %s",
                            options->skip ? "skip" : "sources beside its layers");
    if (options->inputs != FATHOM_INPUTS_SCALED)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "trainer: a cross-layer transcoder's inputs are scaled, layer by layer");
    if (fathom__architecture(options->architecture)->nested)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "trainer: %s; its groups would be of features of the first layers, so that no "
                            "cross-layer transcoder has them",
                            fathom__architecture(options->architecture)->name);
    return 0;
}

void fathom__layers_fold(float *encoder, float *decoder, float *decoder_bias, const fathom_trainer *trainer) {
    const size_t n = trainer->n_layers, width = trainer->read;
    const float *in = trainer->source_scale, *out = in + n;
    for (size_t f = 0; f < trainer->options.n_features; f++) {
        const size_t layer = fathom__layer(trainer, f);
        for (size_t j = 0; j < width; j++)
            *encoder++ *= in[layer] * (float)trainer->input_scale;
        for (size_t t = layer; t < n; t++)
            for (size_t j = 0; j < width; j++)
                *decoder++ /= out[t] * (float)trainer->output_scale;
    }
    for (size_t t = 0; t < n; t++)
        for (size_t j = 0; j < width; j++)
            *decoder_bias++ /= out[t] * (float)trainer->output_scale;
}
