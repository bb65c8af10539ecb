/* SAELens folders, version 6 (nested metadata) and version 5 (flat), to native files.
 *
 * What is changed on the way, so that the native file reads the same features:
 *   - TopK that ranks by activation times decoder norm (rescale_acts_by_decoder_norm): the norms move from the decoder
 *     into the encoder
 *   - finetuning scaling factors go into the decoder
 *   - the scaling factor of activation_scaler.json (expected_average_only_in) becomes the input scale
 *   - negative thresholds become 0, which they mean after the ReLU
 *   - activations of models whose writing weights were centred are centred before encoding
 */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <dictionary/formats/import.h>
#include <dictionary/formats/saelens.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOPK "topk"
#define ARCHITECTURES                                                                                                  \
    "standard, topk, jumprelu, gated, batchtopk, matryoshka_batchtopk or one of the transcoders is expected"

/* What SAELens calls an architecture, and what makes it up. */
static const struct architecture {
    const char *name, *native;
    bool transcoder, skip;
} architectures[] = {
    {"standard", "standard", false, false},           {TOPK, TOPK, false, false},
    {"jumprelu", "jumprelu", false, false},           {"gated", "gated", false, false},
    {"batchtopk", "batchtopk", false, false},         {"matryoshka_batchtopk", "batchtopk", false, false},
    {"transcoder", "standard", true, false},          {"skip_transcoder", "standard", true, true},
    {"jumprelu_transcoder", "jumprelu", true, false}, {"jumprelu_skip_transcoder", "jumprelu", true, true},
};

struct saelens {
    struct fathom__import *in;
    const json_t *metadata; /* of version 6; in version 5 the config itself */
    const struct architecture *architecture;
    bool rescale;
};

static bool detect(const struct fathom__import *in) {
    return fathom__import_has(in, FATHOM__SAELENS_CONFIG) && fathom__import_has(in, FATHOM__SAELENS_WEIGHTS);
}

static int read_architecture(struct saelens *saelens) {
    struct fathom__import *in = saelens->in;
    const char *where = in->config_path, *activation = NULL, *name = "standard";
    int status = fathom__json_get_string(&name, in->config, "architecture", false, where);
    if (!status) status = fathom__json_get_string(&activation, in->config, "activation_fn_str", false, where);
    if (!status && !activation)
        status = fathom__json_get_string(&activation, in->config, "activation_fn", false, where);
    if (status) return status;
    /* Version 5 called TopK a standard architecture with another activation function. */
    if (activation && strcmp(activation, TOPK) == 0) name = TOPK;
    if (activation && strcmp(activation, TOPK) != 0 && strcmp(activation, "relu") != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: activation function \"%s\"; relu or topk is expected", where,
                            activation);
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strcmp(architectures[i].name, name) == 0) saelens->architecture = &architectures[i];
    if (!saelens->architecture)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: architecture \"%s\"; " ARCHITECTURES, where, name);
    in->info.architecture = saelens->architecture->native;
    return 0;
}

static int read_sizes(struct saelens *saelens) {
    struct fathom__import *in = saelens->in;
    const char *where = in->config_path;
    int64_t d_in = 0, d_out = 0, n_features = 0, k = 0;
    const bool transcoder = saelens->architecture->transcoder;
    int status = fathom__json_get_integer(&d_in, in->config, "d_in", 1, INT32_MAX, true, where);
    if (!status) status = fathom__json_get_integer(&n_features, in->config, "d_sae", 1, INT32_MAX, true, where);
    d_out = d_in;
    if (!status && transcoder) {
        const json_t *holder = json_object_get(in->config, "d_out") ? in->config : saelens->metadata;
        status = fathom__json_get_integer(&d_out, holder, "d_out", 1, INT32_MAX, true, where);
    }
    if (!status && strcmp(in->info.architecture, TOPK) == 0) {
        const json_t *kwargs = json_object_get(in->config, "activation_fn_kwargs");
        const json_t *holder = json_object_get(in->config, "k") || !kwargs ? in->config : kwargs;
        status = fathom__json_get_integer(&k, holder, "k", 1, n_features, true, where);
    }
    if (!status)
        status = fathom__json_get_bool(&saelens->rescale, in->config, "rescale_acts_by_decoder_norm", false, where);
    in->info.subtract_decoder_bias = !transcoder;
    if (!status && !transcoder)
        status =
            fathom__json_get_bool(&in->info.subtract_decoder_bias, in->config, "apply_b_dec_to_input", false, where);
    in->info.d_in = (uint32_t)d_in;
    in->info.d_out = (uint32_t)d_out;
    in->info.n_features = (uint32_t)n_features;
    in->info.k = (uint32_t)k;
    return status;
}

/* Training runs leave the factor beside the weights; the pretrained ones' stands in SAELens's own list. */
static int read_scale(struct fathom__import *in) {
    char *path = NULL;
    json_t *scaler = NULL;
    double scale = in->options->input_scale;
    int status = fathom__path_join(&path, in->folder, FATHOM__SAELENS_SCALER);
    if (!status && scale == 0 && fathom__file_exists(path)) {
        status = fathom__json_load(&scaler, path);
        if (!status && !json_is_null(json_object_get(scaler, "scaling_factor")))
            status = fathom__json_get_number(&scale, scaler, "scaling_factor", true, path);
        else
            scale = 1;
        if (!status && !(scale > 0 && isfinite(scale)))
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: scaling_factor is %g; a number above 0 is expected", path,
                                  scale);
    } else if (!status && scale == 0) {
        status = fathom__fail(FATHOM_ERROR_ARGUMENT,
                              "%s: normalize_activations is expected_average_only_in, and no " FATHOM__SAELENS_SCALER
                              " says the factor; give it as the input scale (1 where it was folded into the weights)",
                              in->config_path);
    }
    if (!status && scale != 1) {
        in->info.input_scale = (float)scale;
        status = fathom__import_change(in, "the activations' scaling factor became the input scale");
    }
    json_decref(scaler);
    fathom_free(path);
    return status;
}

static int read_normalisation(struct fathom__import *in, bool transcoder) {
    const json_t *value = json_object_get(in->config, "normalize_activations");
    /* Early files hold a bool. */
    const char *kind = !value || json_is_false(value) || json_is_null(value) ? "none"
                       : json_is_true(value)                                 ? "expected_average_only_in"
                                                                             : json_string_value(value);
    if (!kind)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: normalize_activations: a string is expected", in->config_path);
    if (strcmp(kind, "none") == 0) return 0;
    if (strcmp(kind, "expected_average_only_in") == 0) return read_scale(in);
    in->info.undo_input_norm = !transcoder; /* what a transcoder writes was never normed */
    if (strcmp(kind, "layer_norm") == 0)
        in->info.input_norm = "layer_norm";
    else if (strcmp(kind, "constant_norm_rescale") == 0)
        in->info.input_norm = "constant_norm";
    else
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: normalize_activations \"%s\"; none, expected_average_only_in, layer_norm or "
                            "constant_norm_rescale is expected",
                            in->config_path, kind);
    return 0;
}

/* What was done to the model's weights before its activations were taken: -1 where nothing says it. */
static int processed(const struct saelens *saelens, const char *key) {
    const json_t *value = json_object_get(json_object_get(saelens->metadata, "model_from_pretrained_kwargs"), key);
    return json_is_boolean(value) ? json_is_true(value) : -1;
}

static bool centrable(const char *hook) {
    static const char *const places[] = {"hook_resid_", "hook_attn_out", "hook_mlp_out", "hook_embed"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strstr(hook, places[i])) return true;
    return false;
}

/* TransformerLens's processed models write to a residual stream without its mean over the dimensions, where the norms
 * are LayerNorms; and their values lack their biases, which move behind the attention's output. */
static int read_processing(struct saelens *saelens) {
    struct fathom__import *in = saelens->in;
    const char *model = in->options->model ? in->options->model : in->info.model_name;
    const bool values = strstr(in->info.hook_in, "hook_z") != NULL;
    const enum fathom__norm_family family = fathom__model_norm(model);
    if (family == FATHOM__FAMILY_RMS || !(values || centrable(in->info.hook_in))) return 0;
    int known = processed(saelens, values ? "fold_value_biases" : "center_writing_weights");
    if (known < 0 && values) known = processed(saelens, "center_writing_weights") == 0 ? 0 : -1;
    if (in->options->centred != FATHOM_CENTRED_UNKNOWN) known = in->options->centred == FATHOM_CENTRED_YES;
    if (known < 0 && family == FATHOM__FAMILY_LAYER_NORM)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%s: does not say whether %s was loaded with its writing weights centred; say it by "
                            "centred (SAELens 3 and older, and gpt2-small-res-jb: yes)",
                            in->config_path, model);
    if (known <= 0) return 0;
    if (values)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: reads %s of a model whose value biases were folded away, which Fathom's rows hold",
                            in->config_path, in->info.hook_in);
    if (in->info.input_norm && strcmp(in->info.input_norm, "layer_norm") == 0) return 0; /* centres by itself */
    if (in->info.input_norm || saelens->architecture->transcoder)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: centred activations together with %s are not read",
                            in->config_path, in->info.input_norm ? in->info.input_norm : "a transcoder");
    in->info.input_norm = "centre";
    in->info.undo_input_norm = true;
    return fathom__import_change(in, "rows are centred before encoding, as the model's writing weights were");
}

static int get_text(const char **out, const json_t *object, const char *key, const char *where) {
    return json_is_null(json_object_get(object, key)) ? 0 : fathom__json_get_string(out, object, key, false, where);
}

static int read_places(struct saelens *saelens) {
    struct fathom__import *in = saelens->in;
    const char *where = in->config_path, *hook = NULL, *hook_out = NULL, *module = NULL, *module_out = NULL;
    const json_t *metadata = saelens->metadata;
    int status = get_text(&in->info.model_name, metadata, "model_name", where);
    if (!status) status = get_text(&hook, metadata, "hook_name", where);
    if (!status && !hook) status = get_text(&hook, metadata, "hook_point", where);
    if (!status) status = get_text(&hook_out, metadata, "hook_name_out", where);
    if (!status) status = get_text(&module, metadata, "hf_hook_name", where);
    if (!status) status = get_text(&module_out, metadata, "hf_hook_name_out", where);
    if (!status && json_is_integer(json_object_get(metadata, "hook_head_index")))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: reads one head of %s (hook_head_index)", where,
                            hook ? hook : "its hook");
    if (!status && saelens->architecture->transcoder && !hook_out && !module_out && !in->options->hook_out)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%s: hook_name_out is missing; name where the transcoder writes by hook-out", where);
    if (!status && !hook && !module && !in->options->hook)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: hook_name (a string) is missing; name it by hook", where);
    return status ? status : fathom__import_hooks(in, module ? module : hook, module_out ? module_out : hook_out);
}

static int read_config(struct saelens *saelens) {
    struct fathom__import *in = saelens->in;
    int status = fathom__import_config(in, FATHOM__SAELENS_CONFIG, true);
    if (status) return status;
    const json_t *metadata = json_object_get(in->config, "metadata");
    saelens->metadata = json_is_object(metadata) ? metadata : in->config;
    status = read_architecture(saelens);
    if (!status) status = read_sizes(saelens);
    if (!status) status = read_normalisation(in, saelens->architecture->transcoder);
    if (!status) status = read_places(saelens);
    if (!status) status = read_processing(saelens);
    return status;
}

/* matryoshka_widths are those of the nested prefixes. */
static int read_groups(struct fathom__import *in) {
    const json_t *widths = json_object_get(in->config, "matryoshka_widths");
    const size_t n = json_array_size(widths);
    json_int_t before = 0;
    if (n == 0) return 0;
    int status = fathom__alloc(&in->group_sizes, n + 1, sizeof *in->group_sizes);
    for (size_t i = 0; i < n && !status; i++) {
        const json_int_t width = json_integer_value(json_array_get(widths, i));
        if (width <= before || width > in->info.n_features)
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: matryoshka_widths: ascending widths to %u are expected",
                                  in->config_path, in->info.n_features);
        in->group_sizes[in->info.n_groups++] = (uint32_t)(width - before);
        before = width;
    }
    if (!status && before < in->info.n_features)
        in->group_sizes[in->info.n_groups++] = (uint32_t)(in->info.n_features - before);
    return status;
}

static int read_threshold(struct fathom__import *in) {
    const size_t F = in->info.n_features;
    if (strcmp(in->info.architecture, "batchtopk") == 0) {
        const struct fathom__tensor *tensor = NULL;
        double value = 0;
        int status = fathom__source_need(&tensor, &in->source, "topk_threshold");
        if (!status) status = fathom__tensor_number(&value, tensor, in->source.path);
        if (!status) status = fathom__import_fill_threshold(in, value);
        return status ? status : fathom__import_floor_thresholds(in);
    }
    if (strcmp(in->info.architecture, "jumprelu") != 0) return 0;
    const bool logarithm =
        !fathom__source_find(&in->source, "threshold") && fathom__source_find(&in->source, "log_threshold");
    int status = fathom__source_vector(&in->threshold, &in->source, logarithm ? "log_threshold" : "threshold", F);
    for (size_t f = 0; f < F && !status && logarithm; f++)
        in->threshold[f] = expf(in->threshold[f]);
    return status ? status : fathom__import_floor_thresholds(in);
}

static int read_gate(struct fathom__import *in) {
    const size_t F = in->info.n_features;
    int status = fathom__source_vector(&in->gate_bias, &in->source, "b_gate", F);
    if (!status) status = fathom__source_vector(&in->encoder_bias, &in->source, "b_mag", F);
    if (!status) status = fathom__source_vector(&in->magnitude_scale, &in->source, "r_mag", F);
    for (size_t f = 0; f < F && !status; f++)
        in->magnitude_scale[f] = expf(in->magnitude_scale[f]);
    return status;
}

static int fold_factors(struct fathom__import *in) {
    const size_t d = in->info.d_out;
    bool used = false;
    float *factors = NULL;
    int status = fathom__json_get_bool(&used, in->config, "finetuning_scaling_factor", false, in->config_path);
    if (status || !used) return status;
    status = fathom__source_vector(&factors, &in->source, "scaling_factor", in->info.n_features);
    for (size_t f = 0; f < in->info.n_features && !status; f++)
        for (size_t j = 0; j < d; j++)
            in->decoder[f * d + j] *= factors[f];
    fathom_free(factors);
    return status ? status : fathom__import_change(in, "finetuning scaling factors were folded into the decoder");
}

static int read_weights(struct saelens *saelens) {
    struct fathom__import *in = saelens->in;
    const size_t d_in = in->info.d_in, d_out = in->info.d_out, F = in->info.n_features;
    const bool gated = strcmp(in->info.architecture, "gated") == 0;
    int status = fathom__import_open(in, FATHOM__SAELENS_WEIGHTS);
    if (!status) status = fathom__source_matrix(&in->encoder, &in->source, "W_enc", F, d_in, true);
    if (!status) status = fathom__source_matrix(&in->decoder, &in->source, "W_dec", F, d_out, false);
    if (!status) status = fathom__source_vector(&in->decoder_bias, &in->source, "b_dec", d_out);
    if (!status) status = gated ? read_gate(in) : fathom__source_vector(&in->encoder_bias, &in->source, "b_enc", F);
    if (!status && saelens->architecture->skip)
        status = fathom__source_matrix(&in->skip, &in->source, "W_skip", d_out, d_in, false);
    if (!status) status = read_threshold(in);
    if (!status && saelens->rescale) status = fathom__import_fold_norms(in);
    if (!status) status = fold_factors(in);
    if (!status && strcmp(in->info.architecture, "batchtopk") == 0) status = read_groups(in);
    return status;
}

static int read_folder(struct fathom__import *in) {
    struct saelens saelens = {.in = in};
    int status = read_config(&saelens);
    return status ? status : read_weights(&saelens);
}

const struct fathom__format fathom__format_saelens = {
    .info = {"saelens", "a SAELens folder (cfg.json, sae_weights.safetensors)", true},
    .detect = detect,
    .read = read_folder,
    .write = fathom__saelens_write,
};
