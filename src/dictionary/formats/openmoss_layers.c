/* OpenMOSS's cross-layer transcoders: one file, W_E [L, d, F], and for each target layer t a W_D.t [t + 1, F, d] of what
 * the layers up to it write there. Their publisher's lengths of decoder rows are those over all target layers together,
 * before the activations' average norms are folded in; activations here are the same numbers as there. Its code adds b_D
 * whatever use_decoder_bias says. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/formats/openmoss.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 64 };

static int read_activation(const struct fathom__openmoss *moss) {
    struct fathom__import *in = moss->in;
    const char *activation = moss->activation;
    if (strcmp(activation, "relu") == 0)
        in->info.architecture = "standard";
    else if (strcmp(activation, "jumprelu") == 0)
        in->info.architecture = "jumprelu";
    else if (strcmp(activation, "layertopk") == 0)
        in->info.architecture = "topk";
    else
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: act_fn \"%s\" of a cross-layer transcoder; relu, jumprelu or layertopk is expected",
                            in->config_path, activation);
    if (strcmp(moss->normalisation, "inference") != 0 && strcmp(moss->normalisation, "dataset-wise") != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: norm_activation \"%s\" of a cross-layer transcoder; inference or dataset-wise is "
                            "expected",
                            in->config_path, moss->normalisation);
    return 0;
}

/* Sizes by W_E, arrays, k and the layers' scales; the encoder, turned. */
static int read_encoder(const struct fathom__openmoss *moss, size_t n_layers, size_t d) {
    struct fathom__import *in = moss->in;
    const struct fathom__tensor *tensor = NULL;
    const size_t any[] = {n_layers, d, SIZE_MAX};
    float *held = NULL;
    int64_t k = 0;
    int status = fathom__source_need(&tensor, &in->source, "W_E");
    if (!status) status = fathom__tensor_f32(&held, tensor, in->source.path, any, 3);
    const size_t F = status ? 0 : tensor->shape[2];
    if (!status) status = fathom__import_layers_open(in, n_layers, F, d);
    if (!status && strcmp(in->info.architecture, "topk") == 0)
        status = fathom__json_get_integer(&k, in->config, "top_k", 1, in->info.n_features, true, in->config_path);
    in->info.k = (uint32_t)k;
    for (size_t l = 0; l < n_layers && !status; l++)
        for (size_t j = 0; j < d; j++)
            for (size_t f = 0; f < F; f++)
                in->encoder[(l * F + f) * d + j] = held[(l * d + j) * F + f];
    fathom_free(held);
    const size_t biases[] = {n_layers, F};
    return status ? status : fathom__import_layer_tensor(in->encoder_bias, &in->source, "b_E", biases, 2);
}

/* W_D of one target layer into the rows of the layers that write to it. */
static int read_target(struct fathom__import *in, size_t target) {
    const size_t L = in->info.n_layers, F = in->info.n_features / L, d = in->info.d_out / L,
                 shape[] = {target + 1, F, d};
    const struct fathom__tensor *tensor = NULL;
    float *held = NULL;
    char name[NAME];
    snprintf(name, sizeof name, "W_D.%zu", target);
    int status = fathom__source_need(&tensor, &in->source, name);
    if (!status) status = fathom__tensor_f32(&held, tensor, in->source.path, shape, 3);
    for (size_t l = 0; l <= target && !status; l++) {
        float *rows = in->decoder + fathom__decoders_before(&in->info, l) + (target - l) * d;
        for (size_t f = 0; f < F; f++)
            memcpy(rows + f * (L - l) * d, held + (l * F + f) * d, d * sizeof *rows);
    }
    fathom_free(held);
    if (status) return status;
    snprintf(name, sizeof name, "b_D.%zu", target);
    return fathom__import_layer_tensor(in->decoder_bias + target * d, &in->source, name, &d, 1);
}

/* Lengths of the decoder rows: thresholds are divided by them; what is ranked has them in the encoder. */
static int apply_lengths(const struct fathom__openmoss *moss) {
    struct fathom__import *in = moss->in;
    const size_t L = in->info.n_layers, F = in->info.n_features / L, d = in->info.d_in / L;
    if (!moss->by_norm || strcmp(in->info.architecture, "standard") == 0) return 0;
    for (size_t row = 0; row < in->info.n_features; row++) {
        const size_t l = row / F, width = (L - l) * d;
        float *decoder = in->decoder + fathom__decoders_before(&in->info, l) + row % F * width;
        double squares = 0;
        for (size_t j = 0; j < width; j++)
            squares += (double)decoder[j] * decoder[j];
        const float length = (float)sqrt(squares);
        if (length == 0) continue;
        if (in->threshold) {
            in->threshold[row] /= length;
            continue;
        }
        for (size_t j = 0; j < width; j++)
            decoder[j] /= length;
        for (size_t j = 0; j < d; j++)
            in->encoder[row * d + j] *= length;
        in->encoder_bias[row] *= length;
    }
    return fathom__import_change(in, in->threshold ? "thresholds were divided by the decoder norms"
                                                   : "decoder norms were folded into the encoder");
}

static int read_threshold(struct fathom__import *in) {
    const size_t L = in->info.n_layers, shape[] = {L, in->info.n_features / L};
    if (strcmp(in->info.architecture, "jumprelu") != 0) return 0;
    int status = fathom__alloc(&in->threshold, in->info.n_features, sizeof *in->threshold);
    if (!status) status = fathom__import_layer_tensor(in->threshold, &in->source, FATHOM__OPENMOSS_THRESHOLD, shape, 2);
    for (size_t f = 0; f < in->info.n_features && !status; f++)
        in->threshold[f] = expf(in->threshold[f]);
    return status;
}

static const char *name_at(const json_t *names, size_t layer) {
    return json_string_value(json_array_get(names, layer));
}

/* The average norms, from here on in the matrices and beside them. */
static int fold_scales(const struct fathom__openmoss *moss, const json_t *names_in, const json_t *names_out) {
    struct fathom__import *in = moss->in;
    const size_t L = in->info.n_layers, F = in->info.n_features / L, d = in->info.d_in / L;
    int status = 0;
    if (strcmp(moss->normalisation, "dataset-wise") != 0) return 0;
    for (size_t l = 0; l < L && !status; l++) {
        status = fathom__openmoss_scale(&in->layers[l].input_scale, in, name_at(names_in, l), d);
        if (!status) status = fathom__openmoss_scale(&in->layers[l].output_scale, in, name_at(names_out, l), d);
    }
    for (size_t l = 0; l < L && !status; l++) {
        float *decoder = in->decoder + fathom__decoders_before(&in->info, l);
        for (size_t i = 0; i < F * d; i++)
            in->encoder[l * F * d + i] *= in->layers[l].input_scale;
        for (size_t i = 0; i < F * (L - l) * d; i++)
            decoder[i] /= in->layers[l + i / d % (L - l)].output_scale;
        for (size_t j = 0; j < d; j++)
            in->decoder_bias[l * d + j] /= in->layers[l].output_scale;
    }
    return status ? status : fathom__import_change(in, "the activations' average norms were folded into the weights");
}

int fathom__openmoss_read_layers(struct fathom__openmoss *moss) {
    struct fathom__import *in = moss->in;
    const json_t *names_in = json_object_get(in->config, "hook_points_in"),
                 *names_out = json_object_get(in->config, "hook_points_out");
    const size_t n = json_array_size(names_in);
    int64_t d = 0;
    for (size_t l = 0; l < n || l == 0; l++)
        if (json_array_size(names_out) != n || !name_at(names_in, l) || !name_at(names_out, l))
            return fathom__fail(FATHOM_ERROR_FORMAT,
                                "%s: hook_points_in and hook_points_out: as many names in both are expected",
                                in->config_path);
    int status = fathom__json_get_integer(&d, in->config, "d_model", 1, INT32_MAX, true, in->config_path);
    if (!status) status = read_activation(moss);
    if (!status) status = fathom__import_open(in, FATHOM__OPENMOSS_WEIGHTS);
    if (!status) status = read_encoder(moss, n, (size_t)d);
    for (size_t t = 0; t < n && !status; t++)
        status = read_target(in, t);
    if (!status) status = read_threshold(in);
    if (!status) status = apply_lengths(moss);
    for (uint32_t l = 0; l < n && !status; l++)
        status = fathom__import_layer_hooks(in, l, name_at(names_in, l), name_at(names_out, l));
    return status ? status : fold_scales(moss, names_in, names_out);
}
