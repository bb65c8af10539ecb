/* Native files to OpenMOSS's folders. Scales are folded into the weights (norm_activation "inference"), and gates are
 * those of the activations by themselves (sparsity_include_decoder_norm false). */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/safetensors.h>
#include <dictionary/formats/export.h>
#include <dictionary/formats/openmoss.h>
#include <fathom/trainer.h>
#include <float.h>
#include <math.h>
#include <stdio.h>

enum { NAME = 32 };

/* NULL: the format has no such norm. */
static const char *normalisation(const fathom_dictionary *dictionary) {
    if (dictionary->norm == FATHOM__NORM_NONE) return "inference";
    return dictionary->norm == FATHOM__NORM_CONSTANT && dictionary->info.undo_input_norm &&
                   !fathom__export_transcoder(dictionary)
               ? "token-wise"
               : NULL;
}

static const char *activation(const fathom_dictionary *dictionary) {
    switch (dictionary->kind) {
    case FATHOM__KIND_STANDARD: return "relu";
    case FATHOM__KIND_TOPK: return dictionary->info.n_layers ? "layertopk" : "topk";
    default: return "jumprelu";
    }
}

/* F / d, rounded so that its product with d, cut to an integer, is F again. */
static double expansion(size_t n_features, size_t width) {
    double factor = (double)n_features / (double)width;
    while ((size_t)((double)width * factor) < n_features)
        factor = nextafter(factor, INFINITY);
    return factor;
}

static int put_hooks(json_t *json, const struct fathom_dictionary_info *info) {
    if (info->n_layers == 0)
        return json_object_set_new(json, "hook_point_in", json_string(info->hook_in)) ||
               json_object_set_new(json, "hook_point_out", json_string(info->hook_out));
    json_t *in = json_array(), *out = json_array();
    int failed = json_object_set_new(json, "hook_points_in", in) || json_object_set_new(json, "hook_points_out", out);
    for (uint32_t l = 0; l < info->n_layers && !failed; l++)
        failed = json_array_append_new(in, json_string(info->layers[l].hook_in)) ||
                 json_array_append_new(out, json_string(info->layers[l].hook_out));
    return failed;
}

static int write_config(const char *path, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const uint32_t n_layers = info->n_layers ? info->n_layers : 1, d = info->d_in / n_layers,
                   F = info->n_features / n_layers;
    json_t *json =
        json_pack("{s:s, s:i, s:f, s:b, s:s, s:s, s:b}", "sae_type", info->n_layers ? "clt" : "sae", "d_model", (int)d,
                  "expansion_factor", expansion(F, d), "use_decoder_bias", 1, "act_fn", activation(dictionary),
                  "norm_activation", normalisation(dictionary), "sparsity_include_decoder_norm", 0);
    int status = !json || put_hooks(json, info) ? fathom__fail_memory(0) : 0;
    if (!status && dictionary->kind == FATHOM__KIND_TOPK && json_object_set_new(json, "top_k", json_integer(info->k)))
        status = fathom__fail_memory(0);
    if (!status) status = fathom__json_write(path, json);
    json_decref(json);
    return status;
}

/* Logarithms of thresholds; 0, which has none, is the smallest number. NULL where there are none. */
static int take_thresholds(float **out, const fathom_dictionary *dictionary) {
    if (dictionary->kind != FATHOM__KIND_JUMPRELU && dictionary->kind != FATHOM__KIND_BATCHTOPK) return 0;
    int status = fathom__alloc(out, dictionary->info.n_features, sizeof **out);
    for (size_t f = 0; f < dictionary->info.n_features && !status; f++)
        (*out)[f] = logf(fmaxf(dictionary->threshold[f], FLT_MIN));
    return status;
}

static int write_one(const char *path, const fathom_dictionary *dictionary) {
    const size_t d = dictionary->info.d_in, F = dictionary->info.n_features;
    struct fathom__weights weights = {0};
    float *thresholds = NULL;
    int status = fathom__weights_read(&weights, dictionary, true, false);
    if (!status) status = take_thresholds(&thresholds, dictionary);
    if (!status) {
        const struct fathom__tensor tensors[] = {
            fathom__export_tensor("W_E", weights.encoder, d, F),
            fathom__export_tensor("b_E", weights.encoder_bias, F, 0),
            fathom__export_tensor("W_D", weights.decoder, F, d),
            fathom__export_tensor("b_D", weights.decoder_bias, d, 0),
            fathom__export_tensor(FATHOM__OPENMOSS_THRESHOLD, thresholds, F, 0),
        };
        status = fathom__safetensors_write(path, tensors, thresholds ? 5 : 4, NULL);
    }
    fathom__weights_free(&weights);
    fathom_free(thresholds);
    return status;
}

/* All layers in one file: encoders turned, decoders by the layer they write. */
struct stacked {
    float *encoder, *thresholds, *bias, *decoders[FATHOM_TRAIN_LAYERS];
};

static int stack_layer(struct stacked *stacked, const fathom_dictionary *dictionary, size_t layer) {
    const size_t L = dictionary->info.n_layers, F = dictionary->layer_features, d = dictionary->info.d_in / L;
    struct fathom__layer_weights weights = {0};
    int status = fathom__layer_weights_read(&weights, dictionary, layer);
    for (size_t f = 0; f < F && !status; f++) {
        for (size_t j = 0; j < d; j++)
            stacked->encoder[(layer * d + j) * F + f] = weights.encoder[f * d + j];
        for (size_t target = layer; target < L; target++)
            memcpy(stacked->decoders[target] + (layer * F + f) * d,
                   weights.decoder + (f * (L - layer) + target - layer) * d, d * sizeof *weights.decoder);
    }
    if (!status) memcpy(stacked->bias + layer * d, weights.bias, d * sizeof *weights.bias);
    fathom__layer_weights_free(&weights);
    return status;
}

static int write_stacked(const char *path, const fathom_dictionary *dictionary, const struct stacked *stacked) {
    const size_t L = dictionary->info.n_layers, F = dictionary->layer_features, d = dictionary->info.d_in / L;
    struct fathom__tensor tensors[3 + 2 * FATHOM_TRAIN_LAYERS];
    char names[2 * FATHOM_TRAIN_LAYERS][NAME];
    size_t n = 0;
    tensors[n++] =
        (struct fathom__tensor){"W_E", FATHOM__F32, 3, {L, d, F}, stacked->encoder, L * d * F * sizeof(float)};
    tensors[n++] = fathom__export_tensor("b_E", dictionary->encoder_bias, L, F);
    if (stacked->thresholds)
        tensors[n++] = fathom__export_tensor(FATHOM__OPENMOSS_THRESHOLD, stacked->thresholds, L, F);
    for (size_t t = 0; t < L; t++) {
        snprintf(names[2 * t], NAME, "W_D.%zu", t);
        snprintf(names[2 * t + 1], NAME, "b_D.%zu", t);
        tensors[n++] = (struct fathom__tensor){names[2 * t],  FATHOM__F32,          3,
                                               {t + 1, F, d}, stacked->decoders[t], (t + 1) * F * d * sizeof(float)};
        tensors[n++] = fathom__export_tensor(names[2 * t + 1], stacked->bias + t * d, d, 0);
    }
    return fathom__safetensors_write(path, tensors, n, NULL);
}

static int write_layers(const char *path, const fathom_dictionary *dictionary) {
    const size_t L = dictionary->info.n_layers, F = dictionary->layer_features, d = dictionary->info.d_in / L;
    struct stacked stacked = {0};
    int status = fathom__alloc_aligned(&stacked.encoder, L * F * d, sizeof *stacked.encoder);
    if (!status) status = fathom__alloc(&stacked.bias, L * d, sizeof *stacked.bias);
    if (!status) status = take_thresholds(&stacked.thresholds, dictionary);
    for (size_t t = 0; t < L && !status; t++)
        status = fathom__alloc_aligned(&stacked.decoders[t], (t + 1) * F * d, sizeof *stacked.decoders[t]);
    for (size_t l = 0; l < L && !status; l++)
        status = stack_layer(&stacked, dictionary, l);
    if (!status) status = write_stacked(path, dictionary, &stacked);
    fathom_free(stacked.encoder);
    fathom_free(stacked.bias);
    fathom_free(stacked.thresholds);
    for (size_t t = 0; t < L; t++)
        fathom_free(stacked.decoders[t]);
    return status;
}

int fathom__openmoss_write(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    char *config = NULL, *weights = NULL;
    int status = fathom__export_check_kind(dictionary, "openmoss",
                                           1U << FATHOM__KIND_STANDARD | 1U << FATHOM__KIND_TOPK |
                                               1U << FATHOM__KIND_JUMPRELU | 1U << FATHOM__KIND_BATCHTOPK);
    if (status) return status;
    if (!normalisation(dictionary))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: openmoss has no input norm %s here", info->path,
                            info->input_norm);
    if (info->has_skip || info->d_in != info->d_out)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: openmoss has no skip, and rows of one width", info->path);
    status = fathom__make_folders(folder);
    if (!status) status = fathom__path_join(&config, folder, FATHOM__OPENMOSS_CONFIG);
    if (!status) status = fathom__path_join(&weights, folder, FATHOM__OPENMOSS_WEIGHTS);
    if (!status) status = info->n_layers ? write_layers(weights, dictionary) : write_one(weights, dictionary);
    if (!status) status = fathom__export_end(write_config(config, dictionary), weights);
    fathom_free(config);
    fathom_free(weights);
    return status;
}
