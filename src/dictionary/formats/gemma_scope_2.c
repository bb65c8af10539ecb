/* Gemma Scope 2: params.safetensors, and a config.json that is sometimes missing; the folder's path then says the
 * kind and the layer, such as transcoder/layer_12_width_16k_l0_small_affine. The affine skip is applied as x @ A, so
 * that its transpose is the native file's skip; transcoders read the norm's output with its gain. */
#include <base/error.h>
#include <dictionary/formats/import.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS "params.safetensors"
#define SKIP "affine_skip_connection"

static bool detect(const struct fathom__import *in) {
    return in->file ? strcmp(in->file, PARAMS) == 0 || strstr(in->file, "params_layer_") != NULL
                    : fathom__import_has(in, PARAMS);
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

static int read_folder(struct fathom__import *in) {
    const struct fathom__tensor *encoder = NULL, *decoder = NULL;
    int status = fathom__import_open(in, in->file ? NULL : PARAMS);
    if (!status) status = fathom__source_need(&encoder, &in->source, "w_enc");
    if (!status) status = fathom__source_need(&decoder, &in->source, "w_dec");
    if (status) return status;
    if (decoder->n_dimensions == 3 || encoder->n_dimensions == 3)
        return fathom__fail(
            FATHOM_ERROR_UNSUPPORTED,
            "%s: a cross-layer transcoder or a crosscoder, whose features read or write several layers; "
            "a dictionary file holds one",
            in->source.path);
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
    .info = {"gemma-scope-2", "a folder of Gemma Scope 2 (params.safetensors)", false},
    .detect = detect,
    .read = read_folder,
};
