/* OpenAI's sparse_autoencoder: one .pt per layer, whose path says where it was trained, such as
 * gpt2-small/resid_post_mlp_v5_32k/autoencoders/8.pt. Those with TopK read layer-normed rows. */
#include <base/error.h>
#include <base/memory.h>
#include <ctype.h>
#include <dictionary/formats/import.h>
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

static int read_places(struct fathom__import *in) {
    static const struct {
        const char *part, *hook;
    } places[] = {{"mlp_post_act", "mlp.hook_post"},
                  {"resid_delta_mlp", "hook_mlp_out"},
                  {"resid_delta_attn", "hook_attn_out"},
                  {"resid_post_attn", "hook_resid_mid"},
                  {"resid_post_mlp", "hook_resid_post"}};
    const char *hook = NULL;
    int status = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places && isdigit((unsigned char)in->file[0]); i++)
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

const struct fathom__format fathom__format_openai = {
    .info = {"openai", "a .pt file of OpenAI's sparse_autoencoder", false},
    .detect = detect,
    .read = read_file,
};
