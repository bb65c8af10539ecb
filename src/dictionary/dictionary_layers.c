/* The layers of a cross-layer transcoder in the native file. */
#include <base/error.h>
#include <base/json.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <fathom/trainer.h>
#include <math.h>
#include <stdio.h>

#define KEY FATHOM__DICTIONARY_KEY "layers"

void fathom__dictionary_decoder_name(char name[FATHOM__DECODER_NAME], const struct fathom_dictionary_info *info,
                                     uint32_t layer) {
    if (info->n_layers)
        snprintf(name, FATHOM__DECODER_NAME, "decoder.weight.%u", layer);
    else
        snprintf(name, FATHOM__DECODER_NAME, "decoder.weight");
}

int fathom__dictionary_check_layers(const struct fathom_dictionary_info *info) {
    const uint32_t n = info->n_layers;
    const char *where = info->path ? info->path : "dictionary";
    if (n == 0) return 0;
    if (n < 2 || n > FATHOM_TRAIN_LAYERS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: %u layers; 2 to %d are expected of a cross-layer transcoder",
                            where, n, FATHOM_TRAIN_LAYERS);
    const bool norm = info->input_norm && strcmp(info->input_norm, "none") != 0;
    if (info->n_sources || info->subtract_decoder_bias || norm)
        return fathom__fail(
            FATHOM_ERROR_ARGUMENT,
            "%s: a cross-layer transcoder has no sources and no input norm, and subtracts no decoder bias", where);
    if (info->d_in != info->d_out || info->d_in % n || info->d_in / n % FATHOM__LANES || info->n_features % n)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%s: %u layers of inputs of width %u, outputs of width %u and %u features together; equal "
                            "layers, of a width that is a multiple of %d, are expected",
                            where, n, info->d_in, info->d_out, info->n_features, FATHOM__LANES);
    for (uint32_t l = 0; l < n; l++) {
        const struct fathom_dictionary_layer *layer = &info->layers[l];
        if (!layer->hook_in || !layer->hook_out || !(layer->input_scale > 0) || !(layer->output_scale > 0) ||
            isinf(layer->input_scale) || isinf(layer->output_scale))
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: layer %u needs two hooks and scales above 0", where, l);
    }
    return 0;
}

static int read_layer(struct fathom_dictionary_layer *out, const json_t *json, const char *where) {
    double input_scale = 0, output_scale = 0;
    int status = fathom__json_get_string(&out->hook_in, json, "hook_in", true, where);
    if (!status) status = fathom__json_get_string(&out->hook_out, json, "hook_out", true, where);
    if (!status) status = fathom__json_get_number(&input_scale, json, "input_scale", true, where);
    if (!status) status = fathom__json_get_number(&output_scale, json, "output_scale", true, where);
    out->input_scale = (float)input_scale;
    out->output_scale = (float)output_scale;
    return status;
}

int fathom__dictionary_read_layers(fathom_dictionary *dictionary) {
    struct fathom_dictionary_info *info = &dictionary->info;
    const char *text = NULL;
    char *where = NULL;
    int status = fathom__gguf_string(&text, dictionary->file, KEY, false);
    if (status || !text) return status;
    status = fathom__format(&where, "%s: " KEY, info->path);
    if (!status) status = fathom__json_parse(&dictionary->layers_text, text, strlen(text), where);
    const size_t n = status ? 0 : json_array_size(dictionary->layers_text);
    if (!status && (n < 2 || n > FATHOM_TRAIN_LAYERS))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: an array of 2 to %d is expected", where, FATHOM_TRAIN_LAYERS);
    if (!status) status = fathom__alloc(&dictionary->layers, n, sizeof *dictionary->layers);
    for (size_t l = 0; l < n && !status; l++)
        status = read_layer(&dictionary->layers[l], json_array_get(dictionary->layers_text, l), where);
    fathom_free(where);
    if (status) return status;
    info->layers = dictionary->layers;
    info->n_layers = (uint32_t)n;
    return fathom__dictionary_check_layers(info) ? fathom__fail(FATHOM_ERROR_FORMAT, "%s", fathom_error_message()) : 0;
}

int fathom__dictionary_put_layers(fathom__gguf_writer *writer, const struct fathom_dictionary_info *info) {
    char *text = NULL;
    if (info->n_layers == 0) return 0;
    json_t *array = json_array();
    for (uint32_t l = 0; l < info->n_layers; l++) {
        const struct fathom_dictionary_layer *layer = &info->layers[l];
        json_array_append_new(array, json_pack("{s:s, s:s, s:f, s:f}", "hook_in", layer->hook_in, "hook_out",
                                               layer->hook_out, "input_scale", (double)layer->input_scale,
                                               "output_scale", (double)layer->output_scale));
    }
    int status = fathom__json_text(&text, array, false);
    json_decref(array);
    if (!status) status = fathom__gguf_put_string(writer, KEY, text);
    fathom_free(text);
    return status;
}
