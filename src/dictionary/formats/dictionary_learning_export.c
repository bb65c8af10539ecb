/* Native files to dictionary_learning's: ae.pt and config.json. Its loader of AutoEncoder makes decoder rows unit vectors,
 * so that a standard dictionary becomes an AutoEncoderNew, which is loaded as it is; BatchTopK with one threshold stays
 * BatchTopK, and with several becomes a JumpReLU. */
#include <base/error.h>
#include <base/file.h>
#include <base/json.h>
#include <base/memory.h>
#include <base/torch_write.h>
#include <dictionary/formats/dictionary_learning.h>
#include <dictionary/formats/export.h>
#include <math.h>
#include <stdio.h>

enum { MOST_VALUES = 8 };
#define UNSET (-1.0F) /* the threshold of a TopK that has none */

/* Whether all features have one threshold, and *out it. */
static bool one_threshold(float *out, const fathom_dictionary *dictionary) {
    *out = UNSET;
    if (!dictionary->threshold) return false;
    for (uint32_t f = 1; f < dictionary->info.n_features; f++)
        if (dictionary->threshold[f] != dictionary->threshold[0]) return false;
    *out = dictionary->threshold[0];
    return true;
}

static enum fathom__dictionary_learning_class find_class(const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    float threshold;
    switch (dictionary->kind) {
    case FATHOM__KIND_STANDARD: return FATHOM__DICTIONARY_LEARNING_NEW;
    case FATHOM__KIND_GATED: return FATHOM__DICTIONARY_LEARNING_GATED;
    case FATHOM__KIND_TOPK: return FATHOM__DICTIONARY_LEARNING_TOPK;
    case FATHOM__KIND_BATCHTOPK:
        if (!one_threshold(&threshold, dictionary) || info->k < 1) break;
        return info->n_groups ? FATHOM__DICTIONARY_LEARNING_MATRYOSHKA : FATHOM__DICTIONARY_LEARNING_BATCHTOPK;
    default: break;
    }
    return FATHOM__DICTIONARY_LEARNING_JUMPRELU;
}

struct values {
    struct fathom__torch_value all[MOST_VALUES];
    size_t n;
};

static void add(struct values *values, const char *name, enum fathom__dtype dtype, const void *data, size_t rows,
                size_t columns) {
    const size_t n_dimensions = columns ? 2 : rows ? 1 : 0, n = columns ? rows * columns : rows ? rows : 1;
    values->all[values->n++] = (struct fathom__torch_value){
        .name = name,
        .kind = FATHOM__TORCH_TENSOR,
        .tensor = {name, dtype, n_dimensions, {rows, columns}, data, n * fathom__dtype_size(dtype)}};
}

/* A Linear's weight of the decoder is [d, F]. */
static void turn(float *out, const float *decoder, size_t F, size_t d) {
    for (size_t f = 0; f < F; f++)
        for (size_t j = 0; j < d; j++)
            out[j * F + f] = decoder[f * d + j];
}

static int write_weights(const char *path, const fathom_dictionary *dictionary,
                         enum fathom__dictionary_learning_class class) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const struct fathom__dictionary_learning_layout *layout = &fathom__dictionary_learning[class];
    const size_t F = info->n_features, d = info->d_in;
    const int32_t k = (int32_t)info->k;
    struct fathom__weights weights = {0};
    struct values values = {.n = 0};
    float *decoder = NULL, *logarithm = NULL, threshold;
    int64_t *groups = NULL;
    one_threshold(&threshold, dictionary);
    int status = fathom__weights_read(&weights, dictionary, layout->turned, layout->subtracts);
    if (!status && !layout->turned) status = fathom__alloc_aligned(&decoder, F * d, sizeof *decoder);
    if (!status && dictionary->magnitude_scale) status = fathom__alloc(&logarithm, F, sizeof *logarithm);
    if (!status) status = fathom__alloc(&groups, info->n_groups + 1, sizeof *groups);
    if (!status) {
        for (size_t f = 0; f < F && logarithm; f++)
            logarithm[f] = logf(dictionary->magnitude_scale[f]);
        for (uint32_t g = 0; g < info->n_groups; g++)
            groups[g] = info->group_sizes[g];
        if (decoder) turn(decoder, weights.decoder, F, d);
        add(&values, layout->encoder, FATHOM__F32, weights.encoder, layout->turned ? d : F, layout->turned ? F : d);
        add(&values, layout->encoder_bias, FATHOM__F32, weights.encoder_bias, F, 0);
        add(&values, layout->decoder, FATHOM__F32, decoder ? decoder : weights.decoder, decoder ? d : F,
            decoder ? F : d);
        add(&values, layout->decoder_bias, FATHOM__F32, weights.decoder_bias, d, 0);
        if (class == FATHOM__DICTIONARY_LEARNING_GATED) {
            add(&values, "gate_bias", FATHOM__F32, dictionary->gate_bias, F, 0);
            add(&values, "r_mag", FATHOM__F32, logarithm, F, 0);
        } else if (class == FATHOM__DICTIONARY_LEARNING_JUMPRELU) {
            add(&values, "threshold", FATHOM__F32, dictionary->threshold, F, 0);
        } else if (class != FATHOM__DICTIONARY_LEARNING_NEW) {
            add(&values, "k", FATHOM__I32, &k, 0, 0);
            add(&values, "threshold", FATHOM__F32, &threshold, 0, 0);
        }
        if (class == FATHOM__DICTIONARY_LEARNING_MATRYOSHKA)
            add(&values, "group_sizes", FATHOM__I64, groups, info->n_groups, 0);
        status = fathom__torch_write(path, values.all, values.n);
    }
    fathom__weights_free(&weights);
    fathom_free(decoder);
    fathom_free(logarithm);
    fathom_free(groups);
    return status;
}

/* The hook point's own name stands for the submodule, and is found again by the importer. */
static json_t *describe(const fathom_dictionary *dictionary, enum fathom__dictionary_learning_class class) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    unsigned layer = 0;
    json_t *trainer =
        json_pack("{s:s, s:i, s:i, s:s, s:s}", "dict_class", fathom__dictionary_learning[class].class_name,
                  "activation_dim", (int)info->d_in, "dict_size", (int)info->n_features, "lm_name", info->model_name,
                  "submodule_name", info->hook_in);
    if (trainer && info->k) json_object_set_new(trainer, "k", json_integer(info->k));
    if (trainer && sscanf(info->hook_in, "blocks.%u.", &layer) == 1)
        json_object_set_new(trainer, "layer", json_integer(layer));
    return trainer ? json_pack("{s:o, s:{}}", "trainer", trainer, "buffer") : NULL;
}

int fathom__dictionary_learning_write(const char *folder, const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const enum fathom__dictionary_learning_class class = find_class(dictionary);
    char *config = NULL, *weights = NULL;
    json_t *json = NULL;
    int status = fathom__export_check(dictionary, "dictionary-learning",
                                      1U << FATHOM__KIND_STANDARD | 1U << FATHOM__KIND_GATED | 1U << FATHOM__KIND_TOPK |
                                          1U << FATHOM__KIND_BATCHTOPK | 1U << FATHOM__KIND_JUMPRELU);
    if (!status && fathom__export_transcoder(dictionary))
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: dictionary-learning has no transcoders and no skip",
                              info->path);
    if (status) return status;
    json = describe(dictionary, class);
    status = json ? fathom__make_folders(folder) : fathom__fail_memory(0);
    if (!status) status = fathom__path_join(&config, folder, "config.json");
    if (!status) status = fathom__path_join(&weights, folder, FATHOM__DICTIONARY_LEARNING_WEIGHTS);
    if (!status) status = write_weights(weights, dictionary, class);
    if (!status) status = fathom__export_end(fathom__json_write(config, json), weights);
    json_decref(json);
    fathom_free(config);
    fathom_free(weights);
    return status;
}
