/* Reading a few features without the rest of the encoder, and writing features back as rows. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/dictionary_internal.h>
#include <math.h>

static int load_encoder(float *out, const fathom_dictionary *dictionary, uint32_t feature) {
    memset(out, 0, dictionary->stride * sizeof *out);
    return fathom__dictionary_stored_encoder(out, dictionary, feature);
}

int fathom_dictionary_read(float *out, const fathom_dictionary *dictionary, const uint32_t *features, size_t n_features,
                           const float *rows, const int32_t *positions, size_t n_rows) {
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t stride = dictionary->stride, d = info->d_in;
    float *encoder = NULL, *x = NULL;
    if (!info->has_threshold)
        return fathom__fail(
            FATHOM_ERROR_UNSUPPORTED,
            "%s: has no threshold, so that single features cannot be read; encode with the whole encoder", info->path);
    int status = fathom__alloc_aligned(&encoder, n_features * stride, sizeof *encoder);
    if (!status) status = fathom__alloc_aligned(&x, stride, sizeof *x);
    for (size_t i = 0; i < n_features && !status; i++)
        status = load_encoder(encoder + i * stride, dictionary, features[i]);
    if (status) goto done;
    for (size_t r = 0; r < n_rows; r++) {
        const float *row = rows + r * d;
        float *values = out + r * n_features;
        memset(values, 0, n_features * sizeof *values);
        if (!fathom_dictionary_covers(dictionary, row, positions ? positions[r] : INT32_MAX)) continue;
        fathom__dictionary_input(x, dictionary, row);
        for (size_t i = 0; i < n_features; i++) {
            const float product = fathom__dot(x, encoder + i * stride, stride);
            if (!isfinite(product)) {
                status = fathom__fail(FATHOM_ERROR_NUMERIC, "%s: row %zu to read is not finite", info->path, r);
                goto done;
            }
            values[i] = fathom__dictionary_value(dictionary, features[i], product);
        }
    }
done:
    fathom_free(encoder);
    fathom_free(x);
    return status;
}

/* The decoder as f32, made once many rows are asked for. */
static int whole_decoder(const float **out, const fathom_dictionary *dictionary) {
    fathom_dictionary *own =
        (fathom_dictionary *)(uintptr_t)dictionary; /* made late, under the lock; no answer changes */
    int status = 0;
    pthread_mutex_lock(&own->lock);
    if (!own->whole_decoder) {
        float *rows = NULL;
        status = fathom__alloc_aligned(&rows, fathom__decoders_count(&own->info), sizeof *rows);
        for (size_t l = 0; l < own->n_layers && !status; l++)
            status = fathom__gguf_rows_f32(rows + fathom__decoders_before(&own->info, l), own->decoders[l], 0,
                                           (int64_t)own->layer_features);
        if (status)
            fathom_free(rows);
        else
            own->whole_decoder = rows;
    }
    *out = own->whole_decoder;
    pthread_mutex_unlock(&own->lock);
    return status;
}

int fathom_dictionary_decode(float *out, const fathom_dictionary *dictionary, const struct fathom_sparse *sparse) {
    if (dictionary->info.needs_rows)
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: reconstructs from features and rows together (a skip, or a norm to undo)",
                            dictionary->info.path);
    return fathom_dictionary_reconstruct(out, dictionary, sparse, NULL);
}

int fathom_dictionary_reconstruct(float *out, const fathom_dictionary *dictionary, const struct fathom_sparse *sparse,
                                  const float *rows) {
    enum { FEW_PART = 8 }; /* below this part of the features, single rows are dequantised as they come */
    const struct fathom_dictionary_info *info = &dictionary->info;
    const size_t d = info->d_out;
    const float *whole = NULL;
    float *row = NULL, *mapped = NULL;
    size_t *before = NULL; /* numbers before each layer's rows */
    int status = 0;
    if (sparse->n_rows == 0) return 0;
    for (size_t i = 0; i < sparse->offsets[sparse->n_rows]; i++)
        if (sparse->features[i] >= info->n_features)
            return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: there is no feature %u; they are numbered 0 to %u",
                                info->path, sparse->features[i], info->n_features - 1);
    if (sparse->offsets[sparse->n_rows] > info->n_features / FEW_PART) status = whole_decoder(&whole, dictionary);
    if (!status) status = fathom__alloc_aligned(&row, d, sizeof *row);
    if (!status) status = fathom__alloc_aligned(&mapped, fathom__padded(d), sizeof *mapped);
    if (!status) status = fathom__alloc(&before, dictionary->n_layers, sizeof *before);
    for (size_t l = 0; l < dictionary->n_layers && !status; l++)
        before[l] = fathom__decoders_before(info, l);
    for (size_t r = 0; r < sparse->n_rows && !status; r++) {
        float *y = out + r * d;
        memcpy(y, dictionary->decoder_bias, d * sizeof *y);
        for (size_t i = sparse->offsets[r]; i < sparse->offsets[r + 1] && !status; i++) {
            const size_t layer = sparse->features[i] / dictionary->layer_features,
                         of_layer = sparse->features[i] - layer * dictionary->layer_features,
                         n = fathom__decoder_width(info, layer);
            const float *direction = whole ? whole + before[layer] + of_layer * n : row;
            if (!whole) status = fathom__gguf_rows_f32(row, dictionary->decoders[layer], (int64_t)of_layer, 1);
            for (size_t j = 0; j < n; j++)
                y[d - n + j] += sparse->values[i] * direction[j];
        }
        fathom__dictionary_unmap(y, mapped, dictionary);
        for (size_t j = 0; j < d; j++)
            y[j] /= info->output_scale;
        if (info->needs_rows) fathom__dictionary_restore(y, dictionary, rows + r * info->d_in);
    }
    fathom_free(row);
    fathom_free(mapped);
    fathom_free(before);
    return status;
}
