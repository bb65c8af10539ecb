/* circuit-tracer's sets of transcoders: layer_N.safetensors, and a config.yaml that says for all layers what they
 * read and write. Of YAML only lines "key: text" are read. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <ctype.h>
#include <dictionary/formats/circuit_tracer.h>
#include <dictionary/formats/export.h>
#include <dictionary/formats/import.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG FATHOM__CIRCUIT_TRACER_CONFIG
#define LAYER "layer_"
#define THRESHOLD "activation_function.threshold"
enum { CONFIG_LIMIT = 1 << 20 };

static bool detect(const struct fathom__import *in) {
    if (!in->file) return fathom__import_has(in, CONFIG) || fathom__import_has(in, "W_enc_0.safetensors");
    return (strncmp(in->file, LAYER, strlen(LAYER)) == 0 && isdigit((unsigned char)in->file[strlen(LAYER)])) ||
           strncmp(in->file, "W_enc_", 6) == 0 || strncmp(in->file, "W_dec_", 6) == 0;
}

/* A line's text after "key:", without quotes, comment and spaces. */
static int take_line(json_t *config, char *line) {
    char *colon = strchr(line, ':');
    if (!colon || isspace((unsigned char)line[0]) || line[0] == '#' || line[0] == '-') return 0;
    char *text = colon + 1;
    *colon = 0;
    while (*text == ' ')
        text++;
    size_t length = strlen(text);
    if (*text == '"' || *text == '\'') {
        const char *end = strchr(text + 1, *text);
        text++;
        length = end ? (size_t)(end - text) : strlen(text);
    } else {
        const char *comment = strstr(text, " #");
        if (comment) length = (size_t)(comment - text);
        while (length > 0 && isspace((unsigned char)text[length - 1]))
            length--;
    }
    return length == 0 || json_object_set_new(config, line, fathom__json_string(text, length)) == 0
               ? 0
               : fathom__fail_memory(length);
}

static int read_config(struct fathom__import *in) {
    char *text = NULL, *rest = NULL;
    size_t length = 0;
    in->config = json_object();
    int status = fathom__path_join(&in->config_path, in->folder, CONFIG);
    if (!status && !fathom__file_exists(in->config_path)) return 0;
    if (!status) status = fathom__file_read(&text, &length, in->config_path, CONFIG_LIMIT);
    for (char *line = status ? NULL : strtok_r(text, "\r\n", &rest); line && !status;
         line = strtok_r(NULL, "\r\n", &rest))
        status = take_line(in->config, line);
    fathom_free(text);
    return status;
}

const char *fathom__circuit_tracer_configured(const struct fathom__import *in, const char *key) {
    return json_string_value(json_object_get(in->config, key));
}

static int read_places(struct fathom__import *in, unsigned long layer) {
    const char *hook_in = fathom__circuit_tracer_configured(in, "feature_input_hook"),
               *hook_out = fathom__circuit_tracer_configured(in, "feature_output_hook"), *hooks[2] = {NULL, NULL};
    int status = 0;
    if (fathom__circuit_tracer_configured(in, "model_name"))
        in->info.model_name = fathom__circuit_tracer_configured(in, "model_name");
    if (hook_in) status = fathom__import_text(&hooks[0], in, "blocks.%lu.%s", layer, hook_in);
    if (!status && hook_out) status = fathom__import_text(&hooks[1], in, "blocks.%lu.%s", layer, hook_out);
    if (!status && !hook_out && !in->options->hook_out)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%s: no " CONFIG " says where the transcoder writes; name it by hook-out", in->folder);
    return status ? status : fathom__import_hooks(in, hooks[0], hooks[1]);
}

static int read_activation(struct fathom__import *in) {
    const struct fathom__tensor *tensor = fathom__source_find(&in->source, "k");
    const char *text = fathom__circuit_tracer_configured(in, "k"),
               *activation = fathom__circuit_tracer_configured(in, "activation");
    double k = text ? strtod(text, NULL) : 0;
    int status = 0;
    in->info.architecture = "standard";
    if (fathom__source_find(&in->source, "log_thresholds"))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: log_thresholds are not read; " THRESHOLD " is",
                            in->source.path);
    if (fathom__source_find(&in->source, THRESHOLD)) {
        in->info.architecture = "jumprelu";
        status = fathom__source_vector(&in->threshold, &in->source, THRESHOLD, in->info.n_features);
        return status ? status : fathom__import_jump_only(in);
    }
    if (tensor) status = fathom__tensor_number(&k, tensor, in->source.path);
    if (status || (!tensor && !(activation && strcmp(activation, "topk") == 0))) return status;
    if (!(k >= 1 && k <= in->info.n_features))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: k is %g; 1 to %u is expected", in->source.path, k,
                            in->info.n_features);
    in->info.architecture = "topk";
    in->info.k = (uint32_t)k;
    return 0;
}

static int read_layer(struct fathom__import *in) {
    const struct fathom__tensor *encoder = NULL, *decoder = NULL;
    int status = read_config(in);
    if (status) return status;
    if (!in->file && !fathom__import_has(in, "W_enc_0.safetensors"))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: one of its layer_N.safetensors is expected", in->folder);
    if (!in->file || in->file[0] == 'W') return fathom__circuit_tracer_read_layers(in);
    const unsigned long layer =
        strncmp(in->file, LAYER, strlen(LAYER)) == 0 ? strtoul(in->file + strlen(LAYER), NULL, 10) : 0;
    if (!status) status = fathom__import_open(in, NULL);
    if (!status) status = fathom__source_need(&encoder, &in->source, "W_enc");
    if (!status) status = fathom__source_need(&decoder, &in->source, "W_dec");
    if (status) return status;
    const size_t F = encoder->shape[0], d_in = encoder->shape[1], d_out = decoder->shape[1];
    if (encoder->n_dimensions != 2 || decoder->n_dimensions != 2 || F > INT32_MAX || d_in > INT32_MAX ||
        d_out > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: W_enc and W_dec of two dimensions are expected", in->source.path);
    in->info.d_in = (uint32_t)d_in;
    in->info.d_out = (uint32_t)d_out;
    in->info.n_features = (uint32_t)F;
    status = read_places(in, layer);
    if (!status) status = read_activation(in);
    if (!status) status = fathom__source_matrix(&in->encoder, &in->source, "W_enc", F, d_in, false);
    if (!status) status = fathom__source_matrix(&in->decoder, &in->source, "W_dec", F, d_out, false);
    if (!status) status = fathom__source_vector(&in->encoder_bias, &in->source, "b_enc", F);
    if (!status) status = fathom__source_vector(&in->decoder_bias, &in->source, "b_dec", d_out);
    if (!status && fathom__source_find(&in->source, "W_skip"))
        status = fathom__source_matrix(&in->skip, &in->source, "W_skip", d_out, d_in, false);
    return status;
}

static int write_weights(const char *path, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t d_in = info->d_in, d_out = info->d_out, F = info->n_features;
    struct fathom__weights weights = {0};
    struct fathom__tensor tensors[6] = {0};
    size_t n = 0;
    int status = fathom__weights_read(&weights, dictionary, false, false);
    if (!status) {
        tensors[n++] = fathom__export_tensor("W_enc", weights.encoder, F, d_in);
        tensors[n++] = fathom__export_tensor("W_dec", weights.decoder, F, d_out);
        tensors[n++] = fathom__export_tensor("b_enc", weights.encoder_bias, F, 0);
        tensors[n++] = fathom__export_tensor("b_dec", weights.decoder_bias, d_out, 0);
        if (dictionary->kind != FATHOM__KIND_STANDARD)
            tensors[n++] = fathom__export_tensor(THRESHOLD, dictionary->threshold, F, 0);
        if (dictionary->skip) tensors[n++] = fathom__export_tensor("W_skip", dictionary->skip, d_out, d_in);
        status = fathom__safetensors_write(path, tensors, n, NULL);
    }
    fathom__weights_free(&weights);
    return status;
}

/* The layer of "blocks.N.…" and what follows it. */
static const char *split_hook(unsigned long *layer, const char *hook) {
    char *rest = NULL;
    if (strncmp(hook, "blocks.", 7) != 0 || !isdigit((unsigned char)hook[7])) return NULL;
    *layer = strtoul(hook + 7, &rest, 10);
    return *rest == '.' ? rest + 1 : NULL;
}

static int write_folder(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    unsigned long layer = 0, layer_out = 0;
    char *name = NULL, *weights = NULL, *config = NULL, *text = NULL;
    const char *hook_in = split_hook(&layer, info->hook_in), *hook_out = split_hook(&layer_out, info->hook_out);
    int status =
        fathom__export_check(dictionary, "circuit-tracer",
                             1U << FATHOM__KIND_STANDARD | 1U << FATHOM__KIND_JUMPRELU | 1U << FATHOM__KIND_BATCHTOPK);
    if (!status && info->n_layers) return fathom__circuit_tracer_write_layers(folder, dictionary);
    if (!status && (!hook_in || !hook_out || layer != layer_out || !fathom__export_transcoder(dictionary)))
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                              "%s: reads %s and writes %s; circuit-tracer has transcoders within one layer", info->path,
                              info->hook_in, info->hook_out);
    if (status) return status;
    status = fathom__make_folders(folder);
    if (!status) status = fathom__format(&name, LAYER "%lu.safetensors", layer);
    if (!status) status = fathom__path_join(&weights, folder, name);
    if (!status) status = fathom__path_join(&config, folder, CONFIG);
    if (!status) status = write_weights(weights, dictionary);
    if (!status)
        status = fathom__format(&text,
                                "model_name: \"%s\"\nmodel_kind: transcoder_set\nfeature_input_hook: %s\n"
                                "feature_output_hook: %s\nscan: \"%s\"\n",
                                info->model_name, hook_in, hook_out, info->name);
    if (!status) status = fathom__export_end(fathom__file_write(config, text, strlen(text)), weights);
    fathom_free(name);
    fathom_free(weights);
    fathom_free(config);
    fathom_free(text);
    return status;
}

const struct fathom__format fathom__format_circuit_tracer = {
    .info = {"circuit-tracer", "a layer_N.safetensors, or a folder of a cross-layer transcoder, of circuit-tracer",
             true},
    .detect = detect,
    .read = read_layer,
    .write = write_folder,
    .writes_layers = true,
};
