/* Gemma Scope 1: params.npz in a folder whose path says what it is, such as
 * gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71. Transcoders read what the norm before the MLP gives
 * without its gain; embedding SAEs were trained on embeddings before Gemma scales them by the root of its width. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <dictionary/formats/export.h>
#include <dictionary/formats/import.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS "params.npz"

static bool detect(const struct fathom__import *in) {
    if (!in->file) return fathom__import_has(in, PARAMS);
    const size_t length = strlen(in->file);
    return length > 4 && strcmp(in->file + length - 4, ".npz") == 0;
}

static int read_model(struct fathom__import *in) {
    static const char before[] = "gemma-scope-";
    const char *at = strstr(in->folder, before);
    if (!at) return 0;
    at += strlen(before);
    const int size = (int)strcspn(at, "-/");
    const bool chat = strncmp(at + size, "-it", 3) == 0;
    return fathom__import_text(&in->info.model_name, in, "gemma-2-%.*s%s", size, at, chat ? "-it" : "");
}

static int read_places(struct fathom__import *in) {
    static const char layer_before[] = "layer_";
    const char *at = strstr(in->folder, layer_before), *hook = NULL, *hook_out = NULL;
    const char *kind = strstr(in->folder, "transcoder") ? "ln2.hook_normalized"
                       : strstr(in->folder, "-res")     ? "hook_resid_post"
                       : strstr(in->folder, "-mlp")     ? "hook_mlp_out"
                       : strstr(in->folder, "-att")     ? "attn.hook_z"
                                                        : NULL;
    int status = 0;
    if (strstr(in->folder, "embedding")) {
        hook = "hook_embed";
    } else if (kind && at) {
        const unsigned long layer = strtoul(at + strlen(layer_before), NULL, 10);
        status = fathom__import_text(&hook, in, "blocks.%lu.%s", layer, kind);
        if (!status && strstr(kind, "ln2"))
            status = fathom__import_text(&hook_out, in, "blocks.%lu.hook_mlp_out", layer);
    }
    return status ? status : fathom__import_hooks(in, hook, hook_out);
}

/* Either spelling is found. */
static const char *spelled(const struct fathom__import *in, const char *upper, const char *lower) {
    return fathom__source_find(&in->source, upper) ? upper : lower;
}

static int read_folder(struct fathom__import *in) {
    const struct fathom__tensor *encoder = NULL, *decoder = NULL;
    int status = fathom__import_open(in, in->file ? NULL : PARAMS);
    if (!status) status = fathom__source_need(&encoder, &in->source, spelled(in, "W_enc", "w_enc"));
    if (!status) status = fathom__source_need(&decoder, &in->source, spelled(in, "W_dec", "w_dec"));
    if (status) return status;
    const size_t d_in = encoder->shape[0], F = encoder->shape[1], d_out = decoder->shape[1];
    if (encoder->n_dimensions != 2 || decoder->n_dimensions != 2 || d_in > INT32_MAX || F > INT32_MAX ||
        d_out > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: W_enc and W_dec of two dimensions are expected", in->source.path);
    in->info.architecture = "jumprelu";
    in->info.d_in = (uint32_t)d_in;
    in->info.d_out = (uint32_t)d_out;
    in->info.n_features = (uint32_t)F;
    status = read_model(in);
    if (!status) status = read_places(in);
    if (!status) status = fathom__source_matrix(&in->encoder, &in->source, encoder->name, F, d_in, true);
    if (!status) status = fathom__source_matrix(&in->decoder, &in->source, decoder->name, F, d_out, false);
    if (!status) status = fathom__source_vector(&in->encoder_bias, &in->source, "b_enc", F);
    if (!status) status = fathom__source_vector(&in->decoder_bias, &in->source, "b_dec", d_out);
    if (!status) status = fathom__source_vector(&in->threshold, &in->source, "threshold", F);
    if (!status) status = fathom__import_floor_thresholds(in);
    if (!status && strcmp(in->info.hook_in, "hook_embed") == 0) {
        in->info.input_scale = (float)(1 / sqrt((double)d_in));
        status = fathom__import_change(in, "embeddings are scaled back by the root of their width");
    }
    return status;
}

static int write_folder(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t d_in = info->d_in, d_out = info->d_out, F = info->n_features;
    struct fathom__weights weights = {0};
    float *zeros = NULL;
    char *path = NULL;
    int status =
        fathom__export_check(dictionary, "gemma-scope",
                             1U << FATHOM__KIND_JUMPRELU | 1U << FATHOM__KIND_BATCHTOPK | 1U << FATHOM__KIND_STANDARD);
    if (!status && info->has_skip)
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: gemma-scope has no skip", info->path);
    if (!status) status = fathom__weights_read(&weights, dictionary, true, false);
    if (!status) status = fathom__alloc(&zeros, F, sizeof *zeros);
    if (!status) status = fathom__make_folders(folder);
    if (!status) status = fathom__path_join(&path, folder, PARAMS);
    if (!status) {
        const struct fathom__tensor tensors[] = {
            fathom__export_tensor("W_enc", weights.encoder, d_in, F),
            fathom__export_tensor("W_dec", weights.decoder, F, d_out),
            fathom__export_tensor("b_enc", weights.encoder_bias, F, 0),
            fathom__export_tensor("b_dec", weights.decoder_bias, d_out, 0),
            fathom__export_tensor("threshold", dictionary->threshold ? dictionary->threshold : zeros, F, 0),
        };
        status = fathom__npz_write(path, tensors, sizeof tensors / sizeof *tensors);
    }
    fathom__weights_free(&weights);
    fathom_free(zeros);
    fathom_free(path);
    return status;
}

const struct fathom__format fathom__format_gemma_scope = {
    .info = {"gemma-scope", "a params.npz of Gemma Scope 1, or its folder", true},
    .detect = detect,
    .read = read_folder,
    .write = write_folder,
};
