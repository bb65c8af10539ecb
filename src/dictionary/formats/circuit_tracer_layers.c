/* circuit-tracer's cross-layer transcoders: W_enc_N and W_dec_N.safetensors for each source layer N. A decoder's
 * [feature, j] is what the feature writes to layer N + j. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <dictionary/formats/circuit_tracer.h>
#include <dictionary/formats/export.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME = 48 };

static const char *numbered(char name[NAME], const char *before, size_t number, const char *after) {
    snprintf(name, NAME, "%s%zu%s", before, number, after);
    return name;
}

/* How many layers' encoders the folder has, from 0 on; all of them. */
static int count_layers(size_t *out, const struct fathom__import *in) {
    char name[NAME];
    size_t n = 0;
    while (n <= FATHOM_TRAIN_LAYERS && fathom__import_has(in, numbered(name, "W_enc_", n, ".safetensors")))
        n++;
    *out = n;
    for (size_t l = n + 1; l <= FATHOM_TRAIN_LAYERS; l++)
        if (fathom__import_has(in, numbered(name, "W_enc_", l, ".safetensors")))
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: there is a W_enc_%zu.safetensors, but none of layer %zu",
                                in->folder, l, n);
    return 0;
}

static int open_numbered(struct fathom__import *in, const char *before, size_t layer) {
    char name[NAME];
    fathom__source_close(&in->source);
    return fathom__import_open(in, numbered(name, before, layer, ".safetensors"));
}

/* By the first layer's files: F, d, whether there are thresholds, and whether as many layers are written as there are. */
static int read_sizes(struct fathom__import *in, size_t n_layers) {
    const struct fathom__tensor *encoder = NULL, *decoder = NULL;
    int status = open_numbered(in, "W_enc_", 0);
    if (!status) status = fathom__source_need(&encoder, &in->source, "W_enc_0");
    if (status) return status;
    if (encoder->n_dimensions != 2)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: W_enc_0 of two dimensions is expected", in->source.path);
    const size_t F = encoder->shape[0], d = encoder->shape[1];
    const bool jumps = fathom__source_find(&in->source, "threshold_0") != NULL;
    status = open_numbered(in, "W_dec_", 0);
    if (!status) status = fathom__source_need(&decoder, &in->source, "W_dec_0");
    if (status) return status;
    if (decoder->n_dimensions != 3 || decoder->shape[1] != n_layers)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: W_dec_0 writes %zu layers, and there are W_enc files of %zu; as many are expected",
                            in->source.path, decoder->n_dimensions == 3 ? decoder->shape[1] : 0, n_layers);
    status = fathom__import_layers_open(in, n_layers, F, d);
    in->info.architecture = jumps ? "jumprelu" : "standard";
    if (!status && jumps) status = fathom__alloc(&in->threshold, in->info.n_features, sizeof *in->threshold);
    return status;
}

static int read_layer(struct fathom__import *in, size_t layer) {
    const size_t F = in->info.n_features / in->info.n_layers, d = in->info.d_in / in->info.n_layers, encoder[] = {F, d},
                 decoder[] = {F, in->info.n_layers - layer, d};
    const struct fathom__source *source = &in->source;
    char name[NAME];
    int status = open_numbered(in, "W_enc_", layer);
    if (!status && fathom__source_find(source, numbered(name, "W_skip_", layer, "")))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: %s; a cross-layer transcoder has no skip here", source->path,
                            name);
    if (!status)
        status = fathom__import_layer_tensor(in->encoder + layer * F * d, source, numbered(name, "W_enc_", layer, ""),
                                             encoder, 2);
    if (!status)
        status = fathom__import_layer_tensor(in->encoder_bias + layer * F, source, numbered(name, "b_enc_", layer, ""),
                                             &F, 1);
    if (!status)
        status = fathom__import_layer_tensor(in->decoder_bias + layer * d, source, numbered(name, "b_dec_", layer, ""),
                                             &d, 1);
    if (!status && in->threshold)
        status = fathom__import_layer_tensor(in->threshold + layer * F, source, numbered(name, "threshold_", layer, ""),
                                             &F, 1);
    if (!status) status = open_numbered(in, "W_dec_", layer);
    return status ? status
                  : fathom__import_layer_tensor(in->decoder + fathom__decoders_before(&in->info, layer), source,
                                                numbered(name, "W_dec_", layer, ""), decoder, 3);
}

int fathom__circuit_tracer_read_layers(struct fathom__import *in) {
    const char *kind = fathom__circuit_tracer_configured(in, "model_kind"),
               *activation = fathom__circuit_tracer_configured(in, "activation"),
               *hook_in = fathom__circuit_tracer_configured(in, "feature_input_hook"),
               *hook_out = fathom__circuit_tracer_configured(in, "feature_output_hook");
    size_t n_layers = 0;
    if (kind && strcmp(kind, "cross_layer_transcoder") != 0)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: model_kind is %s; cross_layer_transcoder is expected",
                            in->config_path, kind);
    if (activation && strcmp(activation, "relu") != 0 && strcmp(activation, "jump_relu") != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: activation is %s; relu or jump_relu is expected",
                            in->config_path, activation);
    if (fathom__circuit_tracer_configured(in, "model_name"))
        in->info.model_name = fathom__circuit_tracer_configured(in, "model_name");
    int status = count_layers(&n_layers, in);
    if (!status) status = read_sizes(in, n_layers);
    for (uint32_t l = 0; l < n_layers && !status; l++) {
        const char *names[2] = {NULL, NULL};
        status = read_layer(in, l);
        if (!status && hook_in) status = fathom__import_text(&names[0], in, "blocks.%u.%s", l, hook_in);
        if (!status && hook_out) status = fathom__import_text(&names[1], in, "blocks.%u.%s", l, hook_out);
        if (!status) status = fathom__import_layer_hooks(in, l, names[0], names[1]);
    }
    return !status && in->threshold ? fathom__import_jump_only(in) : status;
}

/* What the hooks of all layers have after "blocks.N.", N counting from 0. */
static int common_hook(const char **out, const fathom_dictionary *dictionary, bool writes) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    for (uint32_t l = 0; l < info->n_layers; l++) {
        const char *hook = writes ? info->layers[l].hook_out : info->layers[l].hook_in;
        char before[NAME];
        numbered(before, "blocks.", l, ".");
        if (strncmp(hook, before, strlen(before)) != 0 || (l > 0 && strcmp(hook + strlen(before), *out) != 0))
            return fathom__fail(
                FATHOM_ERROR_UNSUPPORTED,
                "%s: has %s as its layer %u; circuit-tracer's layers are all those of a model from 0 on, "
                "with one hook point in each",
                info->path, hook, l);
        *out = hook + strlen(before);
    }
    return 0;
}

static int write_tensors(const char *folder, const char *before, size_t layer, const struct fathom__tensor *tensors,
                         size_t n) {
    char name[NAME], *path = NULL;
    int status = fathom__path_join(&path, folder, numbered(name, before, layer, ".safetensors"));
    if (!status) status = fathom__safetensors_write(path, tensors, n, NULL);
    fathom_free(path);
    return status;
}

static int write_layer(const char *folder, const fathom_dictionary *dictionary, size_t layer) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t F = dictionary->layer_features, d = info->d_in / info->n_layers, n = info->n_layers - layer;
    struct fathom__layer_weights weights = {0};
    char names[5][NAME];
    int status = fathom__layer_weights_read(&weights, dictionary, layer);
    if (!status) {
        struct fathom__tensor tensors[] = {
            fathom__export_tensor(numbered(names[0], "W_enc_", layer, ""), weights.encoder, F, d),
            fathom__export_tensor(numbered(names[1], "b_enc_", layer, ""), dictionary->encoder_bias + layer * F, F, 0),
            fathom__export_tensor(numbered(names[2], "b_dec_", layer, ""), weights.bias, d, 0),
            {0},
        };
        if (dictionary->threshold)
            tensors[3] = fathom__export_tensor(numbered(names[3], "threshold_", layer, ""),
                                               dictionary->threshold + layer * F, F, 0);
        const struct fathom__tensor writes = {
            numbered(names[4], "W_dec_", layer, ""), FATHOM__F32, 3, {F, n, d}, weights.decoder,
            F * n * d * sizeof *weights.decoder};
        status = write_tensors(folder, "W_enc_", layer, tensors, dictionary->threshold ? 4 : 3);
        if (!status) status = write_tensors(folder, "W_dec_", layer, &writes, 1);
    }
    fathom__layer_weights_free(&weights);
    return status;
}

int fathom__circuit_tracer_write_layers(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const char *hook_in = NULL, *hook_out = NULL;
    char *config = NULL, *text = NULL;
    int status = common_hook(&hook_in, dictionary, false);
    if (!status) status = common_hook(&hook_out, dictionary, true);
    if (status) return status;
    status = fathom__make_folders(folder);
    for (size_t l = 0; l < info->n_layers && !status; l++)
        status = write_layer(folder, dictionary, l);
    if (!status) status = fathom__path_join(&config, folder, FATHOM__CIRCUIT_TRACER_CONFIG);
    if (!status)
        status = fathom__format(&text,
                                "model_name: \"%s\"\nmodel_kind: cross_layer_transcoder\nfeature_input_hook: %s\n"
                                "feature_output_hook: %s\nscan: \"%s\"\n",
                                info->model_name, hook_in, hook_out, info->name);
    if (!status) status = fathom__file_write(config, text, strlen(text));
    fathom_free(config);
    fathom_free(text);
    return status;
}
