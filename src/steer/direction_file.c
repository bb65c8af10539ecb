#include "base/error.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "detect/pool.h"
#include "steer/direction.h"
#include "steer/own_texts.h"
#include <stdio.h>
#include <string.h>

static const char tensor_name[] = "direction";

/* Repeats a single vector, or copies one a layer. */
static int take_vectors(struct fathom_direction *direction, const fathom__safetensors *file, const char *path) {
    size_t n_layers = fathom__direction_layers(direction);
    const struct fathom__tensor *tensor = fathom__safetensors_find(file, tensor_name);
    float *values = NULL;
    if (tensor == NULL && fathom__safetensors_count(file) == 1) {
        tensor = fathom__safetensors_at(file, 0);
    }
    if (tensor == NULL) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: has no tensor \"%s\" and not just one", path, tensor_name);
    }
    if (tensor->n_dimensions < 1 || tensor->n_dimensions > 2) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor \"%s\" must be [width] or [layers, width]", path,
                            tensor->name);
    }
    size_t rows = tensor->n_dimensions == 2 ? tensor->shape[0] : 1;
    size_t width = tensor->shape[tensor->n_dimensions - 1];
    if (width != direction->width || (rows != 1 && rows != n_layers)) {
        return fathom__fail(
            FATHOM_ERROR_MISMATCH,
            "%s: tensor \"%s\" is %zu × %zu; the model's rows there are %zu wide and the range has %zu layers", path,
            tensor->name, rows, width, direction->width, n_layers);
    }
    int status = fathom__safetensors_f32(&values, file, tensor->name, tensor->shape, tensor->n_dimensions);
    for (size_t l = 0; l < n_layers && status == FATHOM_OK; l++) {
        memcpy(direction->vectors + l * width, values + (rows == 1 ? 0 : l * width), width * sizeof(float));
    }
    fathom_free(values);
    return status;
}

static int measure_norms(struct fathom_direction *direction, const fathom_model *model,
                         const struct fathom_texts *texts) {
    struct fathom_texts own = FATHOM_TEXTS_INIT;
    struct fathom_hook *hooks = NULL;
    int status = fathom__direction_hooks(&hooks, direction);
    if (status == FATHOM_OK && texts == NULL) {
        status = fathom__own_texts(&own);
        texts = &own;
    }
    if (status == FATHOM_OK) {
        status =
            fathom__median_norms(direction->median_norms, model, texts, hooks, fathom__direction_layers(direction));
    }
    fathom_texts_free(&own);
    fathom_free(hooks);
    return status;
}

int fathom_direction_open(struct fathom_direction *out, const fathom_model *model, const char *path,
                          enum fathom_hook_kind kind, int32_t first_layer, int32_t last_layer,
                          const struct fathom_texts *texts) {
    struct fathom_direction direction = FATHOM_DIRECTION_INIT;
    fathom__safetensors *file = NULL;
    int status = fathom__safetensors_open(&file, path);
    if (status == FATHOM_OK) {
        status = fathom__direction_start(&direction, model, kind, first_layer, last_layer);
    }
    if (status == FATHOM_OK) {
        status = take_vectors(&direction, file, path);
    }
    if (status == FATHOM_OK) {
        status = fathom__direction_normalise(&direction, path);
    }
    if (status == FATHOM_OK) {
        status = measure_norms(&direction, model, texts);
    }
    if (file != NULL) {
        fathom__safetensors_close(file);
    }
    if (status != FATHOM_OK) {
        fathom_direction_free(&direction);
        return status;
    }
    *out = direction;
    return FATHOM_OK;
}

int fathom_direction_write(const struct fathom_direction *direction, const fathom_model *model, const char *path) {
    char first[FATHOM_HOOK_NAME_SIZE];
    char last[FATHOM_HOOK_NAME_SIZE];
    fathom_hook_name(first, (struct fathom_hook){direction->kind, direction->first_layer});
    fathom_hook_name(last, (struct fathom_hook){direction->kind, direction->last_layer});
    const char *const metadata[] = {
        "first_hook", first, "last_hook", last, "model_identity", fathom_model_describe(model)->source_identity, NULL};
    size_t n_layers = fathom__direction_layers(direction);
    struct fathom__tensor tensor = {.name = tensor_name,
                                    .dtype = FATHOM__F32,
                                    .n_dimensions = 2,
                                    .shape = {n_layers, direction->width},
                                    .data = direction->vectors,
                                    .bytes = n_layers * direction->width * sizeof(float)};
    return fathom__safetensors_write(path, &tensor, 1, metadata);
}
