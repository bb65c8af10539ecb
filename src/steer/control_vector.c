/* llama.cpp's control vectors. */
#include "base/error.h"
#include "base/gguf_file.h"
#include "base/memory.h"
#include "steer/direction.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARCHITECTURE "controlvector"
#define PREFIX "direction."
enum { NAME_SIZE = 32 };

/* The layer of a tensor's name, or -1. */
static int32_t layer_of(const char *name) {
    char *end = NULL;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || name[strlen(PREFIX)] < '0' || name[strlen(PREFIX)] > '9') {
        return -1;
    }
    long layer = strtol(name + strlen(PREFIX), &end, 10);
    return *end == '\0' && layer <= INT16_MAX ? (int32_t)layer : -1;
}

static int check_keys(const fathom__gguf *file, const fathom_model *model) {
    const char *kind = NULL;
    const char *hint = NULL;
    const char *path = fathom__gguf_path(file);
    const struct fathom_model_info *info = fathom_model_describe(model);
    int status = fathom__gguf_string(&kind, file, "general.architecture", true);
    if (status == FATHOM_OK && strcmp(kind, ARCHITECTURE) != 0) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key general.architecture is \"%.32s\", expected \"%s\"", path,
                            kind, ARCHITECTURE);
    }
    if (status == FATHOM_OK) {
        status = fathom__gguf_string(&hint, file, ARCHITECTURE ".model_hint", false);
    }
    if (status == FATHOM_OK && hint != NULL && strcmp(hint, info->architecture) != 0) {
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: a control vector of a %.32s model, but %s is a %s model", path,
                            hint, info->path, info->architecture);
    }
    return status;
}

static int find_range(int32_t *first, int32_t *last, const fathom__gguf *file, const fathom_model *model) {
    const char *path = fathom__gguf_path(file);
    int32_t n_layers = (int32_t)fathom_model_describe(model)->n_layers;
    *first = INT32_MAX;
    *last = -1;
    for (size_t i = 0; i < fathom__gguf_tensor_count(file); i++) {
        const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_at(file, i);
        int32_t layer = layer_of(tensor->name);
        if (layer < 1) {
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s, expected " PREFIX "1, " PREFIX "2, …", path,
                                tensor->name);
        }
        if (layer >= n_layers) {
            return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: tensor %s: the model has layers 0 to %d", path,
                                tensor->name, n_layers - 1);
        }
        *first = layer < *first ? layer : *first;
        *last = layer > *last ? layer : *last;
    }
    return *last >= 0 ? FATHOM_OK : fathom__fail(FATHOM_ERROR_FORMAT, "%s: has no tensor " PREFIX "N", path);
}

static int take_vector(struct fathom_direction *direction, const fathom__gguf *file,
                       const struct fathom__gguf_tensor *tensor) {
    const char *path = fathom__gguf_path(file);
    size_t place = (size_t)(layer_of(tensor->name) - direction->first_layer);
    float *vector = direction->vectors + place * direction->width;
    double squares = 0;
    if (tensor->shape[0] != (int64_t)direction->width || tensor->shape[1] * tensor->shape[2] * tensor->shape[3] != 1) {
        return fathom__fail(FATHOM_ERROR_MISMATCH, "%s: tensor %s has %lld values; the model's rows there are %zu wide",
                            path, tensor->name,
                            (long long)(tensor->shape[0] * tensor->shape[1] * tensor->shape[2] * tensor->shape[3]),
                            direction->width);
    }
    int status = fathom__gguf_rows_f32(vector, tensor, 0, 1);
    for (size_t i = 0; i < direction->width && status == FATHOM_OK; i++) {
        squares += (double)vector[i] * (double)vector[i];
    }
    if (status == FATHOM_OK && !isfinite(squares)) {
        return fathom__fail(FATHOM_ERROR_NUMERIC, "%s: tensor %s is not finite", path, tensor->name);
    }
    direction->lengths[place] = (float)sqrt(squares);
    for (size_t i = 0; i < direction->width && status == FATHOM_OK && squares > 0; i++) {
        vector[i] = (float)(vector[i] / sqrt(squares));
    }
    return status;
}

int fathom_direction_open_control_vector(struct fathom_direction *out, const fathom_model *model, const char *path) {
    struct fathom_direction direction = FATHOM_DIRECTION_INIT;
    fathom__gguf *file = NULL;
    int32_t first = 0;
    int32_t last = 0;
    int status = fathom__gguf_open(&file, path);
    if (status == FATHOM_OK) {
        status = check_keys(file, model);
    }
    if (status == FATHOM_OK) {
        status = find_range(&first, &last, file, model);
    }
    if (status == FATHOM_OK) {
        status = fathom__direction_start(&direction, model, FATHOM_HOOK_RESID_POST, first, last);
    }
    for (size_t i = 0; status == FATHOM_OK && i < fathom__gguf_tensor_count(file); i++) {
        status = take_vector(&direction, file, fathom__gguf_tensor_at(file, i));
    }
    if (file != NULL) {
        fathom__gguf_close(file);
    }
    if (status != FATHOM_OK) {
        fathom_direction_free(&direction);
        return status;
    }
    *out = direction;
    return FATHOM_OK;
}

int fathom_direction_write_control_vector(const struct fathom_direction *direction, const fathom_model *model,
                                          const char *path, float strength) {
    const int64_t shape[1] = {(int64_t)direction->width};
    size_t n_layers = fathom__direction_layers(direction);
    fathom__gguf_writer *writer = NULL;
    float *values = NULL;
    if (direction->kind != FATHOM_HOOK_RESID_POST || direction->first_layer < 1 || !isfinite(strength)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%s: control vectors act at resid_post of layers from 1 on, with a finite strength", path);
    }
    int status = fathom__alloc(&values, n_layers * direction->width, sizeof *values);
    if (status == FATHOM_OK) {
        status = fathom__gguf_writer_open(&writer);
    }
    if (status == FATHOM_OK) {
        status = fathom__gguf_put_string(writer, "general.architecture", ARCHITECTURE);
    }
    if (status == FATHOM_OK) {
        status =
            fathom__gguf_put_string(writer, ARCHITECTURE ".model_hint", fathom_model_describe(model)->architecture);
    }
    if (status == FATHOM_OK) {
        status = fathom__gguf_put_integer(writer, ARCHITECTURE ".layer_count", (uint32_t)n_layers);
    }
    for (size_t l = 0; l < n_layers && status == FATHOM_OK; l++) {
        char name[NAME_SIZE];
        float length = strength == 0 ? direction->lengths[l] : strength * direction->median_norms[l];
        float *vector = values + l * direction->width;
        for (size_t i = 0; i < direction->width; i++) {
            vector[i] = length * direction->vectors[l * direction->width + i];
        }
        snprintf(name, sizeof name, PREFIX "%d", direction->first_layer + (int32_t)l);
        status = fathom__gguf_put_tensor(writer, name, GGML_TYPE_F32, shape, 1, vector);
    }
    if (status == FATHOM_OK) {
        status = fathom__gguf_writer_commit(writer, path);
    }
    if (writer != NULL) {
        fathom__gguf_writer_close(writer);
    }
    fathom_free(values);
    return status;
}
