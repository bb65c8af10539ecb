/* OpenMOSS (llamascopium, before that lm-saes): config.json and sae_weights.safetensors. Activations are multiplied
 * with √d / their average norm, which the weights' file holds by hook point; gating by a feature's activation times
 * the length of its decoder row comes out as a threshold divided by it, and for TopK is folded into the encoder.
 * Cross-layer transcoders are in openmoss_layers.c. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/formats/openmoss.h>
#include <math.h>
#include <string.h>

static bool detect(const struct fathom__import *in) {
    return fathom__import_has(in, FATHOM__OPENMOSS_CONFIG) && fathom__import_has(in, FATHOM__OPENMOSS_WEIGHTS);
}

/* What the configurations of all kinds have. */
static int read_kind(struct fathom__openmoss *moss) {
    struct fathom__import *in = moss->in;
    const char *where = in->config_path;
    bool gated = false;
    int status = fathom__json_get_string(&moss->kind, in->config, "sae_type", false, where);
    if (!status) status = fathom__json_get_bool(&gated, in->config, "use_glu_encoder", false, where);
    if (!status && strcmp(moss->kind, "sae") != 0 && strcmp(moss->kind, "clt") != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: sae_type \"%s\"; sae or clt is expected", where, moss->kind);
    if (!status && gated)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: use_glu_encoder: such an encoder is not read", where);
    if (!status) status = fathom__json_get_string(&moss->activation, in->config, "act_fn", false, where);
    if (!status) status = fathom__json_get_string(&moss->normalisation, in->config, "norm_activation", false, where);
    if (!status) status = fathom__json_get_bool(&moss->decoder_bias, in->config, "use_decoder_bias", false, where);
    return status ? status
                  : fathom__json_get_bool(&moss->by_norm, in->config, "sparsity_include_decoder_norm", false, where);
}

static int read_activation(struct fathom__openmoss *moss) {
    struct fathom__import *in = moss->in;
    if (strcmp(moss->activation, "topk") == 0)
        in->info.architecture = "topk";
    else if (strcmp(moss->activation, "relu") == 0)
        in->info.architecture = "standard";
    else if (strcmp(moss->activation, "jumprelu") == 0)
        in->info.architecture = "jumprelu";
    else
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: act_fn \"%s\"; relu, topk or jumprelu is expected (BatchTopK keeps no threshold here)",
                            in->config_path, moss->activation);
    return 0;
}

static int read_config(struct fathom__openmoss *moss) {
    struct fathom__import *in = moss->in;
    const char *where = in->config_path;
    int64_t d = 0, k = 0;
    int status = read_activation(moss);
    if (!status) status = fathom__json_get_integer(&d, in->config, "d_model", 1, INT32_MAX, true, where);
    if (!status && strcmp(moss->activation, "topk") == 0)
        status = fathom__json_get_integer(&k, in->config, "top_k", 1, INT32_MAX, true, where);
    if (!status) status = fathom__json_get_string(&moss->hook_in, in->config, "hook_point_in", false, where);
    if (!status && !json_is_null(json_object_get(in->config, "hook_point_out")))
        status = fathom__json_get_string(&moss->hook_out, in->config, "hook_point_out", false, where);
    in->info.d_in = in->info.d_out = (uint32_t)d;
    in->info.k = (uint32_t)k;
    return status ? status : fathom__import_hooks(in, moss->hook_in, moss->hook_out);
}

int fathom__openmoss_scale(float *out, const struct fathom__import *in, const char *hook, size_t width) {
    enum { NAME_LENGTH = 256 };
    char name[NAME_LENGTH];
    const struct fathom__tensor *tensor = NULL;
    double norm = 0;
    if (in->options->input_scale > 0) {
        *out = (float)in->options->input_scale;
        return 0;
    }
    snprintf(name, sizeof name, FATHOM__OPENMOSS_NORM "%s", hook ? hook : "");
    tensor = fathom__source_find(&in->source, name);
    if (!tensor)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: tensor %s is missing; give the input scale, √d / that norm",
                            in->source.path, name);
    int status = fathom__tensor_number(&norm, tensor, in->source.path);
    if (!status && !(norm > 0 && isfinite(norm)))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s is %g; a number above 0 is expected", in->source.path,
                              name, norm);
    *out = (float)(sqrt((double)width) / norm);
    return status;
}

static int read_normalisation(struct fathom__openmoss *moss) {
    struct fathom__import *in = moss->in;
    const bool itself = !moss->hook_out || (moss->hook_in && strcmp(moss->hook_in, moss->hook_out) == 0);
    if (strcmp(moss->normalisation, "inference") == 0) return 0;
    if (strcmp(moss->normalisation, "token-wise") == 0 && itself) {
        in->info.input_norm = "constant_norm";
        in->info.undo_input_norm = true;
        return 0;
    }
    if (strcmp(moss->normalisation, "dataset-wise") != 0)
        return fathom__fail(
            FATHOM_ERROR_UNSUPPORTED,
            "%s: norm_activation \"%s\"%s; inference, dataset-wise or, within one hook point, token-wise "
            "is expected",
            in->config_path, moss->normalisation, itself ? "" : " of a transcoder");
    int status = fathom__openmoss_scale(&in->info.input_scale, in, moss->hook_in, in->info.d_in);
    if (!status)
        status =
            fathom__openmoss_scale(&in->info.output_scale, in, itself ? moss->hook_in : moss->hook_out, in->info.d_out);
    return status ? status : fathom__import_change(in, "the activations' average norms became the scales");
}

static int read_threshold(struct fathom__openmoss *moss) {
    struct fathom__import *in = moss->in;
    const size_t d = in->info.d_out, F = in->info.n_features;
    static const char *const names[] = {FATHOM__OPENMOSS_THRESHOLD, "log_jumprelu_threshold"};
    const char *name = fathom__source_find(&in->source, names[0]) ? names[0] : names[1];
    int status = fathom__source_vector(&in->threshold, &in->source, name, F);
    for (size_t f = 0; f < F && !status; f++) {
        double squares = 0;
        for (size_t j = 0; j < d; j++)
            squares += (double)in->decoder[f * d + j] * in->decoder[f * d + j];
        in->threshold[f] = expf(in->threshold[f]);
        if (moss->by_norm && squares > 0) in->threshold[f] /= (float)sqrt(squares);
    }
    return status || !moss->by_norm ? status
                                    : fathom__import_change(in, "thresholds were divided by the decoder norms");
}

static int read_weights(struct fathom__openmoss *moss) {
    struct fathom__import *in = moss->in;
    const bool old = fathom__source_find(&in->source, "encoder.weight") != NULL;
    const struct fathom__tensor *encoder = NULL;
    int status = fathom__source_need(&encoder, &in->source, old ? "encoder.weight" : "W_E");
    if (status) return status;
    const size_t d = in->info.d_in, F = encoder->shape[old ? 0 : 1];
    if (encoder->n_dimensions != 2 || F < in->info.k || F > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s: two dimensions and %u to %d features are expected",
                            in->source.path, encoder->name, in->info.k, INT32_MAX);
    in->info.n_features = (uint32_t)F;
    status = fathom__source_matrix(&in->encoder, &in->source, encoder->name, F, d, !old);
    if (!status) status = fathom__source_vector(&in->encoder_bias, &in->source, old ? "encoder.bias" : "b_E", F);
    if (!status) status = fathom__source_matrix(&in->decoder, &in->source, old ? "decoder.weight" : "W_D", F, d, old);
    if (!status)
        status = moss->decoder_bias
                     ? fathom__source_vector(&in->decoder_bias, &in->source, old ? "decoder.bias" : "b_D", d)
                     : fathom__import_zeros(&in->decoder_bias, d);
    if (!status && strcmp(moss->activation, "jumprelu") == 0) status = read_threshold(moss);
    if (!status && strcmp(moss->activation, "topk") == 0 && moss->by_norm) status = fathom__import_fold_norms(in);
    return status;
}

static int read_folder(struct fathom__import *in) {
    struct fathom__openmoss moss = {.in = in,
                                    .kind = "sae",
                                    .activation = "relu",
                                    .normalisation = "dataset-wise",
                                    .decoder_bias = true,
                                    .by_norm = true};
    int status = fathom__import_config(in, FATHOM__OPENMOSS_CONFIG, true);
    if (!status) status = read_kind(&moss);
    if (status) return status;
    if (strcmp(moss.kind, "clt") == 0) return fathom__openmoss_read_layers(&moss);
    status = read_config(&moss);
    if (!status) status = fathom__import_open(in, FATHOM__OPENMOSS_WEIGHTS);
    if (!status) status = read_normalisation(&moss);
    return status ? status : read_weights(&moss);
}

const struct fathom__format fathom__format_openmoss = {
    .info = {"openmoss", "a folder of OpenMOSS's llamascopium (config.json, sae_weights.safetensors)", true},
    .detect = detect,
    .read = read_folder,
    .write = fathom__openmoss_write,
    .writes_layers = true,
};
