/* Writing the native file. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <math.h>

static int find_type(enum ggml_type *out, const char *dtype, const struct fathom_dictionary_info *info) {
    static const struct {
        const char *name;
        enum ggml_type type;
    } types[] = {{"f32", GGML_TYPE_F32}, {"bf16", GGML_TYPE_BF16}, {"f16", GGML_TYPE_F16}, {"q8_0", GGML_TYPE_Q8_0}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(dtype, types[i].name) != 0) continue;
        const int64_t block = ggml_blck_size(types[i].type);
        const uint32_t parts = info->n_layers ? info->n_layers : 1, d_in = info->d_in / parts,
                       d_out = info->d_out / parts;
        if (d_in % block || d_out % block)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "dictionary: %s needs widths that are multiples of %lld; they are %u and %u", dtype,
                                (long long)block, d_in, d_out);
        *out = types[i].type;
        return 0;
    }
    return fathom__fail(FATHOM_ERROR_ARGUMENT, "dictionary: dtype \"%s\"; f32, bf16, f16 or q8_0 is expected", dtype);
}

static int check_finite(const float *values, size_t n, const char *name) {
    bool finite = true;
    for (size_t i = 0; i < n; i++)
        finite &= (bool)isfinite(values[i]);
    return finite ? 0 : fathom__fail(FATHOM_ERROR_NUMERIC, "dictionary: %s holds a number that is not finite", name);
}

static int check_groups(const struct fathom_dictionary_info *info) {
    uint64_t sum = 0;
    bool empty = false;
    for (uint32_t g = 0; g < info->n_groups; g++) {
        sum += info->group_sizes[g];
        empty |= info->group_sizes[g] == 0;
    }
    if (info->n_groups == 0 || (!empty && sum == info->n_features)) return 0;
    return fathom__fail(FATHOM_ERROR_ARGUMENT,
                        "dictionary: group sizes of 1 or more that sum to %u are expected; their sum is %llu",
                        info->n_features, (unsigned long long)sum);
}

static int check_transforms(const struct fathom_dictionary_parts *parts) {
    const size_t d_in = parts->info.d_in, d_out = parts->info.d_out;
    const bool diagonal = parts->diagonal_transforms;
    if (!parts->input_transform != !parts->output_transform)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "dictionary: both transforms are expected, or none");
    if (!parts->input_transform) return 0;
    int status = check_finite(parts->input_transform, diagonal ? d_in : d_in * d_in, "the input's transform");
    if (!status)
        status = check_finite(parts->output_transform, diagonal ? d_out : d_out * d_out, "the output's transform");
    return status;
}

static int check_parts(const struct fathom_dictionary_parts *parts) {
    const struct fathom_dictionary_info *info = &parts->info;
    const size_t F = info->n_features;
    if (!info->architecture || fathom__dictionary_kind(info->architecture) == FATHOM__KINDS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "dictionary: architecture \"%s\"; " FATHOM__KIND_NAMES " is expected",
                            info->architecture ? info->architecture : "");
    if (F == 0 || info->d_in == 0 || info->d_out == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "dictionary: sizes of 0");
    if (!info->hook_in || !info->hook_out)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "dictionary: hook_in and hook_out are expected");
    if (info->input_norm && fathom__input_norm(info->input_norm) == FATHOM__NORMS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "dictionary: input_norm \"%s\"; " FATHOM__NORM_NAMES " is expected",
                            info->input_norm);
    const bool gated = fathom__dictionary_kind(info->architecture) == FATHOM__KIND_GATED;
    if (gated != (parts->gate_bias != NULL) || gated != (parts->magnitude_scale != NULL))
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "dictionary: gate_bias and magnitude_scale are expected of gated, and of nothing else");
    int status = check_groups(info);
    if (!status) status = fathom__dictionary_check_layers(info);
    if (!status && info->n_layers && (parts->skip || parts->input_transform))
        status =
            fathom__fail(FATHOM_ERROR_ARGUMENT, "dictionary: a cross-layer transcoder has no skip and no transforms");
    if (!status) status = check_finite(parts->encoder, F * fathom__encoder_width(info), "the encoder");
    if (!status) status = check_finite(parts->decoder, fathom__decoders_count(info), "the decoder");
    if (!status) status = check_finite(parts->encoder_bias, F, "the encoder's bias");
    if (!status) status = check_finite(parts->decoder_bias, info->d_out, "the decoder's bias");
    if (!status && parts->threshold) status = check_finite(parts->threshold, F, "the threshold");
    if (!status && gated) status = check_finite(parts->gate_bias, F, "the gate's bias");
    if (!status && gated) status = check_finite(parts->magnitude_scale, F, "the magnitude's scale");
    if (!status && parts->skip) status = check_finite(parts->skip, (size_t)info->d_out * info->d_in, "the skip");
    return status ? status : check_transforms(parts);
}

/* What came with version 2. */
static int put_more_keys(bool *any, fathom__gguf_writer *writer, const struct fathom_dictionary_info *info) {
    const bool norm = info->input_norm && strcmp(info->input_norm, "none") != 0,
               scale = info->output_scale > 0 && info->output_scale != info->input_scale;
    int status = 0;
    *any = norm || scale || info->n_groups > 0;
    if (norm) status = fathom__gguf_put_string(writer, FATHOM__DICTIONARY_KEY "input_norm", info->input_norm);
    if (!status && norm)
        status = fathom__gguf_put_bool(writer, FATHOM__DICTIONARY_KEY "undo_input_norm", info->undo_input_norm);
    if (!status && scale)
        status = fathom__gguf_put_number(writer, FATHOM__DICTIONARY_KEY "output_scale", info->output_scale);
    if (!status && info->n_groups > 0)
        status = fathom__gguf_put_array(writer, FATHOM__DICTIONARY_KEY "groups", GGUF_TYPE_UINT32, info->group_sizes,
                                        info->n_groups);
    return status;
}

static int put_keys(fathom__gguf_writer *writer, const struct fathom_dictionary_parts *parts) {
    const struct fathom_dictionary_info *info = &parts->info;
    bool more = false;
    int status = put_more_keys(&more, writer, info);
    const struct {
        const char *key, *value;
    } strings[] = {
        {"general.architecture", FATHOM__DICTIONARY_ARCHITECTURE},
        {"general.name", info->name ? info->name : ""},
        {FATHOM__DICTIONARY_KEY "architecture", info->architecture},
        {FATHOM__DICTIONARY_KEY "hook_in", info->hook_in},
        {FATHOM__DICTIONARY_KEY "hook_out", info->hook_out},
        {FATHOM__DICTIONARY_KEY "model_identity", info->model_identity ? info->model_identity : ""},
        {FATHOM__DICTIONARY_KEY "model_name", info->model_name ? info->model_name : ""},
        {FATHOM__DICTIONARY_KEY "training", info->training ? info->training : "{}"},
    };
    const struct {
        const char *key;
        uint32_t value;
    } integers[] = {
        {FATHOM__DICTIONARY_KEY "version", info->n_layers                              ? 4
                                           : parts->input_transform || info->n_sources ? 3
                                           : more || parts->skip                       ? 2
                                                                                       : 1},
        {FATHOM__DICTIONARY_KEY "d_in", info->d_in},
        {FATHOM__DICTIONARY_KEY "d_out", info->d_out},
        {FATHOM__DICTIONARY_KEY "n_features", info->n_features},
        {FATHOM__DICTIONARY_KEY "k", info->k},
        {FATHOM__DICTIONARY_KEY "skip_positions", info->skip_positions},
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings && !status; i++)
        status = fathom__gguf_put_string(writer, strings[i].key, strings[i].value);
    for (size_t i = 0; i < sizeof integers / sizeof *integers && !status; i++)
        status = fathom__gguf_put_integer(writer, integers[i].key, integers[i].value);
    if (!status)
        status =
            fathom__gguf_put_bool(writer, FATHOM__DICTIONARY_KEY "subtract_decoder_bias", info->subtract_decoder_bias);
    if (!status) status = fathom__gguf_put_number(writer, FATHOM__DICTIONARY_KEY "input_scale", info->input_scale);
    if (!status) status = fathom__dictionary_put_sources(writer, info);
    if (!status) status = fathom__dictionary_put_layers(writer, info);
    if (!status && isfinite(info->max_norm) && info->max_norm > 0)
        status = fathom__gguf_put_number(writer, FATHOM__DICTIONARY_KEY "max_norm", info->max_norm);
    return status;
}

static int put_matrix(fathom__gguf_writer *writer, void **storage, const char *name, enum ggml_type type,
                      const float *values, int64_t width, int64_t rows) {
    const int64_t shape[] = {width, rows};
    const void *data = values;
    if (type != GGML_TYPE_F32) {
        int status = fathom__alloc_aligned(storage, (size_t)rows, ggml_row_size(type, width));
        if (status) return status;
        ggml_quantize_chunk(type, values, *storage, 0, rows, width, NULL);
        data = *storage;
    }
    return fathom__gguf_put_tensor(writer, name, type, shape, 2, data);
}

/* One matrix, or one of each layer; *storage is an array of n_layers. */
static int put_decoders(fathom__gguf_writer *writer, void **storage, enum ggml_type type,
                        const struct fathom_dictionary_parts *parts) {
    const struct fathom_dictionary_info *info = &parts->info;
    const uint32_t n = info->n_layers ? info->n_layers : 1;
    int status = 0;
    for (uint32_t l = 0; l < n && !status; l++) {
        char name[FATHOM__DECODER_NAME];
        fathom__dictionary_decoder_name(name, info, l);
        status = put_matrix(writer, &storage[l], name, type, parts->decoder + fathom__decoders_before(info, l),
                            (int64_t)fathom__decoder_width(info, l), info->n_features / n);
    }
    return status;
}

static int put_transform(fathom__gguf_writer *writer, const char *name, const float *weights, int64_t d,
                         const struct fathom_dictionary_parts *parts) {
    const int64_t shape[] = {d, d};
    if (!weights) return 0;
    return fathom__gguf_put_tensor(writer, name, GGML_TYPE_F32, shape, parts->diagonal_transforms ? 1 : 2, weights);
}

int fathom_dictionary_write(const char *path, const struct fathom_dictionary_parts *parts, const char *dtype) {
    const struct fathom_dictionary_info *info = &parts->info;
    const int64_t F = info->n_features, d_out = info->d_out, skip[] = {info->d_in, info->d_out};
    enum ggml_type type = GGML_TYPE_F32;
    fathom__gguf_writer *writer = NULL;
    const uint32_t n_layers = info->n_layers ? info->n_layers : 1;
    void *encoder = NULL, **decoders = NULL;
    int status = find_type(&type, dtype, info);
    if (!status) status = check_parts(parts);
    if (!status) status = fathom__alloc(&decoders, n_layers, sizeof *decoders);
    if (!status) status = fathom__gguf_writer_open(&writer);
    if (!status) status = put_keys(writer, parts);
    if (!status)
        status = put_matrix(writer, &encoder, "encoder.weight", type, parts->encoder,
                            (int64_t)fathom__encoder_width(info), F);
    if (!status) status = fathom__gguf_put_tensor(writer, "encoder.bias", GGML_TYPE_F32, &F, 1, parts->encoder_bias);
    if (!status) status = put_decoders(writer, decoders, type, parts);
    if (!status)
        status = fathom__gguf_put_tensor(writer, "decoder.bias", GGML_TYPE_F32, &d_out, 1, parts->decoder_bias);
    if (!status && parts->threshold)
        status = fathom__gguf_put_tensor(writer, "threshold", GGML_TYPE_F32, &F, 1, parts->threshold);
    if (!status && parts->gate_bias)
        status = fathom__gguf_put_tensor(writer, "gate.bias", GGML_TYPE_F32, &F, 1, parts->gate_bias);
    if (!status && parts->magnitude_scale)
        status = fathom__gguf_put_tensor(writer, "magnitude.scale", GGML_TYPE_F32, &F, 1, parts->magnitude_scale);
    if (!status && parts->skip)
        status = fathom__gguf_put_tensor(writer, "skip.weight", GGML_TYPE_F32, skip, 2, parts->skip);
    if (!status) status = put_transform(writer, "input.transform", parts->input_transform, info->d_in, parts);
    if (!status) status = put_transform(writer, "output.transform", parts->output_transform, info->d_out, parts);
    if (!status) status = fathom__gguf_writer_commit(writer, path);
    fathom__gguf_writer_close(writer);
    fathom_free(encoder);
    for (uint32_t l = 0; decoders && l < n_layers; l++)
        fathom_free(decoders[l]);
    fathom_free(decoders);
    return status;
}

static int copy_transform(float **out, const struct fathom__map *map) {
    if (!map->weights) return 0;
    int status = fathom__alloc(out, fathom__map_count(map), sizeof **out);
    if (!status) fathom__map_weights(*out, map);
    return status;
}

int fathom_dictionary_quantise(const char *path, const fathom_dictionary *dictionary, const char *dtype) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    struct fathom_dictionary_parts parts = {.info = *info,
                                            .encoder_bias = dictionary->encoder_bias,
                                            .decoder_bias = dictionary->decoder_bias,
                                            .threshold = dictionary->threshold,
                                            .gate_bias = dictionary->gate_bias,
                                            .magnitude_scale = dictionary->magnitude_scale,
                                            .skip = dictionary->skip};
    float *encoder = NULL, *decoder = NULL, *transforms[2] = {NULL, NULL};
    int status = fathom__alloc_aligned(&encoder, info->n_features * fathom__encoder_width(info), sizeof *encoder);
    if (!status) status = fathom__alloc_aligned(&decoder, fathom__decoders_count(info), sizeof *decoder);
    if (!status) status = fathom__gguf_rows_f32(encoder, dictionary->encoder, 0, info->n_features);
    for (size_t l = 0; l < dictionary->n_layers && !status; l++)
        status = fathom__gguf_rows_f32(decoder + fathom__decoders_before(info, l), dictionary->decoders[l], 0,
                                       (int64_t)dictionary->layer_features);
    if (!status) status = copy_transform(&transforms[0], &dictionary->input_transform);
    if (!status) status = copy_transform(&transforms[1], &dictionary->output_transform);
    parts.encoder = encoder;
    parts.decoder = decoder;
    parts.input_transform = transforms[0];
    parts.output_transform = transforms[1];
    parts.diagonal_transforms = dictionary->input_transform.diagonal;
    if (!status) status = fathom_dictionary_write(path, &parts, dtype);
    fathom_free(encoder);
    fathom_free(decoder);
    fathom_free(transforms[0]);
    fathom_free(transforms[1]);
    return status;
}
