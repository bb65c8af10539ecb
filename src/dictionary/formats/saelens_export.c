/* Native files to SAELens folders, version 6. The input scale is folded away, because SAELens keeps it outside the
 * folder:
 * W_enc · s, W_dec / s, b_dec / s; biases and thresholds stay. */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/safetensors.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/formats/saelens.h>
#include <unistd.h>

static json_t *describe(const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    static const char *const names[FATHOM__KINDS] = {"topk", "jumprelu", "jumprelu", "standard", NULL, NULL};
    json_t *json =
        json_pack("{s:s, s:i, s:i, s:s, s:s, s:b, s:s, s:s, s:{s:s, s:s, s:s, s:b}}", "architecture",
                  names[dictionary->kind], "d_in", (int)info->d_in, "d_sae", (int)info->n_features, "dtype", "float32",
                  "device", "cpu", "apply_b_dec_to_input", (int)info->subtract_decoder_bias, "normalize_activations",
                  "none", "reshape_activations", "none", "metadata", "sae_lens_version", FATHOM__SAELENS_VERSION,
                  "model_name", info->model_name, "hook_name", info->hook_in, "prepend_bos", 1);
    if (json && dictionary->kind == FATHOM__KIND_TOPK) {
        json_object_set_new(json, "k", json_integer(info->k));
        json_object_set_new(json, "rescale_acts_by_decoder_norm", json_false());
    }
    return json;
}

static int write_weights(const char *path, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t d = info->d_in, F = info->n_features;
    const float scale = info->input_scale;
    float *rows = NULL, *encoder = NULL, *decoder = NULL, *bias = NULL;
    int status = fathom__alloc(&rows, F * d, sizeof *rows);
    if (!status) status = fathom__alloc(&encoder, F * d, sizeof *encoder);
    if (!status) status = fathom__alloc(&decoder, F * d, sizeof *decoder);
    if (!status) status = fathom__alloc(&bias, d, sizeof *bias);
    if (!status) status = fathom__gguf_rows_f32(rows, dictionary->encoder, 0, (int64_t)F);
    if (!status) status = fathom__gguf_rows_f32(decoder, dictionary->decoder, 0, (int64_t)F);
    if (!status) {
        for (size_t f = 0; f < F; f++)
            for (size_t j = 0; j < d; j++) {
                encoder[j * F + f] = rows[f * d + j] * scale;
                decoder[f * d + j] /= scale;
            }
        for (size_t j = 0; j < d; j++)
            bias[j] = dictionary->decoder_bias[j] / scale;
        const bool thresholds = dictionary->kind == FATHOM__KIND_BATCHTOPK || dictionary->kind == FATHOM__KIND_JUMPRELU;
        const struct fathom__tensor tensors[] = {
            {"W_dec", FATHOM__F32, 2, {F, d}, decoder, F * d * sizeof *decoder},
            {"W_enc", FATHOM__F32, 2, {d, F}, encoder, F * d * sizeof *encoder},
            {"b_dec", FATHOM__F32, 1, {d}, bias, d * sizeof *bias},
            {"b_enc", FATHOM__F32, 1, {F}, dictionary->encoder_bias, F * sizeof(float)},
            {"threshold", FATHOM__F32, 1, {F}, dictionary->threshold, F * sizeof(float)},
        };
        status = fathom__safetensors_write(path, tensors, thresholds ? 5 : 4, NULL);
    }
    fathom_free(rows);
    fathom_free(encoder);
    fathom_free(decoder);
    fathom_free(bias);
    return status;
}

int fathom_dictionary_export_saelens(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    char *config = NULL, *weights = NULL;
    if (info->d_in != info->d_out || strcmp(info->hook_in, info->hook_out) != 0)
        return fathom__fail(
            FATHOM_ERROR_UNSUPPORTED,
            "%s: reads %s and writes %s; only dictionaries that reconstruct their own input are exported", info->path,
            info->hook_in, info->hook_out);
    json_t *json = describe(dictionary);
    int status = json ? fathom__make_folders(folder) : fathom__fail_memory(0);
    if (!status) status = fathom__path_join(&config, folder, FATHOM__SAELENS_CONFIG);
    if (!status) status = fathom__path_join(&weights, folder, FATHOM__SAELENS_WEIGHTS);
    if (!status) status = write_weights(weights, dictionary);
    if (!status && (status = fathom__json_write(config, json))) unlink(weights);
    if (status) rmdir(folder); /* where it was made for this and nothing is in it */
    json_decref(json);
    fathom_free(config);
    fathom_free(weights);
    return status;
}
