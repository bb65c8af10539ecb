/* dictionary_learning: ae.pt, a state dict, with config.json beside it, whose trainer.dict_class says what it is.
 * Without it the names of the tensors do, except that TopK and BatchTopK have the same ones. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/formats/dictionary_learning.h>
#include <dictionary/formats/import.h>
#include <math.h>
#include <string.h>

#define WEIGHTS FATHOM__DICTIONARY_LEARNING_WEIGHTS

enum {
    PLAIN = FATHOM__DICTIONARY_LEARNING_PLAIN,
    NEW = FATHOM__DICTIONARY_LEARNING_NEW,
    GATED = FATHOM__DICTIONARY_LEARNING_GATED,
    JUMPRELU = FATHOM__DICTIONARY_LEARNING_JUMPRELU,
    TOPK = FATHOM__DICTIONARY_LEARNING_TOPK,
    BATCHTOPK = FATHOM__DICTIONARY_LEARNING_BATCHTOPK,
    MATRYOSHKA = FATHOM__DICTIONARY_LEARNING_MATRYOSHKA,
    LAYOUTS = FATHOM__DICTIONARY_LEARNING_CLASSES
};

const struct fathom__dictionary_learning_layout fathom__dictionary_learning[LAYOUTS] = {
    [PLAIN] = {"AutoEncoder", "standard", "encoder.weight", "encoder.bias", "decoder.weight", "bias", false, true},
    [NEW] = {"AutoEncoderNew", "standard", "encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias", false,
             false},
    [GATED] = {"GatedAutoEncoder", "gated", "encoder.weight", "mag_bias", "decoder.weight", "decoder_bias", false,
               true},
    [JUMPRELU] = {"JumpReluAutoEncoder", "jumprelu", "W_enc", "b_enc", "W_dec", "b_dec", true, false},
    [TOPK] = {"AutoEncoderTopK", "topk", "encoder.weight", "encoder.bias", "decoder.weight", "b_dec", false, true},
    [BATCHTOPK] = {"BatchTopKSAE", "batchtopk", "encoder.weight", "encoder.bias", "decoder.weight", "b_dec", false,
                   true},
    [MATRYOSHKA] = {"MatryoshkaBatchTopKSAE", "batchtopk", "W_enc", "b_enc", "W_dec", "b_dec", true, true},
};
#define LAYOUT fathom__dictionary_learning

static bool detect(const struct fathom__import *in) {
    struct fathom__import look = {.folder = in->folder, .file = in->file};
    if (!in->file) return fathom__import_has(in, WEIGHTS);
    const char *ending = strrchr(in->file, '.');
    const bool found =
        ending && strcmp(ending, ".pt") == 0 && !fathom__import_open(&look, NULL) &&
        (fathom__source_find(&look.source, "encoder.weight") || fathom__source_find(&look.source, "W_enc")) &&
        !fathom__source_find(&look.source, "pre_bias");
    fathom__source_close(&look.source);
    return found;
}

static int find_layout(int *out, const struct fathom__import *in, const json_t *trainer) {
    const char *name = json_string_value(json_object_get(trainer, "dict_class"));
    const struct fathom__source *source = &in->source;
    if (name) {
        for (int i = 0; i < LAYOUTS; i++) {
            if (strcmp(LAYOUT[i].class_name, name) != 0) continue;
            *out = i;
            return 0;
        }
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: dict_class \"%s\" is not read", in->config_path, name);
    }
    if (fathom__source_find(source, "gate_bias"))
        *out = GATED;
    else if (fathom__source_find(source, "group_sizes"))
        *out = MATRYOSHKA;
    else if (fathom__source_find(source, "W_enc"))
        *out = JUMPRELU;
    else if (fathom__source_find(source, "decoder.bias"))
        *out = NEW;
    else if (fathom__source_find(source, "bias"))
        *out = PLAIN;
    else
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: TopK and BatchTopK have the same tensors; config.json with trainer.dict_class is "
                            "expected beside it",
                            source->path);
    return 0;
}

static int read_places(struct fathom__import *in, const json_t *trainer) {
    static const struct {
        const char *part, *hook;
        bool before_post_norm;
    } places[] = {{"resid_pre", "hook_resid_pre", false},
                  {"resid", "hook_resid_post", false},
                  {"mlp", "hook_mlp_out", true},
                  {"att", "hook_attn_out", true}};
    const char *module = json_string_value(json_object_get(trainer, "submodule_name")), *hook = NULL;
    const char *io = json_string_value(json_object_get(json_object_get(in->config, "buffer"), "io"));
    const json_t *layer = json_object_get(trainer, "layer"), *name = json_object_get(trainer, "lm_name");
    int status = 0;
    if (json_is_string(name)) in->info.model_name = json_string_value(name);
    if (io && strcmp(io, "out") != 0 && !in->options->hook)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%s: was trained on what the module takes (buffer.io \"%s\"); name the hook point by hook",
                            in->config_path, io);
    if (module && strncmp(module, "blocks.", 7) == 0) hook = module; /* as exports name it */
    if (json_is_integer(layer) && !module) {
        status = fathom__import_text(&hook, in, "blocks.%lld.hook_resid_post", (long long)json_integer_value(layer));
        if (!status && !in->options->hook)
            status = fathom__import_change(in, "%s is taken for the place, of which only the layer is said", hook);
    }
    for (size_t i = 0; i < sizeof places / sizeof *places && json_is_integer(layer) && module && !hook && !status;
         i++) {
        if (!strstr(module, places[i].part)) continue;
        if (places[i].before_post_norm && fathom__model_post_norms(in->info.model_name) && !in->options->hook)
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: what %s of %s gives lies before a norm, where Fathom has no hook point",
                                in->config_path, module, in->info.model_name);
        status = fathom__import_text(&hook, in, "blocks.%lld.%s", (long long)json_integer_value(layer), places[i].hook);
    }
    return status ? status : fathom__import_hooks(in, hook, NULL);
}

/* One threshold for all: of TopK it is used at run time where training has measured it. */
static int read_one_threshold(struct fathom__import *in, int layout) {
    const struct fathom__tensor *tensor = NULL;
    double value = -1;
    int64_t k = 0;
    int status = fathom__torch_integer(&k, in->source.torch, "k", 1, in->info.n_features, true);
    in->info.k = (uint32_t)k;
    if (!status && layout == TOPK && !fathom__source_find(&in->source, "threshold")) return 0;
    if (!status) status = fathom__source_need(&tensor, &in->source, "threshold");
    if (!status) status = fathom__tensor_number(&value, tensor, in->source.path);
    if (status || (layout == TOPK && value < 0)) return status;
    if (value < 0)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: threshold is %g: training ended before it was measured; 0 or more is expected",
                            in->source.path, value);
    return fathom__import_fill_threshold(in, value);
}

static int read_groups(struct fathom__import *in) {
    const struct fathom__tensor *tensor = NULL;
    int status = fathom__source_need(&tensor, &in->source, "group_sizes");
    if (status) return status;
    if (tensor->n_dimensions != 1 || tensor->dtype != FATHOM__I64 || tensor->shape[0] > in->info.n_features)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: group_sizes: a vector of I64 is expected", in->source.path);
    const size_t n = tensor->shape[0];
    int64_t left = in->info.n_features;
    status = fathom__alloc(&in->group_sizes, n, sizeof *in->group_sizes);
    for (size_t i = 0; i < n && !status; i++) {
        int64_t size;
        memcpy(&size, (const unsigned char *)tensor->data + i * sizeof size, sizeof size);
        if (size < 1 || size > left)
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: group_sizes: sizes that sum to %u are expected",
                                  in->source.path, in->info.n_features);
        in->group_sizes[i] = (uint32_t)size;
        left -= size;
    }
    in->info.n_groups = (uint32_t)n;
    return status;
}

static int read_gate(struct fathom__import *in) {
    const size_t F = in->info.n_features;
    int status = fathom__source_vector(&in->gate_bias, &in->source, "gate_bias", F);
    if (!status) status = fathom__source_vector(&in->magnitude_scale, &in->source, "r_mag", F);
    for (size_t f = 0; f < F && !status; f++)
        in->magnitude_scale[f] = expf(in->magnitude_scale[f]);
    return status;
}

static int read_weights(struct fathom__import *in, int layout) {
    const struct fathom__tensor *encoder = NULL;
    const bool turned = LAYOUT[layout].turned;
    int status = fathom__source_need(&encoder, &in->source, LAYOUT[layout].encoder);
    if (status) return status;
    const size_t F = encoder->shape[turned ? 1 : 0], d = encoder->shape[turned ? 0 : 1];
    if (encoder->n_dimensions != 2 || F > INT32_MAX || d > INT32_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s of two dimensions is expected", in->source.path,
                            encoder->name);
    in->info.architecture = LAYOUT[layout].native;
    in->info.subtract_decoder_bias = LAYOUT[layout].subtracts;
    in->info.d_in = in->info.d_out = (uint32_t)d;
    in->info.n_features = (uint32_t)F;
    status = fathom__source_matrix(&in->encoder, &in->source, encoder->name, F, d, turned);
    if (!status) status = fathom__source_matrix(&in->decoder, &in->source, LAYOUT[layout].decoder, F, d, !turned);
    if (!status) status = fathom__source_vector(&in->encoder_bias, &in->source, LAYOUT[layout].encoder_bias, F);
    if (!status) status = fathom__source_vector(&in->decoder_bias, &in->source, LAYOUT[layout].decoder_bias, d);
    if (!status && layout == GATED) status = read_gate(in);
    if (!status && layout == JUMPRELU) {
        status = fathom__source_vector(&in->threshold, &in->source, "threshold", F);
        if (!status) status = fathom__import_floor_thresholds(in);
    }
    if (!status && (layout == TOPK || layout == BATCHTOPK || layout == MATRYOSHKA))
        status = read_one_threshold(in, layout);
    if (!status && layout == MATRYOSHKA) status = read_groups(in);
    return status;
}

static int read_folder(struct fathom__import *in) {
    int layout = PLAIN;
    int status = fathom__import_config(in, "config.json", false);
    if (!status) status = fathom__import_open(in, in->file ? NULL : WEIGHTS);
    if (status) return status;
    if (!in->source.torch) return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: a .pt file is expected", in->source.path);
    const json_t *trainer = json_object_get(in->config, "trainer");
    status = find_layout(&layout, in, trainer);
    if (!status) status = read_places(in, trainer);
    return status ? status : read_weights(in, layout);
}

const struct fathom__format fathom__format_dictionary_learning = {
    .info = {"dictionary-learning", "an ae.pt of dictionary_learning, or its folder", true},
    .detect = detect,
    .read = read_folder,
    .write = fathom__dictionary_learning_write,
};
