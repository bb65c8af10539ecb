/* Llama Scope, OpenMOSS's first release: hyperparams.json and checkpoints/final.safetensors. Its threshold stands in
 * the scale that its publisher reads features in: the activations' average norms folded into the weights, then the
 * decoder's rows made unit vectors. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/formats/import.h>
#include <math.h>
#include <string.h>

#define CONFIG "hyperparams.json"
#define WEIGHTS "checkpoints/final.safetensors"

static bool detect(const struct fathom__import *in) {
    return fathom__import_has(in, CONFIG) && fathom__import_has(in, WEIGHTS);
}

struct scope {
    double threshold, input_factor, output_factor;
    bool by_norm, decoder_bias;
};

static int read_factors(struct scope *scope, const struct fathom__import *in) {
    const char *where = in->config_path, *kind = "dataset-wise";
    const json_t *norms = json_object_get(in->config, "dataset_average_activation_norm");
    double norm_in = 0, norm_out = 0;
    int status = fathom__json_get_string(&kind, in->config, "norm_activation", false, where);
    if (status || strcmp(kind, "inference") == 0) return status;
    if (strcmp(kind, "dataset-wise") != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: norm_activation \"%s\"; dataset-wise or inference is expected", where, kind);
    if (!json_is_object(norms))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: dataset_average_activation_norm (an object) is missing", where);
    status = fathom__json_get_number(&norm_in, norms, "in", true, where);
    norm_out = norm_in;
    if (!status) status = fathom__json_get_number(&norm_out, norms, "out", false, where);
    if (!status && !(norm_in > 0 && norm_out > 0))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: dataset_average_activation_norm: numbers above 0 are expected",
                              where);
    scope->input_factor = sqrt((double)in->info.d_in) / norm_in;
    scope->output_factor = sqrt((double)in->info.d_in) / norm_out;
    return status;
}

static int read_config(struct scope *scope, struct fathom__import *in) {
    const char *where = in->config_path, *activation = "jumprelu", *hook_in = NULL, *hook_out = NULL;
    int64_t d = 0, F = 0, k = 0;
    bool subtract = false;
    int status = fathom__json_get_integer(&d, in->config, "d_model", 1, INT32_MAX, true, where);
    if (!status) status = fathom__json_get_integer(&F, in->config, "d_sae", 1, INT32_MAX, true, where);
    if (!status) status = fathom__json_get_string(&activation, in->config, "act_fn", false, where);
    if (!status) status = fathom__json_get_number(&scope->threshold, in->config, "jump_relu_threshold", false, where);
    if (!status)
        status = fathom__json_get_bool(&scope->by_norm, in->config, "sparsity_include_decoder_norm", false, where);
    if (!status) status = fathom__json_get_bool(&scope->decoder_bias, in->config, "use_decoder_bias", false, where);
    if (!status)
        status = fathom__json_get_bool(&subtract, in->config, "apply_decoder_bias_to_pre_encoder", false, where);
    if (!status) status = fathom__json_get_string(&hook_in, in->config, "hook_point_in", false, where);
    if (!status) status = fathom__json_get_string(&hook_out, in->config, "hook_point_out", false, where);
    const bool jumps = strcmp(activation, "jumprelu") == 0 || (strcmp(activation, "topk") == 0 && scope->threshold > 0);
    if (!status && strcmp(activation, "topk") == 0)
        status = fathom__json_get_integer(&k, in->config, "top_k", 1, F, !jumps, where);
    if (status) return status;
    if (!jumps && strcmp(activation, "topk") != 0 && strcmp(activation, "relu") != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: act_fn \"%s\"; jumprelu, topk or relu is expected", where,
                            activation);
    in->info.architecture = jumps ? "jumprelu" : strcmp(activation, "topk") == 0 ? "topk" : "standard";
    in->info.d_in = in->info.d_out = (uint32_t)d;
    in->info.n_features = (uint32_t)F;
    in->info.k = (uint32_t)k;
    in->info.subtract_decoder_bias = subtract && scope->decoder_bias;
    status = read_factors(scope, in);
    if (!status && in->info.subtract_decoder_bias && scope->input_factor != scope->output_factor)
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                              "%s: subtracts its decoder's bias from activations of another scale", where);
    return status ? status : fathom__import_hooks(in, hook_in, hook_out);
}

static int read_folder(struct fathom__import *in) {
    struct scope scope = {.input_factor = 1, .output_factor = 1, .by_norm = true, .decoder_bias = true};
    int status = fathom__import_config(in, CONFIG, true);
    if (!status) status = read_config(&scope, in);
    if (!status) status = fathom__import_open(in, WEIGHTS);
    const size_t d = in->info.d_in, F = in->info.n_features;
    if (!status) status = fathom__source_matrix(&in->encoder, &in->source, "encoder.weight", F, d, false);
    if (!status) status = fathom__source_vector(&in->encoder_bias, &in->source, "encoder.bias", F);
    if (!status) status = fathom__source_matrix(&in->decoder, &in->source, "decoder.weight", F, d, true);
    if (!status)
        status = scope.decoder_bias ? fathom__source_vector(&in->decoder_bias, &in->source, "decoder.bias", d)
                                    : fathom__import_zeros(&in->decoder_bias, d);
    if (status) return status;
    for (size_t f = 0; f < F; f++)
        in->encoder_bias[f] = (float)(in->encoder_bias[f] / scope.input_factor);
    for (size_t i = 0; i < F * d; i++)
        in->decoder[i] = (float)(in->decoder[i] * scope.input_factor / scope.output_factor);
    for (size_t j = 0; j < d; j++)
        in->decoder_bias[j] = (float)(in->decoder_bias[j] / scope.output_factor);
    status = fathom__import_change(in, "the activations' average norms were folded into the weights");
    if (!status && scope.by_norm) status = fathom__import_fold_norms(in);
    if (!status && strcmp(in->info.architecture, "jumprelu") == 0)
        status = fathom__import_fill_threshold(in, scope.threshold);
    return status ? status : in->threshold ? fathom__import_floor_thresholds(in) : 0;
}

const struct fathom__format fathom__format_llama_scope = {
    .info = {"llama-scope", "a folder of Llama Scope (hyperparams.json, checkpoints/final.safetensors)", false},
    .detect = detect,
    .read = read_folder,
};
