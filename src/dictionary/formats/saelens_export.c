/* Native files to SAELens folders, version 6. The scales are folded away, because SAELens keeps them outside the
 * folder: W_enc · s_in, W_dec / s_out, b_dec / s_out; biases and thresholds stay. */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/safetensors.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/formats/export.h>
#include <dictionary/formats/saelens.h>
#include <math.h>

/* SAELens's name of an architecture that both have, else NULL. */
static const char *name_architecture(const fathom_dictionary *dictionary, bool transcoder) {
    const bool skip = dictionary->skip != NULL;
    switch (dictionary->kind) {
    case FATHOM__KIND_STANDARD: return !transcoder ? "standard" : skip ? "skip_transcoder" : "transcoder";
    case FATHOM__KIND_BATCHTOPK:
    case FATHOM__KIND_JUMPRELU:
        return !transcoder ? "jumprelu" : skip ? "jumprelu_skip_transcoder" : "jumprelu_transcoder";
    case FATHOM__KIND_TOPK: return transcoder ? NULL : "topk";
    case FATHOM__KIND_GATED: return transcoder ? NULL : "gated";
    default: return NULL;
    }
}

/* SAELens undoes its norms, except in transcoders. */
static const char *name_norm(const fathom_dictionary *dictionary, bool transcoder) {
    if (dictionary->norm == FATHOM__NORM_NONE) return "none";
    if (dictionary->info.undo_input_norm == transcoder) return NULL;
    if (dictionary->norm == FATHOM__NORM_LAYER) return "layer_norm";
    return dictionary->norm == FATHOM__NORM_CONSTANT ? "constant_norm_rescale" : NULL;
}

static json_t *describe(const fathom_dictionary *dictionary, const char *architecture, const char *norm,
                        bool transcoder, bool subtracts) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const bool heads = strstr(info->hook_in, "hook_z") != NULL;
    json_t *json =
        json_pack("{s:s, s:i, s:i, s:s, s:s, s:b, s:s, s:s, s:{s:s, s:s, s:s, s:b, s:{s:b}}}", "architecture",
                  architecture, "d_in", (int)info->d_in, "d_sae", (int)info->n_features, "dtype", "float32", "device",
                  "cpu", "apply_b_dec_to_input", (int)subtracts, "normalize_activations", norm, "reshape_activations",
                  heads ? "hook_z" : "none", "metadata", "sae_lens_version", FATHOM__SAELENS_VERSION, "model_name",
                  info->model_name, "hook_name", info->hook_in, "prepend_bos", 1, "model_from_pretrained_kwargs",
                  "center_writing_weights", 0);
    if (json && transcoder) {
        json_object_set_new(json, "d_out", json_integer(info->d_out));
        json_object_set_new(json_object_get(json, "metadata"), "hook_name_out", json_string(info->hook_out));
    }
    if (json && dictionary->kind == FATHOM__KIND_TOPK) {
        json_object_set_new(json, "k", json_integer(info->k));
        json_object_set_new(json, "rescale_acts_by_decoder_norm", json_false());
    }
    return json;
}

static int write_weights(const char *path, const fathom_dictionary *dictionary, bool subtracts) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t d_in = info->d_in, d_out = info->d_out, F = info->n_features;
    const bool gated = dictionary->kind == FATHOM__KIND_GATED,
               thresholds = dictionary->kind == FATHOM__KIND_BATCHTOPK || dictionary->kind == FATHOM__KIND_JUMPRELU;
    struct fathom__weights weights = {0};
    float *logarithm = NULL;
    struct fathom__tensor tensors[8] = {0};
    size_t n = 0;
    int status = fathom__weights_read(&weights, dictionary, true, subtracts);
    if (!status && gated) status = fathom__alloc(&logarithm, F, sizeof *logarithm);
    for (size_t f = 0; f < F && gated && !status; f++)
        logarithm[f] = logf(dictionary->magnitude_scale[f]);
    if (!status) {
        tensors[n++] = fathom__export_tensor("W_enc", weights.encoder, d_in, F);
        tensors[n++] = fathom__export_tensor("W_dec", weights.decoder, F, d_out);
        tensors[n++] = fathom__export_tensor("b_dec", weights.decoder_bias, d_out, 0);
        tensors[n++] = fathom__export_tensor(gated ? "b_mag" : "b_enc", weights.encoder_bias, F, 0);
        if (gated) tensors[n++] = fathom__export_tensor("b_gate", dictionary->gate_bias, F, 0);
        if (gated) tensors[n++] = fathom__export_tensor("r_mag", logarithm, F, 0);
        if (thresholds) tensors[n++] = fathom__export_tensor("threshold", dictionary->threshold, F, 0);
        if (dictionary->skip) tensors[n++] = fathom__export_tensor("W_skip", dictionary->skip, d_out, d_in);
        status = fathom__safetensors_write(path, tensors, n, NULL);
    }
    fathom_free(logarithm);
    fathom__weights_free(&weights);
    return status;
}

int fathom__saelens_write(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const bool transcoder = fathom__export_transcoder(dictionary);
    /* Between different scales only one of them could be folded into b_dec. */
    const bool subtracts = info->subtract_decoder_bias && !transcoder && info->input_scale == info->output_scale;
    const char *architecture = name_architecture(dictionary, transcoder), *norm = name_norm(dictionary, transcoder);
    char *config = NULL, *weights = NULL;
    if (info->n_sources) return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: saelens has no crosscoders", info->path);
    if (!architecture || !norm)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: SAELens has no %s%s under the input norm %s", info->path,
                            info->architecture, transcoder ? " transcoder" : "", info->input_norm);
    json_t *json = describe(dictionary, architecture, norm, transcoder, subtracts);
    int status = json ? fathom__make_folders(folder) : fathom__fail_memory(0);
    if (!status) status = fathom__path_join(&config, folder, FATHOM__SAELENS_CONFIG);
    if (!status) status = fathom__path_join(&weights, folder, FATHOM__SAELENS_WEIGHTS);
    if (!status) status = write_weights(weights, dictionary, subtracts);
    if (!status) status = fathom__export_end(fathom__json_write(config, json), weights);
    json_decref(json);
    fathom_free(config);
    fathom_free(weights);
    return status;
}
