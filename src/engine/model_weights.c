/* Weights as f32, straight from the files: the engine's interface shows none. */
#include "base/error.h"
#include "base/memory.h"
#include "engine/model_internal.h"
#include <string.h>

static const struct fathom__gguf_tensor *find(const fathom_model *model, const char *name) {
    return fathom__model_files_find(&model->files, name);
}

int fathom_model_weight(float **out, size_t *rows, size_t *columns, const fathom_model *model, const char *name) {
    const struct fathom__gguf_tensor *tensor = find(model, name);
    float *values = NULL;
    if (tensor == NULL) return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: no tensor is called %s", model->path, name);
    if (tensor->shape[2] != 1 || tensor->shape[3] != 1) {
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: tensor %s has more than two dimensions", model->path, name);
    }
    const size_t width = (size_t)tensor->shape[0], height = (size_t)tensor->shape[1];
    if (width > 0 && height > SIZE_MAX / sizeof *values / width) return fathom__fail_memory(SIZE_MAX);
    int status = fathom__alloc_aligned(&values, width * height, sizeof *values);
    if (status != FATHOM_OK) return status;
    status = fathom__gguf_rows_f32(values, tensor, 0, tensor->shape[1]);
    if (status != FATHOM_OK) {
        fathom_free(values);
        return fathom__wrap(status, "%s", model->path);
    }
    *out = values;
    *rows = height;
    *columns = width;
    return FATHOM_OK;
}

int fathom_model_unembedding(float **out, size_t *rows, size_t *columns, const fathom_model *model) {
    /* Without a head of its own a model multiplies by its token embedding. */
    const char *name = find(model, "output.weight") != NULL ? "output.weight" : "token_embd.weight";
    return fathom_model_weight(out, rows, columns, model, name);
}

int fathom_model_final_norm(struct fathom_final_norm *out, const fathom_model *model) {
    struct fathom_final_norm norm = {0};
    size_t rows, columns;
    int status = fathom_model_weight(&norm.gain, &rows, &columns, model, "output_norm.weight");
    if (status == FATHOM_OK && find(model, "output_norm.bias") != NULL) {
        status = fathom_model_weight(&norm.bias, &rows, &columns, model, "output_norm.bias");
    }
    if (status != FATHOM_OK) {
        fathom_free(norm.gain);
        return status;
    }
    norm.epsilon = model->shape.norm_epsilon;
    norm.rms = norm.bias == NULL;
    norm.softcap = model->shape.logit_softcap;
    *out = norm;
    return FATHOM_OK;
}
