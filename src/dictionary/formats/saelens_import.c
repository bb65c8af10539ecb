/* SAELens folders, version 6 (nested metadata) and version 5 (flat), to native files.
 *
 * What is changed on the way, so that the native file reads the same features:
 *   - TopK that ranks by activation times decoder norm (rescale_acts_by_decoder_norm): the norms move from the decoder
 *   into the encoder - finetuning scaling factors go into the decoder
 *   - the scaling factor of activation_scaler.json (expected_average_only_in) becomes the input scale
 *   - negative thresholds become 0, which they mean after the ReLU
 */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/safetensors.h>
#include <dictionary/formats/saelens.h>
#include <fathom/dictionary.h>
#include <fathom/model.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct importing {
    const char *folder;
    char *config_path, *weights_path, *name;
    json_t *config;
    const json_t *metadata; /* of version 6; in version 5 the config itself */
    json_t *changes;        /* array of texts */
    fathom__safetensors *weights;
    const char *architecture, *model_name, *hook;
    int64_t d, n_features, k;
    bool subtract, rescale;
    double scale;
    float *encoder, *encoder_bias, *decoder, *decoder_bias, *threshold;
    char *training;
};

static int change(struct importing *in, const char *text) {
    return json_array_append_new(in->changes, json_string(text)) ? fathom__fail_memory(strlen(text)) : 0;
}

static int read_architecture(struct importing *in) {
    const char *where = in->config_path, *activation = NULL;
    in->architecture = "standard";
    int status = fathom__json_get_string(&in->architecture, in->config, "architecture", false, where);
    if (!status) status = fathom__json_get_string(&activation, in->config, "activation_fn_str", false, where);
    if (!status && !activation)
        status = fathom__json_get_string(&activation, in->config, "activation_fn", false, where);
    if (status) return status;
    /* Version 5 called TopK a standard architecture with another activation function. */
    if (activation && strcmp(activation, "topk") == 0) in->architecture = "topk";
    if (activation && strcmp(activation, "topk") != 0 && strcmp(activation, "relu") != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: activation function \"%s\"; relu or topk is expected", where,
                            activation);
    if (strcmp(in->architecture, "standard") != 0 && strcmp(in->architecture, "topk") != 0 &&
        strcmp(in->architecture, "jumprelu") != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: architecture \"%s\"; standard, topk or jumprelu is expected",
                            where, in->architecture);
    if (strcmp(in->architecture, "topk") != 0) return 0;
    const json_t *kwargs = json_object_get(in->config, "activation_fn_kwargs");
    const json_t *holder = json_object_get(in->config, "k") || !kwargs ? in->config : kwargs;
    status = fathom__json_get_integer(&in->k, holder, "k", 1, in->n_features, true, where);
    if (!status) status = fathom__json_get_bool(&in->rescale, in->config, "rescale_acts_by_decoder_norm", false, where);
    return status;
}

static int read_scaler(struct importing *in) {
    char *path = NULL;
    json_t *scaler = NULL;
    int status = fathom__path_join(&path, in->folder, FATHOM__SAELENS_SCALER);
    if (!status && fathom__file_exists(path)) {
        status = fathom__json_load(&scaler, path);
        if (!status && !json_is_null(json_object_get(scaler, "scaling_factor"))) {
            status = fathom__json_get_number(&in->scale, scaler, "scaling_factor", true, path);
            if (!status && !(in->scale > 0 && isfinite(in->scale)))
                status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: scaling_factor is %g; a number above 0 is expected",
                                      path, in->scale);
            if (!status) status = change(in, "the activations' scaling factor became the input scale");
        }
    }
    json_decref(scaler);
    fathom_free(path);
    return status;
}

static int read_normalisation(struct importing *in) {
    const json_t *value = json_object_get(in->config, "normalize_activations");
    /* Early files hold a bool. */
    const char *kind = !value || json_is_false(value) || json_is_null(value) ? "none"
                       : json_is_true(value)                                 ? "expected_average_only_in"
                                                                             : json_string_value(value);
    if (!kind)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: normalize_activations: a string is expected", in->config_path);
    if (strcmp(kind, "none") == 0) return 0;
    if (strcmp(kind, "expected_average_only_in") == 0) return read_scaler(in);
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                        "%s: normalize_activations \"%s\"; none or expected_average_only_in is expected",
                        in->config_path, kind);
}

static int read_config(struct importing *in) {
    const char *where = in->config_path, *hook = NULL;
    int status = fathom__json_load(&in->config, where);
    if (status) return status;
    if (!json_is_object(in->config)) return fathom__fail(FATHOM_ERROR_FORMAT, "%s: an object is expected", where);
    const json_t *metadata = json_object_get(in->config, "metadata");
    in->metadata = json_is_object(metadata) ? metadata : in->config;
    in->subtract = true;
    status = fathom__json_get_integer(&in->d, in->config, "d_in", 1, INT32_MAX, true, where);
    if (!status) status = fathom__json_get_integer(&in->n_features, in->config, "d_sae", 1, INT32_MAX, true, where);
    if (!status) status = read_architecture(in);
    if (!status) status = read_normalisation(in);
    if (!status) status = fathom__json_get_bool(&in->subtract, in->config, "apply_b_dec_to_input", false, where);
    in->model_name = "";
    if (!status && !json_is_null(json_object_get(in->metadata, "model_name")))
        status = fathom__json_get_string(&in->model_name, in->metadata, "model_name", false, where);
    if (!status && !json_is_null(json_object_get(in->metadata, "hook_name")))
        status = fathom__json_get_string(&hook, in->metadata, "hook_name", false, where);
    if (!status && !hook) status = fathom__json_get_string(&hook, in->metadata, "hook_point", false, where);
    if (!status && !hook) status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: hook_name (a string) is missing", where);
    in->hook = hook;
    return status;
}

static int read_weights(struct importing *in) {
    const size_t d = (size_t)in->d, F = (size_t)in->n_features;
    const size_t encoder[] = {d, F}, decoder[] = {F, d}, features[] = {F}, row[] = {d};
    float *transposed = NULL;
    int status = fathom__safetensors_open(&in->weights, in->weights_path);
    if (!status) status = fathom__safetensors_f32(&transposed, in->weights, "W_enc", encoder, 2);
    if (!status) status = fathom__safetensors_f32(&in->decoder, in->weights, "W_dec", decoder, 2);
    if (!status) status = fathom__safetensors_f32(&in->encoder_bias, in->weights, "b_enc", features, 1);
    if (!status) status = fathom__safetensors_f32(&in->decoder_bias, in->weights, "b_dec", row, 1);
    if (!status) status = fathom__alloc(&in->encoder, F * d, sizeof *in->encoder);
    for (size_t j = 0; j < d && !status; j++)
        for (size_t f = 0; f < F; f++)
            in->encoder[f * d + j] = transposed[j * F + f];
    fathom_free(transposed);
    return status;
}

static int read_threshold(struct importing *in) {
    const size_t features[] = {(size_t)in->n_features};
    bool negative = false;
    if (strcmp(in->architecture, "jumprelu") != 0) return 0;
    const bool logarithm =
        !fathom__safetensors_find(in->weights, "threshold") && fathom__safetensors_find(in->weights, "log_threshold");
    int status =
        fathom__safetensors_f32(&in->threshold, in->weights, logarithm ? "log_threshold" : "threshold", features, 1);
    for (int64_t f = 0; f < in->n_features && !status; f++) {
        if (logarithm) in->threshold[f] = expf(in->threshold[f]);
        if (in->threshold[f] < 0) {
            in->threshold[f] = 0;
            negative = true;
        }
    }
    return status || !negative ? status : change(in, "negative thresholds became 0");
}

static int fold_norms(struct importing *in) {
    const size_t d = (size_t)in->d;
    if (!in->rescale) return 0;
    for (int64_t f = 0; f < in->n_features; f++) {
        float *decoder = in->decoder + (size_t)f * d, *encoder = in->encoder + (size_t)f * d;
        double squares = 0;
        for (size_t j = 0; j < d; j++)
            squares += (double)decoder[j] * decoder[j];
        const float norm = (float)sqrt(squares);
        if (norm == 0) continue;
        for (size_t j = 0; j < d; j++) {
            decoder[j] /= norm;
            encoder[j] *= norm;
        }
        in->encoder_bias[f] *= norm;
    }
    return change(in, "decoder norms were folded into the encoder");
}

static int fold_factors(struct importing *in) {
    const size_t d = (size_t)in->d, features[] = {(size_t)in->n_features};
    bool used = false;
    float *factors = NULL;
    int status = fathom__json_get_bool(&used, in->config, "finetuning_scaling_factor", false, in->config_path);
    if (status || !used) return status;
    status = fathom__safetensors_f32(&factors, in->weights, "scaling_factor", features, 1);
    for (int64_t f = 0; f < in->n_features && !status; f++)
        for (size_t j = 0; j < d; j++)
            in->decoder[(size_t)f * d + j] *= factors[f];
    fathom_free(factors);
    return status ? status : change(in, "finetuning scaling factors were folded into the decoder");
}

/* The folder's own name, without the slashes at its end. */
static int find_name(char **out, const char *folder) {
    size_t end = strlen(folder);
    while (end > 1 && folder[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && folder[begin - 1] != '/')
        begin--;
    return fathom__copy_bytes(out, folder + begin, end - begin);
}

static int write_native(struct importing *in, const char *path, const char *dtype) {
    json_t *record =
        json_pack("{s:{s:s, s:O, s:O}}", "import", "from", "SAELens", "config", in->config, "changes", in->changes);
    int status = record ? fathom__json_text(&in->training, record, false) : fathom__fail_memory(0);
    json_decref(record);
    if (!status) status = find_name(&in->name, in->folder);
    if (status) return status;
    const struct fathom_dictionary_parts parts = {
        .info = {.name = in->name,
                 .architecture = in->architecture,
                 .hook_in = in->hook,
                 .hook_out = in->hook,
                 .model_identity = "",
                 .model_name = in->model_name,
                 .training = in->training,
                 .d_in = (uint32_t)in->d,
                 .d_out = (uint32_t)in->d,
                 .n_features = (uint32_t)in->n_features,
                 .k = (uint32_t)in->k,
                 .subtract_decoder_bias = in->subtract,
                 .input_scale = (float)in->scale,
                 .max_norm = INFINITY},
        .encoder = in->encoder,
        .encoder_bias = in->encoder_bias,
        .decoder = in->decoder,
        .decoder_bias = in->decoder_bias,
        .threshold = in->threshold,
    };
    status = fathom_dictionary_write(path, &parts, dtype);
    return status ? fathom__wrap(status, "%s", in->folder) : 0;
}

int fathom_dictionary_import_saelens(const char *native_path, const char *folder, const char *dtype) {
    struct importing in = {.folder = folder, .scale = 1};
    in.changes = json_array();
    int status =
        in.changes ? fathom__path_join(&in.config_path, folder, FATHOM__SAELENS_CONFIG) : fathom__fail_memory(0);
    if (!status) status = fathom__path_join(&in.weights_path, folder, FATHOM__SAELENS_WEIGHTS);
    if (!status) status = read_config(&in);
    if (!status) status = read_weights(&in);
    if (!status) status = read_threshold(&in);
    if (!status) status = fold_norms(&in);
    if (!status) status = fold_factors(&in);
    if (!status) status = write_native(&in, native_path, dtype);
    fathom__safetensors_close(in.weights);
    json_decref(in.changes);
    json_decref(in.config);
    fathom_free(in.config_path);
    fathom_free(in.weights_path);
    fathom_free(in.name);
    fathom_free(in.training);
    fathom_free(in.encoder);
    fathom_free(in.encoder_bias);
    fathom_free(in.decoder);
    fathom_free(in.decoder_bias);
    fathom_free(in.threshold);
    return status;
}
