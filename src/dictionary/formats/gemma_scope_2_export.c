/* Native files to Gemma Scope 2's: params.safetensors and config.json, or params_layer_N.safetensors of every layer of
 * a cross-layer transcoder, whose w_dec [F, L, d] has zeros for the layers before N. */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/safetensors.h>
#include <dictionary/formats/export.h>
#include <dictionary/formats/gemma_scope_2.h>
#include <stdio.h>

/* What the format calls the places it has. */
static const char *kind(const fathom_dictionary *dictionary, const char *module) {
    if (dictionary->info.n_layers) return "clt";
    if (fathom__export_transcoder(dictionary)) return "transcoder";
    if (strstr(module, "o_proj")) return "attn_out";
    return strstr(module, "feedforward") ? "mlp_out" : "resid_post";
}

static int write_config(const char *path, const fathom_dictionary *dictionary, const char *module_in,
                        const char *module_out) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:b}", "architecture", "jump_relu", "model_name", info->model_name,
                             "type", kind(dictionary, module_in ? module_in : ""), "width",
                             (int)dictionary->layer_features, "affine_connection", (int)info->has_skip);
    int status = !json || (module_in && json_object_set_new(json, "hf_hook_point_in", json_string(module_in))) ||
                         (module_out && json_object_set_new(json, "hf_hook_point_out", json_string(module_out)))
                     ? fathom__fail_memory(0)
                     : 0;
    if (!status) status = fathom__json_write(path, json);
    json_decref(json);
    return status;
}

/* A ReLU is a jump at 0. */
static int take_thresholds(float **out, const fathom_dictionary *dictionary) {
    int status = fathom__alloc(out, dictionary->info.n_features, sizeof **out);
    if (!status && dictionary->kind != FATHOM__KIND_STANDARD)
        memcpy(*out, dictionary->threshold, dictionary->info.n_features * sizeof **out);
    return status;
}

static int write_one(const char *path, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t d_in = info->d_in, d_out = info->d_out, F = info->n_features;
    struct fathom__weights weights = {0};
    float *thresholds = NULL, *skip = NULL;
    int status = fathom__weights_read(&weights, dictionary, true, false);
    if (!status) status = take_thresholds(&thresholds, dictionary);
    if (!status && info->has_skip) status = fathom__alloc_aligned(&skip, d_in * d_out, sizeof *skip);
    if (!status) {
        for (size_t i = 0; skip && i < d_out; i++)
            for (size_t j = 0; j < d_in; j++)
                skip[j * d_out + i] = dictionary->skip[i * d_in + j];
        const struct fathom__tensor tensors[] = {
            fathom__export_tensor("w_enc", weights.encoder, d_in, F),
            fathom__export_tensor("w_dec", weights.decoder, F, d_out),
            fathom__export_tensor("b_enc", weights.encoder_bias, F, 0),
            fathom__export_tensor("b_dec", weights.decoder_bias, d_out, 0),
            fathom__export_tensor("threshold", thresholds, F, 0),
            fathom__export_tensor(FATHOM__GEMMA_SCOPE_2_SKIP, skip, d_in, d_out),
        };
        status = fathom__safetensors_write(path, tensors, skip ? 6 : 5, NULL);
    }
    fathom__weights_free(&weights);
    fathom_free(thresholds);
    fathom_free(skip);
    return status;
}

static int write_layer(const char *folder, const fathom_dictionary *dictionary, const float *thresholds, size_t layer) {
    const size_t L = dictionary->info.n_layers, F = dictionary->layer_features, d = dictionary->info.d_in / L;
    struct fathom__layer_weights weights = {0};
    float *encoder = NULL, *decoder = NULL;
    char name[FATHOM__GEMMA_SCOPE_2_NAME], *path = NULL;
    int status = fathom__layer_weights_read(&weights, dictionary, layer);
    if (!status) status = fathom__alloc_aligned(&encoder, F * d, sizeof *encoder);
    if (!status) status = fathom__alloc_aligned(&decoder, F * L * d, sizeof *decoder);
    if (!status) status = fathom__path_join(&path, folder, fathom__gemma_scope_2_layer(name, layer));
    if (!status) {
        memset(decoder, 0, F * L * d * sizeof *decoder);
        for (size_t f = 0; f < F; f++) {
            for (size_t j = 0; j < d; j++)
                encoder[j * F + f] = weights.encoder[f * d + j];
            memcpy(decoder + (f * L + layer) * d, weights.decoder + f * (L - layer) * d,
                   (L - layer) * d * sizeof *decoder);
        }
        const struct fathom__tensor tensors[] = {
            fathom__export_tensor("w_enc", encoder, d, F),
            {"w_dec", FATHOM__F32, 3, {F, L, d}, decoder, F * L * d * sizeof *decoder},
            fathom__export_tensor("b_enc", dictionary->encoder_bias + layer * F, F, 0),
            fathom__export_tensor("b_dec", weights.bias, d, 0),
            fathom__export_tensor("threshold", thresholds + layer * F, F, 0),
        };
        status = fathom__safetensors_write(path, tensors, sizeof tensors / sizeof *tensors, NULL);
    }
    fathom__layer_weights_free(&weights);
    fathom_free(encoder);
    fathom_free(decoder);
    fathom_free(path);
    return status;
}

/* Layers are a model's from 0 on, and read and write where this format's always do. */
static int check_places(const struct fathom_dictionary_info *info) {
    for (uint32_t l = 0; l < info->n_layers; l++) {
        char in[FATHOM__GEMMA_SCOPE_2_NAME], out[FATHOM__GEMMA_SCOPE_2_NAME];
        snprintf(in, sizeof in, "blocks.%u.mlp.hook_in", l);
        snprintf(out, sizeof out, "blocks.%u.hook_mlp_out", l);
        if (strcmp(info->layers[l].hook_in, in) != 0 || strcmp(info->layers[l].hook_out, out) != 0)
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: reads %s and writes %s as its layer %u; gemma-scope-2 has %s and %s there",
                                info->path, info->layers[l].hook_in, info->layers[l].hook_out, l, in, out);
    }
    return 0;
}

static int write_layers(const char *folder, const fathom_dictionary *dictionary) {
    float *thresholds = NULL;
    int status = take_thresholds(&thresholds, dictionary);
    for (size_t l = 0; l < dictionary->info.n_layers && !status; l++)
        status = write_layer(folder, dictionary, thresholds, l);
    fathom_free(thresholds);
    return status;
}

int fathom__gemma_scope_2_write(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    char *config = NULL, *weights = NULL, *module_in = NULL, *module_out = NULL;
    int status =
        fathom__export_check(dictionary, "gemma-scope-2",
                             1U << FATHOM__KIND_JUMPRELU | 1U << FATHOM__KIND_BATCHTOPK | 1U << FATHOM__KIND_STANDARD);
    if (!status && info->n_layers) status = check_places(info);
    if (!status && !info->n_layers)
        status = fathom__export_module(&module_in, dictionary, "gemma-scope-2", info->hook_in);
    if (!status && !info->n_layers && fathom__export_transcoder(dictionary))
        status = fathom__export_module(&module_out, dictionary, "gemma-scope-2", info->hook_out);
    if (!status) status = fathom__make_folders(folder);
    if (!status) status = fathom__path_join(&config, folder, "config.json");
    if (!status) status = fathom__path_join(&weights, folder, FATHOM__GEMMA_SCOPE_2_PARAMS);
    if (!status) status = info->n_layers ? write_layers(folder, dictionary) : write_one(weights, dictionary);
    if (!status)
        status = fathom__export_end(write_config(config, dictionary, module_in, module_out),
                                    info->n_layers ? NULL : weights);
    fathom_free(config);
    fathom_free(weights);
    fathom_free(module_in);
    fathom_free(module_out);
    return status;
}
