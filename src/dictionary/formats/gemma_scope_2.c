/* Gemma Scope 2: params.safetensors, and a config.json that is sometimes missing; the folder's path then says the
 * kind and the layer, such as transcoder/layer_12_width_16k_l0_small_affine. The affine skip is applied as x @ A, so
 * that its transpose is the native file's skip; transcoders read the norm's output with its gain.
 * A cross-layer transcoder is a folder of params_layer_N.safetensors, whose w_dec [F, L, d] has all layers; only those
 * from N on are written. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/formats/gemma_scope_2.h>
#include <dictionary/formats/import.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS FATHOM__GEMMA_SCOPE_2_PARAMS
#define SKIP FATHOM__GEMMA_SCOPE_2_SKIP

static bool detect(const struct fathom__import *in) {
    return in->file ? strcmp(in->file, PARAMS) == 0 || strncmp(in->file, "params_layer_", 13) == 0
                    : fathom__import_has(in, PARAMS) || fathom__import_has(in, "params_layer_0.safetensors");
}

static int read_model(struct fathom__import *in) {
    static const char odd[] = "gemma-v3";
    const char *name = NULL;
    int status = in->config ? fathom__json_get_string(&name, in->config, "model_name", false, in->config_path) : 0;
    if (status || !name) return status;
    const char *at = strstr(name, odd);
    return at ? fathom__import_text(&in->info.model_name, in, "%.*sgemma-3%s", (int)(at - name), name, at + strlen(odd))
              : fathom__import_text(&in->info.model_name, in, "%s", name);
}

/* The hook points that a folder's path stands for, where no configuration names them. */
static int guess_places(const char **hook, const char **hook_out, struct fathom__import *in) {
    static const struct {
        const char *part, *hook, *hook_out;
    } kinds[] = {{"transcoder", "mlp.hook_in", "hook_mlp_out"},
                 {"resid_post", "hook_resid_post", NULL},
                 {"attn_out", "attn.hook_z", NULL},
                 {"mlp_out", "hook_mlp_out", NULL}};
    const char *layer = strstr(in->folder, "layer_");
    for (size_t i = 0; layer && i < sizeof kinds / sizeof *kinds; i++) {
        if (!strstr(in->folder, kinds[i].part)) continue;
        const unsigned long number = strtoul(layer + strlen("layer_"), NULL, 10);
        int status = fathom__import_text(hook, in, "blocks.%lu.%s", number, kinds[i].hook);
        if (!status && kinds[i].hook_out)
            status = fathom__import_text(hook_out, in, "blocks.%lu.%s", number, kinds[i].hook_out);
        return status;
    }
    return 0;
}

static int read_config(struct fathom__import *in) {
    const char *hook = NULL, *hook_out = NULL, *architecture = "jump_relu";
    int status = fathom__import_config(in, "config.json", false);
    if (!status) status = read_model(in);
    if (!status && in->config) {
        status = fathom__json_get_string(&architecture, in->config, "architecture", false, in->config_path);
        if (!status && strcmp(architecture, "jump_relu") != 0)
            status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: architecture \"%s\"; jump_relu is expected",
                                  in->config_path, architecture);
        if (!status && !json_is_null(json_object_get(in->config, "hf_hook_point_in")))
            status = fathom__json_get_string(&hook, in->config, "hf_hook_point_in", false, in->config_path);
        if (!status && !json_is_null(json_object_get(in->config, "hf_hook_point_out")))
            status = fathom__json_get_string(&hook_out, in->config, "hf_hook_point_out", false, in->config_path);
    }
    if (!status && !hook) status = guess_places(&hook, &hook_out, in);
    return status ? status : fathom__import_hooks(in, hook, hook_out);
}

/* Of w_dec [F, L, d] the layers from this one on, into a layer's decoder. */
static int read_layer_decoder(struct fathom__import *in, size_t layer) {
    const size_t L = in->info.n_layers, F = in->info.n_features / L, d = in->info.d_out / L, shape[] = {F, L, d};
    const struct fathom__tensor *tensor = NULL;
    float *all = NULL, *to = in->decoder + fathom__decoders_before(&in->info, layer);
    bool dropped = false;
    int status = fathom__source_need(&tensor, &in->source, "w_dec");
    if (!status) status = fathom__tensor_f32(&all, tensor, in->source.path, shape, 3);
    if (status) return status;
    for (size_t f = 0; f < F; f++) {
        for (size_t j = 0; j < layer * d; j++)
            dropped |= all[f * L * d + j] != 0;
        memcpy(to + f * (L - layer) * d, all + (f * L + layer) * d, (L - layer) * d * sizeof *to);
    }
    fathom_free(all);
    return dropped ? fathom__import_change(in, "what layer %zu wrote to earlier layers was left out", layer) : 0;
}

const char *fathom__gemma_scope_2_layer(char name[FATHOM__GEMMA_SCOPE_2_NAME], size_t layer) {
    snprintf(name, FATHOM__GEMMA_SCOPE_2_NAME, "params_layer_%zu.safetensors", layer);
    return name;
}

static int open_layer(struct fathom__import *in, size_t layer) {
    char name[FATHOM__GEMMA_SCOPE_2_NAME];
    fathom__source_close(&in->source);
    return fathom__import_open(in, fathom__gemma_scope_2_layer(name, layer));
}

static int read_layer(struct fathom__import *in, size_t layer) {
    const size_t F = in->info.n_features / in->info.n_layers, d = in->info.d_in / in->info.n_layers;
    const char *names[2] = {NULL, NULL};
    float *encoder = NULL;
    int status = open_layer(in, layer);
    if (!status && fathom__source_find(&in->source, SKIP))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: " SKIP "; a cross-layer transcoder has no skip here",
                            in->source.path);
    if (!status) status = fathom__source_matrix(&encoder, &in->source, "w_enc", F, d, true);
    if (!status) memcpy(in->encoder + layer * F * d, encoder, F * d * sizeof *encoder);
    fathom_free(encoder);
    if (!status) status = fathom__import_layer_tensor(in->encoder_bias + layer * F, &in->source, "b_enc", &F, 1);
    if (!status) status = fathom__import_layer_tensor(in->decoder_bias + layer * d, &in->source, "b_dec", &d, 1);
    if (!status) status = fathom__import_layer_tensor(in->threshold + layer * F, &in->source, "threshold", &F, 1);
    if (!status) status = read_layer_decoder(in, layer);
    if (!status) status = fathom__import_text(&names[0], in, "blocks.%zu.mlp.hook_in", layer);
    if (!status) status = fathom__import_text(&names[1], in, "blocks.%zu.hook_mlp_out", layer);
    return status ? status : fathom__import_layer_hooks(in, (uint32_t)layer, names[0], names[1]);
}

/* The first layer's file tells how many there are. */
static int read_layers(struct fathom__import *in) {
    const struct fathom__tensor *encoder = NULL, *decoder = NULL;
    int status = open_layer(in, 0);
    if (!status) status = fathom__source_need(&encoder, &in->source, "w_enc");
    if (!status) status = fathom__source_need(&decoder, &in->source, "w_dec");
    if (status) return status;
    if (encoder->n_dimensions != 2 || decoder->n_dimensions != 3)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: w_enc [d, F] and w_dec [F, L, d] of a cross-layer transcoder are expected",
                            in->source.path);
    const size_t n_layers = decoder->shape[1];
    status = fathom__import_layers_open(in, n_layers, encoder->shape[1], encoder->shape[0]);
    if (!status) status = fathom__alloc(&in->threshold, in->info.n_features, sizeof *in->threshold);
    in->info.architecture = "jumprelu";
    if (!status) status = fathom__import_config(in, "config.json", false);
    if (!status) status = read_model(in);
    for (size_t l = 0; l < n_layers && !status; l++)
        status = read_layer(in, l);
    return status ? status : fathom__import_floor_thresholds(in);
}

static int read_folder(struct fathom__import *in) {
    const struct fathom__tensor *encoder = NULL, *decoder = NULL;
    if (in->file ? strcmp(in->file, PARAMS) != 0 : !fathom__import_has(in, PARAMS)) return read_layers(in);
    int status = fathom__import_open(in, in->file ? NULL : PARAMS);
    if (!status) status = fathom__source_need(&encoder, &in->source, "w_enc");
    if (!status) status = fathom__source_need(&decoder, &in->source, "w_dec");
    if (status) return status;
    if (decoder->n_dimensions == 3 || encoder->n_dimensions == 3)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: w_enc or w_dec of three dimensions: a crosscoder's are not read", in->source.path);
    const size_t d_in = encoder->shape[0], F = encoder->shape[1], d_out = decoder->shape[1];
    if (encoder->n_dimensions != 2 || decoder->n_dimensions != 2 || d_in > INT32_MAX || F > INT32_MAX ||
        d_out > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: w_enc and w_dec of two dimensions are expected", in->source.path);
    in->info.architecture = "jumprelu";
    in->info.d_in = (uint32_t)d_in;
    in->info.d_out = (uint32_t)d_out;
    in->info.n_features = (uint32_t)F;
    status = read_config(in);
    if (!status) status = fathom__source_matrix(&in->encoder, &in->source, "w_enc", F, d_in, true);
    if (!status) status = fathom__source_matrix(&in->decoder, &in->source, "w_dec", F, d_out, false);
    if (!status) status = fathom__source_vector(&in->encoder_bias, &in->source, "b_enc", F);
    if (!status) status = fathom__source_vector(&in->decoder_bias, &in->source, "b_dec", d_out);
    if (!status) status = fathom__source_vector(&in->threshold, &in->source, "threshold", F);
    if (!status) status = fathom__import_floor_thresholds(in);
    if (!status && fathom__source_find(&in->source, SKIP)) {
        status = fathom__source_matrix(&in->skip, &in->source, SKIP, d_out, d_in, true);
        if (!status) status = fathom__import_change(in, "the affine skip was transposed: it is applied as x @ A");
    }
    return status;
}

const struct fathom__format fathom__format_gemma_scope_2 = {
    .info = {"gemma-scope-2", "a folder of Gemma Scope 2 (params.safetensors)", true},
    .detect = detect,
    .read = read_folder,
    .write = fathom__gemma_scope_2_write,
    .writes_layers = true,
};
