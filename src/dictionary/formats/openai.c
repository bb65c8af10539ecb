/* OpenAI's sparse_autoencoder: one .pt per layer, whose path says where it was trained, such as
 * gpt2-small/resid_post_mlp_v5_32k/autoencoders/8.pt. Those with TopK read layer-normed rows. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/torch_write.h>
#include <ctype.h>
#include <dictionary/formats/export.h>
#include <dictionary/formats/import.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_torch(const char *file) {
    const char *ending = file ? strrchr(file, '.') : NULL;
    return ending && (strcmp(ending, ".pt") == 0 || strcmp(ending, ".pth") == 0);
}

static bool detect(const struct fathom__import *in) {
    struct fathom__import look = {.folder = in->folder, .file = in->file};
    const bool found = is_torch(in->file) && !fathom__import_open(&look, NULL) &&
                       fathom__source_find(&look.source, "pre_bias") != NULL;
    fathom__source_close(&look.source);
    return found;
}

/* Parts of the paths, and the hook points that they stand for. */
static const struct {
    const char *part, *hook;
} places[] = {{"mlp_post_act", "mlp.hook_post"},
              {"resid_delta_mlp", "hook_mlp_out"},
              {"resid_delta_attn", "hook_attn_out"},
              {"resid_post_attn", "hook_resid_mid"},
              {"resid_post_mlp", "hook_resid_post"}};
enum { PLACES = sizeof places / sizeof *places };

static int read_places(struct fathom__import *in) {
    const char *hook = NULL;
    int status = 0;
    for (size_t i = 0; i < PLACES && isdigit((unsigned char)in->file[0]); i++)
        if (strstr(in->folder, places[i].part))
            status = fathom__import_text(&hook, in, "blocks.%lu.%s", strtoul(in->file, NULL, 10), places[i].hook);
    if (strstr(in->folder, "gpt2-small")) in->info.model_name = "gpt2-small";
    return status ? status : fathom__import_hooks(in, hook, NULL);
}

static int read_activation(struct fathom__import *in) {
    const struct fathom__torch *file = in->source.torch;
    const char *activation = "ReLU", *after = "ReLU";
    int64_t k = 0;
    int status = fathom__torch_text(&activation, file, "activation", false);
    if (!status) status = fathom__torch_text(&after, file, "activation_state_dict.postact_fn", false);
    if (status) return status;
    if ((strcmp(activation, "ReLU") != 0 && strcmp(activation, "TopK") != 0) || strcmp(after, "ReLU") != 0)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: activation %s followed by %s; ReLU, or TopK followed by ReLU, "
                            "is expected",
                            in->source.path, activation, after);
    in->info.architecture = "standard";
    if (strcmp(activation, "ReLU") == 0) return 0;
    in->info.architecture = "topk";
    in->info.input_norm = "layer_norm";
    in->info.undo_input_norm = true;
    status = fathom__torch_integer(&k, file, "activation_state_dict.k", 1, in->info.n_features, true);
    in->info.k = (uint32_t)k;
    return status;
}

static int read_file(struct fathom__import *in) {
    const struct fathom__tensor *encoder = NULL;
    if (!is_torch(in->file))
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: one of its .pt files is expected", in->folder);
    int status = fathom__import_open(in, NULL);
    if (!status) status = fathom__source_need(&encoder, &in->source, "encoder.weight");
    if (status) return status;
    const size_t F = encoder->shape[0], d = encoder->shape[1];
    if (encoder->n_dimensions != 2 || F > INT32_MAX || d > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: encoder.weight of two dimensions is expected", in->source.path);
    in->info.d_in = in->info.d_out = (uint32_t)d;
    in->info.n_features = (uint32_t)F;
    in->info.subtract_decoder_bias = true;
    status = read_activation(in);
    if (!status) status = read_places(in);
    if (!status) status = fathom__source_matrix(&in->encoder, &in->source, "encoder.weight", F, d, false);
    if (!status) status = fathom__source_vector(&in->encoder_bias, &in->source, "latent_bias", F);
    if (!status) status = fathom__source_vector(&in->decoder_bias, &in->source, "pre_bias", d);
    if (status) return status;
    /* Tied weights are kept once more, as those that the decoder transposes. */
    return fathom__source_find(&in->source, "decoder.weight")
               ? fathom__source_matrix(&in->decoder, &in->source, "decoder.weight", F, d, true)
               : fathom__source_matrix(&in->decoder, &in->source, "decoder.linear.weight", F, d, false);
}

/* folder/PLACE/autoencoders/N.pt, new; the folders are made. */
static int make_path(char **out, const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    unsigned layer = 0;
    int end = 0;
    const char *part = NULL;
    char *inner = NULL;
    if (sscanf(info->hook_in, "blocks.%u.%n", &layer, &end) == 1 && end > 0)
        for (size_t i = 0; i < PLACES; i++)
            if (strcmp(info->hook_in + end, places[i].hook) == 0) part = places[i].part;
    if (!part)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: openai has no place for %s", info->path, info->hook_in);
    int status = fathom__format(&inner, "%s/%s/autoencoders", folder, part);
    if (!status) status = fathom__make_folders(inner);
    if (!status) status = fathom__format(out, "%s/%u.pt", inner, layer);
    fathom_free(inner);
    return status;
}

static struct fathom__torch_value value_of(const char *name, enum fathom__dtype dtype, const void *data, size_t rows,
                                           size_t columns) {
    return (struct fathom__torch_value){.name = name,
                                        .kind = FATHOM__TORCH_TENSOR,
                                        .tensor = {name,
                                                   dtype,
                                                   columns ? 2 : 1,
                                                   {rows, columns},
                                                   data,
                                                   rows * (columns ? columns : 1) * fathom__dtype_size(dtype)}};
}

/* What its code counts while it trains: nothing yet, and frequencies of 1, as it begins. */
struct counts {
    int64_t *last_nonzero;
    float *frequency, *mean_square;
};

static int open_counts(struct counts *counts, size_t F) {
    int status = fathom__alloc(&counts->last_nonzero, F, sizeof *counts->last_nonzero);
    if (!status) status = fathom__alloc(&counts->frequency, F, sizeof *counts->frequency);
    if (!status) status = fathom__alloc(&counts->mean_square, F, sizeof *counts->mean_square);
    for (size_t f = 0; f < F && !status; f++)
        counts->frequency[f] = 1;
    return status;
}

static int write_weights(const char *path, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t F = info->n_features, d = info->d_in;
    const bool topk = dictionary->kind == FATHOM__KIND_TOPK;
    struct fathom__weights weights = {0};
    struct counts counts = {0};
    float *decoder = NULL;
    int status = fathom__weights_read(&weights, dictionary, false, true);
    if (!status) status = open_counts(&counts, F);
    if (!status) status = fathom__alloc_aligned(&decoder, F * d, sizeof *decoder);
    if (!status) {
        for (size_t f = 0; f < F; f++)
            for (size_t j = 0; j < d; j++)
                decoder[j * F + f] = weights.decoder[f * d + j];
        const struct fathom__torch_value state[] = {
            {.name = "k", .kind = FATHOM__TORCH_INTEGER, .integer = info->k},
            {.name = "postact_fn", .kind = FATHOM__TORCH_TEXT, .text = "ReLU"},
        };
        const struct fathom__torch_value values[] = {
            value_of("pre_bias", FATHOM__F32, weights.decoder_bias, d, 0),
            value_of("latent_bias", FATHOM__F32, weights.encoder_bias, F, 0),
            value_of("stats_last_nonzero", FATHOM__I64, counts.last_nonzero, F, 0),
            value_of("latents_activation_frequency", FATHOM__F32, counts.frequency, F, 0),
            value_of("latents_mean_square", FATHOM__F32, counts.mean_square, F, 0),
            value_of("encoder.weight", FATHOM__F32, weights.encoder, F, d),
            value_of("decoder.weight", FATHOM__F32, decoder, d, F),
            {.name = "activation", .kind = FATHOM__TORCH_TEXT, .text = topk ? "TopK" : "ReLU"},
            {.name = "activation_state_dict", .kind = FATHOM__TORCH_DICT, .values = state, .n_values = topk ? 2 : 0},
        };
        status = fathom__torch_write(path, values, sizeof values / sizeof *values);
    }
    fathom__weights_free(&weights);
    fathom_free(counts.last_nonzero);
    fathom_free(counts.frequency);
    fathom_free(counts.mean_square);
    fathom_free(decoder);
    return status;
}

/* Its code norms rows where, and only where, the activation is TopK. */
static int write_file(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const bool topk = dictionary->kind == FATHOM__KIND_TOPK,
               normed = dictionary->norm == FATHOM__NORM_LAYER && info->undo_input_norm;
    char *path = NULL;
    int status = fathom__export_check_kind(dictionary, "openai", 1U << FATHOM__KIND_STANDARD | 1U << FATHOM__KIND_TOPK);
    if (!status && fathom__export_transcoder(dictionary))
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: openai has no transcoders and no skip", info->path);
    if (!status && (topk ? !normed : dictionary->norm != FATHOM__NORM_NONE))
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: openai has no %s of rows under the input norm %s",
                              info->path, info->architecture, info->input_norm);
    if (!status) status = make_path(&path, folder, dictionary);
    if (!status) status = write_weights(path, dictionary);
    fathom_free(path);
    return status;
}

const struct fathom__format fathom__format_openai = {
    .info = {"openai", "a .pt file of OpenAI's sparse_autoencoder", true},
    .detect = detect,
    .read = read_file,
    .write = write_file,
};
