/* Tensors on their way into the native file's shapes: rows are features. */
#include <base/error.h>
#include <base/memory.h>
#include <dictionary/formats/import.h>
#include <math.h>
#include <string.h>

static bool ends_with(const char *text, const char *ending) {
    const size_t length = strlen(text), n = strlen(ending);
    return length >= n && strcmp(text + length - n, ending) == 0;
}

int fathom__source_open(struct fathom__source *out, const char *path) {
    int status = fathom__copy_string(&out->path, path);
    if (status) return status;
    if (ends_with(path, ".npz")) return fathom__npz_open(&out->npz, path);
    if (ends_with(path, ".pt") || ends_with(path, ".pth")) return fathom__torch_open(&out->torch, path);
    return fathom__safetensors_open(&out->safetensors, path);
}

void fathom__source_close(struct fathom__source *source) {
    fathom__safetensors_close(source->safetensors);
    fathom__npz_close(source->npz);
    fathom__torch_close(source->torch);
    fathom_free(source->path);
    *source = (struct fathom__source){0};
}

const struct fathom__tensor *fathom__source_find(const struct fathom__source *source, const char *name) {
    if (source->safetensors) return fathom__safetensors_find(source->safetensors, name);
    if (source->npz) return fathom__npz_find(source->npz, name);
    return source->torch ? fathom__torch_find(source->torch, name) : NULL;
}

int fathom__source_need(const struct fathom__tensor **out, const struct fathom__source *source, const char *name) {
    *out = fathom__source_find(source, name);
    return *out ? 0 : fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s is missing", source->path, name);
}

int fathom__source_vector(float **out, const struct fathom__source *source, const char *name, size_t n) {
    const struct fathom__tensor *tensor = NULL;
    int status = fathom__source_need(&tensor, source, name);
    return status ? status : fathom__tensor_f32(out, tensor, source->path, &n, 1);
}

int fathom__source_matrix(float **out, const struct fathom__source *source, const char *name, size_t rows,
                          size_t columns, bool transposed) {
    enum { BLOCK = 32 }; /* columns at a time, so that the rows written stay in the cache */
    const struct fathom__tensor *tensor = NULL;
    const size_t shape[] = {transposed ? columns : rows, transposed ? rows : columns};
    float *held = NULL, *turned = NULL;
    int status = fathom__source_need(&tensor, source, name);
    if (!status) status = fathom__tensor_f32(&held, tensor, source->path, shape, 2);
    if (status || !transposed) {
        if (!status) *out = held;
        return status;
    }
    status = fathom__alloc_aligned(&turned, rows * columns, sizeof *turned);
    for (size_t first = 0; first < rows && !status; first += BLOCK)
        for (size_t j = 0; j < columns; j++)
            for (size_t i = first; i < rows && i < first + BLOCK; i++)
                turned[i * columns + j] = held[j * rows + i];
    fathom_free(held);
    if (!status) *out = turned;
    return status;
}

int fathom__import_zeros(float **out, size_t n) {
    return fathom__alloc(out, n, sizeof **out);
}

int fathom__import_floor_thresholds(struct fathom__import *in) {
    size_t negative = 0;
    for (uint32_t f = 0; f < in->info.n_features; f++) {
        if (!(in->threshold[f] < 0)) continue;
        in->threshold[f] = 0;
        negative++;
    }
    return negative ? fathom__import_change(in, "negative thresholds became 0") : 0;
}

int fathom__import_fill_threshold(struct fathom__import *in, double value) {
    int status = fathom__alloc_aligned(&in->threshold, in->info.n_features, sizeof *in->threshold);
    for (uint32_t f = 0; f < in->info.n_features && !status; f++)
        in->threshold[f] = (float)value;
    return status;
}

int fathom__import_fold_norms(struct fathom__import *in) {
    const size_t d_in = in->info.d_in, d_out = in->info.d_out;
    for (uint32_t f = 0; f < in->info.n_features; f++) {
        float *decoder = in->decoder + f * d_out, *encoder = in->encoder + f * d_in;
        double squares = 0;
        for (size_t j = 0; j < d_out; j++)
            squares += (double)decoder[j] * decoder[j];
        const float norm = (float)sqrt(squares);
        if (norm == 0) continue;
        for (size_t j = 0; j < d_out; j++)
            decoder[j] /= norm;
        for (size_t j = 0; j < d_in; j++)
            encoder[j] *= norm;
        in->encoder_bias[f] *= norm;
    }
    return fathom__import_change(in, "decoder norms were folded into the encoder");
}
