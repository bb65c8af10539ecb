/* Training that goes on from a dictionary: its weights, centre, scale and transform in place of random directions and of
 * what the first rows would give. */
#include <base/error.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/trainer_internal.h>
#include <string.h>

/* Of TopK's kind one file is as good as the other: what differs is how features are chosen. */
static bool same_kind(const fathom_trainer *trainer, const fathom_dictionary *dictionary) {
    if (trainer->architecture->exact)
        return dictionary->kind == FATHOM__KIND_TOPK || dictionary->kind == FATHOM__KIND_BATCHTOPK;
    return strcmp(trainer->architecture->kind, dictionary->info.architecture) == 0;
}

static int check(const fathom_trainer *trainer, const fathom_dictionary *dictionary) {
    const struct fathom_trainer_options *options = &trainer->options;
    const struct fathom_dictionary_info *info = &dictionary->info;
    const char *inputs = options->inputs == FATHOM_INPUTS_SCALED ? "none" : fathom_trainer_inputs_name(options->inputs);
    if (trainer->prepared || trainer->step) return fathom__fail(FATHOM_ERROR_ARGUMENT, "trainer: was prepared before");
    if (options->d_out || options->n_sources || options->n_layers)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "trainer: only an SAE can begin from a dictionary");
    if (info->n_sources || info->n_layers || info->has_skip || strcmp(info->hook_in, info->hook_out) != 0 ||
        !info->subtract_decoder_bias || dictionary->norm != FATHOM__NORM_NONE ||
        info->input_scale != info->output_scale)
        return fathom__fail(
            FATHOM_ERROR_MISMATCH,
            "%s: an SAE that subtracts b_dec and scales its rows by one number is expected to begin from", info->path);
    if (info->d_in != options->d_in || info->n_features != options->n_features)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: %u features of width %u; %u of width %u are to be trained",
                            info->path, info->n_features, info->d_in, options->n_features, options->d_in);
    if (!same_kind(trainer, dictionary))
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: the architecture is %s, and %s is to be trained", info->path,
                            info->architecture, trainer->architecture->name);
    if (strcmp(info->whitening, inputs) != 0)
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: its rows' whitening is %s, and %s is asked for", info->path,
                            info->whitening, inputs);
    return 0;
}

/* A decoder row of another length than 1 gives it to what the feature is worth, where norms are not free. */
static void settle_length(fathom_trainer *trainer, size_t f) {
    float *encoder = trainer->encoder.value + f * trainer->read,
          *decoder = trainer->decoder.value + f * trainer->stride;
    const float length = sqrtf(fathom__dot(decoder, decoder, trainer->stride));
    const bool gated = trainer->architecture->second != NULL, jumprelu = trainer->near.count != NULL;
    if (trainer->norm) trainer->norm[f] = length;
    if (trainer->norm || !(length > 0)) return;
    for (size_t j = 0; j < trainer->stride; j++) {
        encoder[j] *= length;
        decoder[j] /= length;
    }
    trainer->encoder_bias.value[f] *= length;
    if (gated) trainer->scalar[0].value[f] *= length;
    if (jumprelu) trainer->scalar[0].value[f] += logf(length);
}

static int take_feature(fathom_trainer *trainer, const fathom_dictionary *dictionary, uint32_t f) {
    float *encoder = trainer->encoder.value + f * trainer->read,
          *decoder = trainer->decoder.value + f * trainer->stride;
    const bool gated = trainer->architecture->second != NULL, jumprelu = trainer->near.count != NULL;
    int status = fathom__dictionary_stored_encoder(encoder, dictionary, f);
    if (!status) status = fathom__dictionary_stored_decoder(decoder, dictionary, f);
    if (status) return status;
    trainer->encoder_bias.value[f] = dictionary->encoder_bias[f];
    if (gated) {
        trainer->scalar[0].value[f] = dictionary->gate_bias[f];
        trainer->scalar[1].value[f] = logf(dictionary->magnitude_scale[f]);
    }
    if (jumprelu && dictionary->threshold[f] > 0) trainer->scalar[0].value[f] = logf(dictionary->threshold[f]);
    settle_length(trainer, f);
    return 0;
}

int fathom_trainer_begin(fathom_trainer *trainer, const fathom_dictionary *dictionary) {
    const struct fathom__map *forward = &dictionary->input_transform, *backward = &dictionary->output_transform;
    int status = check(trainer, dictionary);
    for (uint32_t f = 0; f < trainer->options.n_features && !status; f++)
        status = take_feature(trainer, dictionary, f);
    if (status) return status;
    memcpy(trainer->decoder_bias.value, dictionary->decoder_bias, trainer->options.d_in * sizeof(float));
    trainer->input_scale = trainer->output_scale = dictionary->info.input_scale;
    if (forward->weights) {
        const size_t n = (forward->diagonal ? 1 : forward->d) * forward->stride;
        memcpy(trainer->input_transform.weights, forward->weights, n * sizeof(float));
        memcpy(trainer->output_transform.weights, backward->weights, n * sizeof(float));
    }
    fathom__average_restart(trainer);
    trainer->prepared = true;
    return 0;
}
