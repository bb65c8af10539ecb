#include <base/error.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <dictionary/formats/export.h>
#include <dictionary/formats/import.h>
#include <stdio.h>
#include <unistd.h>

/* With W_enc · s_in and b_dec / s_out, subtracting b_dec takes W_enc b_dec s_in / s_out away, where the dictionary takes
 * W_enc b_dec away or nothing: the bias makes up for the difference. */
static int move_bias(float *bias, const float *rows, const float *decoder_bias, const fathom_dictionary *dictionary,
                     bool subtracts) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const double taken = subtracts ? (double)info->input_scale / info->output_scale : 0,
                 lacking = taken - (info->subtract_decoder_bias ? 1 : 0);
    if (lacking == 0) return 0;
    if (dictionary->kind == FATHOM__KIND_GATED || info->d_in != info->d_out)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: the format %s b_dec before encoding, which cannot be made up for here", info->path,
                            subtracts ? "subtracts" : "does not subtract");
    for (size_t f = 0; f < info->n_features; f++) {
        double sum = 0;
        for (size_t j = 0; j < info->d_in; j++)
            sum += (double)rows[f * info->d_in + j] * decoder_bias[j];
        bias[f] += (float)(lacking * sum);
    }
    return 0;
}

int fathom__weights_read(struct fathom__weights *out, const fathom_dictionary *dictionary, bool turned,
                         bool subtracts) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t d_in = info->d_in, d_out = info->d_out, F = info->n_features;
    float *rows = NULL, bias;
    int status = fathom__alloc_aligned(&rows, F * d_in, sizeof *rows);
    if (!status) status = fathom__alloc_aligned(&out->encoder, F * d_in, sizeof *out->encoder);
    if (!status) status = fathom__alloc_aligned(&out->decoder, F * d_out, sizeof *out->decoder);
    if (!status) status = fathom__alloc(&out->decoder_bias, d_out, sizeof *out->decoder_bias);
    if (!status) status = fathom__alloc(&out->encoder_bias, F, sizeof *out->encoder_bias);
    for (uint32_t f = 0; f < F && !status; f++) {
        status = fathom_dictionary_encoder_row(rows + f * d_in, &bias, dictionary, f);
        if (!status) status = fathom_dictionary_direction(out->decoder + f * d_out, dictionary, f);
    }
    if (!status) memcpy(out->encoder_bias, dictionary->encoder_bias, F * sizeof *out->encoder_bias);
    if (!status) fathom_dictionary_decoder_bias(out->decoder_bias, dictionary);
    if (!status) status = move_bias(out->encoder_bias, rows, out->decoder_bias, dictionary, subtracts);
    if (!status) {
        for (size_t f = 0; f < F; f++)
            for (size_t j = 0; j < d_in; j++)
                out->encoder[turned ? j * F + f : f * d_in + j] = rows[f * d_in + j] * info->input_scale;
        for (size_t i = 0; i < F * d_out; i++)
            out->decoder[i] /= info->output_scale;
        for (size_t j = 0; j < d_out; j++)
            out->decoder_bias[j] /= info->output_scale;
    }
    fathom_free(rows);
    if (status) fathom__weights_free(out);
    return status;
}

void fathom__weights_free(struct fathom__weights *weights) {
    fathom_free(weights->encoder);
    fathom_free(weights->decoder);
    fathom_free(weights->encoder_bias);
    fathom_free(weights->decoder_bias);
    *weights = (struct fathom__weights){0};
}

int fathom__layer_weights_read(struct fathom__layer_weights *out, const fathom_dictionary *dictionary, size_t layer) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t F = dictionary->layer_features, d = info->d_in / info->n_layers, n = info->n_layers - layer;
    int status = fathom__alloc_aligned(&out->encoder, F * d, sizeof *out->encoder);
    if (!status) status = fathom__alloc_aligned(&out->decoder, F * n * d, sizeof *out->decoder);
    if (!status) status = fathom__alloc(&out->bias, d, sizeof *out->bias);
    if (!status) status = fathom__gguf_rows_f32(out->encoder, dictionary->encoder, (int64_t)(layer * F), (int64_t)F);
    if (!status) status = fathom__gguf_rows_f32(out->decoder, dictionary->decoders[layer], 0, (int64_t)F);
    if (status) {
        fathom__layer_weights_free(out);
        return status;
    }
    for (size_t i = 0; i < F * d; i++)
        out->encoder[i] *= info->input_scale;
    for (size_t i = 0; i < F * n * d; i++)
        out->decoder[i] /= info->output_scale;
    for (size_t j = 0; j < d; j++)
        out->bias[j] = dictionary->decoder_bias[layer * d + j] / info->output_scale;
    return 0;
}

void fathom__layer_weights_free(struct fathom__layer_weights *weights) {
    fathom_free(weights->encoder);
    fathom_free(weights->decoder);
    fathom_free(weights->bias);
    *weights = (struct fathom__layer_weights){0};
}

int fathom__export_check_kind(const fathom_dictionary *dictionary, const char *format, unsigned kinds) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    if (!(kinds & 1U << dictionary->kind))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: %s has no %s", info->path, format, info->architecture);
    if (info->n_sources) return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: %s has no crosscoders", info->path, format);
    return 0;
}

int fathom__export_check(const fathom_dictionary *dictionary, const char *format, unsigned kinds) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    int status = fathom__export_check_kind(dictionary, format, kinds);
    if (!status && dictionary->norm != FATHOM__NORM_NONE)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: %s has no input norm %s", info->path, format,
                            info->input_norm);
    return status;
}

int fathom__export_module(char **out, const fathom_dictionary *dictionary, const char *format, const char *hook) {
    unsigned layer = 0;
    int end = 0;
    const bool block = sscanf(hook, "blocks.%u.%n", &layer, &end) == 1 && end > 0;
    const char *module = block ? fathom__hook_module(hook + end) : NULL;
    return module ? fathom__format(out, "model.layers.%u%s", layer, module)
                  : fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: %s has no module for %s", dictionary->info.path, format,
                                 hook);
}

bool fathom__export_transcoder(const fathom_dictionary *dictionary) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    return strcmp(info->hook_in, info->hook_out) != 0 || info->d_in != info->d_out || info->has_skip;
}

struct fathom__tensor fathom__export_tensor(const char *name, const float *values, size_t rows, size_t columns) {
    const size_t n = columns ? rows * columns : rows;
    return (struct fathom__tensor){name, FATHOM__F32, columns ? 2 : 1, {rows, columns}, values, n * sizeof *values};
}

int fathom__export_end(int status, const char *weights) {
    if (status && weights) unlink(weights);
    return status;
}
