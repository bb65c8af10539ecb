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
        if (info->d_in % block || info->d_out % block)
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "dictionary: %s needs widths that are multiples of %lld; they are %u and %u", dtype,
                                (long long)block, info->d_in, info->d_out);
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

static int check_parts(const struct fathom_dictionary_parts *parts) {
    const struct fathom_dictionary_info *info = &parts->info;
    const size_t F = info->n_features;
    if (!info->architecture || fathom__dictionary_kind(info->architecture) == FATHOM__KINDS)
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "dictionary: architecture \"%s\"; topk, batchtopk, jumprelu or standard is expected",
                            info->architecture ? info->architecture : "");
    if (F == 0 || info->d_in == 0 || info->d_out == 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "dictionary: sizes of 0");
    if (!info->hook_in || !info->hook_out)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "dictionary: hook_in and hook_out are expected");
    int status = check_finite(parts->encoder, F * info->d_in, "the encoder");
    if (!status) status = check_finite(parts->decoder, F * info->d_out, "the decoder");
    if (!status) status = check_finite(parts->encoder_bias, F, "the encoder's bias");
    if (!status) status = check_finite(parts->decoder_bias, info->d_out, "the decoder's bias");
    if (!status && parts->threshold) status = check_finite(parts->threshold, F, "the threshold");
    return status;
}

static int put_keys(fathom__gguf_writer *writer, const struct fathom_dictionary_info *info) {
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
        {FATHOM__DICTIONARY_KEY "version", FATHOM__DICTIONARY_VERSION},
        {FATHOM__DICTIONARY_KEY "d_in", info->d_in},
        {FATHOM__DICTIONARY_KEY "d_out", info->d_out},
        {FATHOM__DICTIONARY_KEY "n_features", info->n_features},
        {FATHOM__DICTIONARY_KEY "k", info->k},
        {FATHOM__DICTIONARY_KEY "skip_positions", info->skip_positions},
    };
    int status = 0;
    for (size_t i = 0; i < sizeof strings / sizeof *strings && !status; i++)
        status = fathom__gguf_put_string(writer, strings[i].key, strings[i].value);
    for (size_t i = 0; i < sizeof integers / sizeof *integers && !status; i++)
        status = fathom__gguf_put_integer(writer, integers[i].key, integers[i].value);
    if (!status)
        status =
            fathom__gguf_put_bool(writer, FATHOM__DICTIONARY_KEY "subtract_decoder_bias", info->subtract_decoder_bias);
    if (!status) status = fathom__gguf_put_number(writer, FATHOM__DICTIONARY_KEY "input_scale", info->input_scale);
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

int fathom_dictionary_write(const char *path, const struct fathom_dictionary_parts *parts, const char *dtype) {
    const struct fathom_dictionary_info *info = &parts->info;
    const int64_t F = info->n_features, d_out = info->d_out;
    enum ggml_type type = GGML_TYPE_F32;
    fathom__gguf_writer *writer = NULL;
    void *encoder = NULL, *decoder = NULL;
    int status = find_type(&type, dtype, info);
    if (!status) status = check_parts(parts);
    if (!status) status = fathom__gguf_writer_open(&writer);
    if (!status) status = put_keys(writer, info);
    if (!status) status = put_matrix(writer, &encoder, "encoder.weight", type, parts->encoder, info->d_in, F);
    if (!status) status = fathom__gguf_put_tensor(writer, "encoder.bias", GGML_TYPE_F32, &F, 1, parts->encoder_bias);
    if (!status) status = put_matrix(writer, &decoder, "decoder.weight", type, parts->decoder, info->d_out, F);
    if (!status)
        status = fathom__gguf_put_tensor(writer, "decoder.bias", GGML_TYPE_F32, &d_out, 1, parts->decoder_bias);
    if (!status && parts->threshold)
        status = fathom__gguf_put_tensor(writer, "threshold", GGML_TYPE_F32, &F, 1, parts->threshold);
    if (!status) status = fathom__gguf_writer_commit(writer, path);
    fathom__gguf_writer_close(writer);
    fathom_free(encoder);
    fathom_free(decoder);
    return status;
}
