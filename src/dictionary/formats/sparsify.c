/* EleutherAI's sparsify: cfg.json and sae.safetensors in a folder that is called after the module it was trained on
 * ("layers.10", "layers.3.mlp", "embed_tokens", a "seedN" below it), with the run's config.json above. SAEs read
 * what the module gives; transcoders read what it takes and write what it gives. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <ctype.h>
#include <dictionary/formats/export.h>
#include <dictionary/formats/import.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG "cfg.json"
#define WEIGHTS "sae.safetensors"

static bool detect(const struct fathom__import *in) {
    return fathom__import_has(in, CONFIG) && fathom__import_has(in, WEIGHTS);
}

/* The folder's last part that is no seed. */
static int read_module(const char **out, struct fathom__import *in) {
    const char *end = in->folder + strlen(in->folder);
    for (;;) {
        const char *begin = end;
        while (begin > in->folder && begin[-1] != '/')
            begin--;
        if (strncmp(begin, "seed", 4) != 0 || begin == in->folder)
            return fathom__import_text(out, in, "%.*s", (int)(end - begin), begin);
        end = begin - 1;
    }
}

/* The run's configuration, one or two folders up. */
static int read_run(json_t **run, struct fathom__import *in) {
    int status = 0;
    for (int up = 1; up <= 2 && !*run && !status; up++) {
        char *path = NULL;
        status = fathom__path_join(&path, in->folder, up == 1 ? "../config.json" : "../../config.json");
        if (!status && fathom__file_exists(path)) status = fathom__json_load(run, path);
        fathom_free(path);
    }
    return status;
}

static int find_places(const char **hook, const char **hook_out, struct fathom__import *in, const char *module,
                       bool transcode) {
    static const struct {
        const char *rest, *takes, *gives;
        bool before_post_norm;
    } parts[] = {{"", "hook_resid_pre", "hook_resid_post", false},
                 {".mlp", "mlp.hook_in", "hook_mlp_out", true},
                 {".self_attn", "attn.hook_in", "hook_attn_out", true},
                 {".attention", "attn.hook_in", "hook_attn_out", true},
                 {".attn", "attn.hook_in", "hook_attn_out", true}};
    if (strstr(module, "embed") && !transcode) {
        *hook = "hook_embed";
        return 0;
    }
    const char *at = strstr(module, "layers.")       ? strstr(module, "layers.") + strlen("layers.")
                     : strncmp(module, "h.", 2) == 0 ? module + 2
                                                     : NULL;
    if (!at || !isdigit((unsigned char)*at)) return 0;
    char *rest = NULL;
    const unsigned long layer = strtoul(at, &rest, 10);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(rest, parts[i].rest) != 0) continue;
        if (parts[i].before_post_norm && fathom__model_post_norms(in->info.model_name))
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: what %s of %s gives lies before a norm, where Fathom has no hook point",
                                in->folder, module, in->info.model_name);
        int status = fathom__import_text(hook, in, "blocks.%lu.%s", layer, transcode ? parts[i].takes : parts[i].gives);
        return status || !transcode ? status
                                    : fathom__import_text(hook_out, in, "blocks.%lu.%s", layer, parts[i].gives);
    }
    return 0;
}

static int read_config(struct fathom__import *in, const json_t *run) {
    const char *where = in->config_path, *activation = "topk", *module = NULL, *hook = NULL, *hook_out = NULL,
               *model = NULL;
    int64_t d_in = 0, k = 0;
    bool transcode = false, is_signed = false;
    int status = fathom__json_get_integer(&d_in, in->config, "d_in", 1, INT32_MAX, true, where);
    if (!status) status = fathom__json_get_integer(&k, in->config, "k", 1, INT32_MAX, true, where);
    if (!status) status = fathom__json_get_string(&activation, in->config, "activation", false, where);
    if (!status) status = fathom__json_get_bool(&is_signed, in->config, "signed", false, where);
    /* Older runs keep it above. */
    if (!status)
        status = fathom__json_get_bool(&transcode, json_object_get(in->config, "transcode") || !run ? in->config : run,
                                       "transcode", false, where);
    if (status) return status;
    if (is_signed || (strcmp(activation, "topk") != 0 && strcmp(activation, "groupmax") != 0))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: activation \"%s\"; topk or groupmax is expected", where,
                            is_signed ? "signed topk" : activation);
    in->info.architecture = activation;
    in->info.d_in = in->info.d_out = (uint32_t)d_in;
    in->info.k = (uint32_t)k;
    in->info.subtract_decoder_bias = !transcode;
    if (json_is_string(json_object_get(run, "model"))) model = json_string_value(json_object_get(run, "model"));
    status = fathom__import_text(&in->info.model_name, in, "%s", model ? model : "");
    if (!status) status = read_module(&module, in);
    if (!status && !in->options->hook) status = find_places(&hook, &hook_out, in, module, transcode);
    if (!status && transcode && !hook_out && !in->options->hook_out)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: name where the transcoder writes by hook-out", in->folder);
    return status ? status : fathom__import_hooks(in, hook, hook_out);
}

static int read_folder(struct fathom__import *in) {
    json_t *run = NULL;
    const struct fathom__tensor *encoder = NULL;
    int status = fathom__import_config(in, CONFIG, true);
    if (!status) status = read_run(&run, in);
    if (!status) status = read_config(in, run);
    json_decref(run);
    if (!status) status = fathom__import_open(in, WEIGHTS);
    if (!status) status = fathom__source_need(&encoder, &in->source, "encoder.weight");
    if (status) return status;
    const size_t d = in->info.d_in, F = encoder->shape[0];
    if (F < in->info.k || F > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: encoder.weight has %zu rows; %u to %d are expected",
                            in->source.path, F, in->info.k, INT32_MAX);
    in->info.n_features = (uint32_t)F;
    status = fathom__source_matrix(&in->encoder, &in->source, "encoder.weight", F, d, false);
    if (!status) status = fathom__source_vector(&in->encoder_bias, &in->source, "encoder.bias", F);
    if (!status) status = fathom__source_matrix(&in->decoder, &in->source, "W_dec", F, d, false);
    if (!status) status = fathom__source_vector(&in->decoder_bias, &in->source, "b_dec", d);
    if (!status && fathom__source_find(&in->source, "W_skip"))
        status = fathom__source_matrix(&in->skip, &in->source, "W_skip", d, d, false);
    return status;
}

static int write_weights(const char *path, const fathom_dictionary *dictionary, bool transcode) {
    const size_t d = dictionary->info.d_in, F = dictionary->info.n_features;
    struct fathom__weights weights = {0};
    int status = fathom__weights_read(&weights, dictionary, false, !transcode);
    if (!status) {
        const struct fathom__tensor tensors[] = {
            fathom__export_tensor("encoder.weight", weights.encoder, F, d),
            fathom__export_tensor("encoder.bias", weights.encoder_bias, F, 0),
            fathom__export_tensor("W_dec", weights.decoder, F, d),
            fathom__export_tensor("b_dec", weights.decoder_bias, d, 0),
            fathom__export_tensor("W_skip", dictionary->skip, d, d),
        };
        status = fathom__safetensors_write(path, tensors, dictionary->skip ? 5 : 4, NULL);
    }
    fathom__weights_free(&weights);
    return status;
}

static int write_folder(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const bool transcode = fathom__export_transcoder(dictionary);
    char *config = NULL, *weights = NULL;
    json_t *json = NULL;
    int status = fathom__export_check(dictionary, "sparsify", 1U << FATHOM__KIND_TOPK | 1U << FATHOM__KIND_GROUPMAX);
    if (!status && info->d_in != info->d_out)
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: sparsify reads and writes rows of one width", info->path);
    if (status) return status;
    json = json_pack("{s:s, s:i, s:b, s:i, s:i, s:b, s:b, s:b, s:i}", "activation", info->architecture,
                     "expansion_factor", (int)(info->n_features / info->d_in), "normalize_decoder", 0, "num_latents",
                     (int)info->n_features, "k", (int)info->k, "multi_topk", 0, "skip_connection", (int)info->has_skip,
                     "transcode", (int)transcode, "d_in", (int)info->d_in);
    status = json ? fathom__make_folders(folder) : fathom__fail_memory(0);
    if (!status) status = fathom__path_join(&config, folder, CONFIG);
    if (!status) status = fathom__path_join(&weights, folder, WEIGHTS);
    if (!status) status = write_weights(weights, dictionary, transcode);
    if (!status) status = fathom__export_end(fathom__json_write(config, json), weights);
    json_decref(json);
    fathom_free(config);
    fathom_free(weights);
    return status;
}

const struct fathom__format fathom__format_sparsify = {
    .info = {"sparsify", "a folder of EleutherAI's sparsify (cfg.json, sae.safetensors)", true},
    .detect = detect,
    .read = read_folder,
    .write = write_folder,
};
