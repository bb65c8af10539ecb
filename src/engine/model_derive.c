/* Derived copies: the layers' matrices as bf16, and only as many layers as are needed. */
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/log.h"
#include "engine/model_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE 256
#define KEYS_SHOWN 8                    /* digits of the keys' hash in a copy's name */
#define CHUNK_VALUES ((int64_t)1 << 18) /* values converted at a time */
#define SECONDS_BETWEEN_REPORTS 0.25

/* One copy being made. */
struct derivation {
    const struct fathom__model_files *files;
    const struct fathom__model_shape *shape;
    const char *path;
    uint32_t keep_layers; /* 0: all */
    fathom_progress_fn progress;
    void *payload;
    uint64_t done, total; /* bytes of the copy's tensors */
    double started, reported;
};

static int report(struct derivation *derivation, size_t bytes) {
    derivation->done += bytes;
    const double now = fathom__seconds();
    if (derivation->progress == NULL || now - derivation->reported < SECONDS_BETWEEN_REPORTS) return FATHOM_OK;
    derivation->reported = now;
    const double seconds = now - derivation->started;
    const double rate = seconds > 0 ? (double)derivation->done / seconds : 0;
    const struct fathom_progress progress = {
        .stage = "derive",
        .done = derivation->done,
        .total = derivation->total,
        .unit = "bytes",
        .units_per_second = rate,
        .seconds_left = rate > 0 ? (double)(derivation->total - derivation->done) / rate : -1,
    };
    const int returned = derivation->progress(&progress, derivation->payload);
    if (returned == 0) return FATHOM_OK;
    const int status = fathom__callback_status(returned);
    return status == FATHOM_ERROR_STOPPED ? fathom__fail(status, "%s: making a copy was stopped", derivation->path)
                                          : status;
}

/* The layer of "blk.N.…", or -1. */
static long layer_of(const char *name) {
    if (strncmp(name, "blk.", strlen("blk.")) != 0) return -1;
    char *end;
    const long layer = strtol(name + strlen("blk."), &end, 10);
    return *end == '.' ? layer : -1;
}

static bool is_kept(const struct derivation *derivation, const struct fathom__gguf_tensor *tensor) {
    if (derivation->keep_layers == 0) return true;
    /* A copy without its last layers predicts nothing: the unembedding stays only where the engine insists on one of
     * its own. */
    if (strncmp(tensor->name, "output.", strlen("output.")) == 0)
        return derivation->shape->architecture == FATHOM__ARCH_GPTNEOX;
    return layer_of(tensor->name) < (long)derivation->keep_layers;
}

/* Matrices of layers become bf16, vectors f32. Embedding and unembedding stay as they are: the one is looked up, not
 * multiplied. */
static enum ggml_type type_in_copy(const struct fathom__gguf_tensor *tensor) {
    if (tensor->shape[1] * tensor->shape[2] * tensor->shape[3] == 1) return GGML_TYPE_F32;
    return layer_of(tensor->name) < 0 ? tensor->type : GGML_TYPE_BF16;
}

static int convert(struct fathom__writer *out, const struct fathom__gguf_tensor *copy, void *payload) {
    struct derivation *derivation = payload;
    const struct fathom__gguf_tensor *source = fathom__model_files_find(derivation->files, copy->name);
    const int64_t width = source->shape[0], rows = source->shape[1] * source->shape[2] * source->shape[3];
    int64_t step = CHUNK_VALUES / width;
    float *values = NULL;
    ggml_bf16_t *halves = NULL;
    if (copy->type == source->type) {
        const int status = fathom__writer_write(out, source->data, source->bytes);
        return status == FATHOM_OK ? report(derivation, source->bytes) : status;
    }
    if (step < 1) step = 1;
    if (step > rows) step = rows;
    int status = fathom__alloc_aligned(&values, (size_t)(step * width), sizeof *values);
    if (status == FATHOM_OK) status = fathom__alloc_aligned(&halves, (size_t)(step * width), sizeof *halves);
    for (int64_t row = 0; status == FATHOM_OK && row < rows; row += step) {
        const int64_t n = rows - row < step ? rows - row : step;
        const size_t bytes = (size_t)(n * width) * ggml_type_size(copy->type);
        status = fathom__gguf_rows_f32(values, source, row, n);
        if (status != FATHOM_OK) break;
        if (copy->type == GGML_TYPE_BF16) ggml_fp32_to_bf16_row(values, halves, n * width);
        status = fathom__writer_write(out, copy->type == GGML_TYPE_BF16 ? (const void *)halves : values, bytes);
        if (status == FATHOM_OK) status = report(derivation, bytes);
    }
    fathom_free(values);
    fathom_free(halves);
    return status;
}

/* The keys that hold one value for each layer. */
static int trim_array(fathom__gguf_writer *writer, const struct derivation *derivation, const char *name) {
    struct fathom__gguf_array array = {0};
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "%s.%s", derivation->shape->architecture_name, name);
    const fathom__gguf *first = derivation->files->files[0];
    if (fathom__gguf_key_type(first, key) != GGUF_TYPE_ARRAY) return FATHOM_OK;
    const int status = fathom__gguf_array(&array, first, key, true);
    if (status != FATHOM_OK || array.n <= derivation->keep_layers) return status;
    return fathom__gguf_put_array(writer, key, array.type, array.data, derivation->keep_layers);
}

static int put_keys(fathom__gguf_writer *writer, const struct derivation *derivation, const char *source,
                    const char *recipe) {
    static const char *const split_keys[] = {"split.no", "split.count", "split.tensors.count"};
    static const char *const layer_keys[] = {"feed_forward_length", "attention.head_count", "attention.head_count_kv",
                                             "attention.sliding_window_pattern"};
    char key[KEY_SIZE];
    int status = fathom__gguf_put_all(writer, derivation->files->files[0]);
    for (size_t i = 0; i < sizeof split_keys / sizeof split_keys[0]; i++)
        fathom__gguf_remove(writer, split_keys[i]);
    if (status == FATHOM_OK) status = fathom__gguf_put_integer(writer, "general.file_type", LLAMA_FTYPE_MOSTLY_BF16);
    if (status == FATHOM_OK) status = fathom__gguf_put_string(writer, FATHOM__KEY_SOURCE_IDENTITY, source);
    if (status == FATHOM_OK) status = fathom__gguf_put_string(writer, FATHOM__KEY_DERIVED_RECIPE, recipe);
    if (derivation->keep_layers == 0 || status != FATHOM_OK) return status;
    snprintf(key, sizeof key, "%s.block_count", derivation->shape->architecture_name);
    status = fathom__gguf_put_integer(writer, key, derivation->keep_layers);
    for (size_t i = 0; status == FATHOM_OK && i < sizeof layer_keys / sizeof layer_keys[0]; i++) {
        status = trim_array(writer, derivation, layer_keys[i]);
    }
    return status;
}

static int write_copy(struct derivation *derivation, const char *copy, const char *source, const char *recipe) {
    fathom__gguf_writer *writer = NULL;
    int status = fathom__gguf_writer_open(&writer);
    if (status != FATHOM_OK) return status;
    status = put_keys(writer, derivation, source, recipe);
    for (size_t f = 0; status == FATHOM_OK && f < derivation->files->n; f++) {
        const fathom__gguf *file = derivation->files->files[f];
        for (size_t i = 0; status == FATHOM_OK && i < fathom__gguf_tensor_count(file); i++) {
            const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_at(file, i);
            if (!is_kept(derivation, tensor)) continue;
            const enum ggml_type type = type_in_copy(tensor);
            derivation->total += ggml_row_size(type, tensor->shape[0]) *
                                 (uint64_t)(tensor->shape[1] * tensor->shape[2] * tensor->shape[3]);
            status = fathom__gguf_put_made(writer, tensor->name, type, tensor->shape, fathom__gguf_dimensions(tensor),
                                           convert, derivation);
        }
    }
    if (status == FATHOM_OK) status = fathom__gguf_writer_commit(writer, copy);
    fathom__gguf_writer_close(writer);
    return status;
}

/* The largest Gemmas scale their attention by d_model / n_heads, and the engine tells them by their number of layers.
 */
static bool layers_decide_scale(const struct fathom__model_shape *shape) {
    enum { GEMMA2_27B_LAYERS = 46, GEMMA3_27B_LAYERS = 62 };
    return (shape->architecture == FATHOM__ARCH_GEMMA2 && shape->n_layers == GEMMA2_27B_LAYERS) ||
           (shape->architecture == FATHOM__ARCH_GEMMA3 && shape->n_layers == GEMMA3_27B_LAYERS);
}

static int check_layers(struct derivation *derivation) {
    const struct fathom__model_shape *shape = derivation->shape;
    if (derivation->keep_layers == 0) return FATHOM_OK;
    if (derivation->keep_layers > shape->n_layers && shape->n_layers > 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: %u layers to keep, expected at most %u", derivation->path,
                            derivation->keep_layers, shape->n_layers);
    }
    if (derivation->keep_layers == shape->n_layers) {
        derivation->keep_layers = 0;
        return FATHOM_OK;
    }
    if (shape->architecture == FATHOM__ARCH_OTHER || layers_decide_scale(shape)) {
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: layers of a %s model with %u layers cannot be left out",
                            derivation->path, shape->architecture_name, shape->n_layers);
    }
    return FATHOM_OK;
}

/* Whether a copy would differ from its source. */
static bool changes_anything(const struct derivation *derivation) {
    if (derivation->keep_layers > 0) return true;
    for (size_t f = 0; f < derivation->files->n; f++) {
        const fathom__gguf *file = derivation->files->files[f];
        for (size_t i = 0; i < fathom__gguf_tensor_count(file); i++) {
            const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_at(file, i);
            if (type_in_copy(tensor) != tensor->type) return true;
        }
    }
    return false;
}

static int find_or_write(char **out, struct derivation *derivation) {
    char identity[FATHOM_IDENTITY_SIZE], keys[FATHOM_IDENTITY_SIZE], recipe[KEY_SIZE], *name = NULL, *copy = NULL;
    const char *source = identity;
    int status = fathom__model_files_identity(identity, derivation->files);
    /* The same tensors come under other keys too, such as a repaired tokenizer's: their copies are others. */
    if (status == FATHOM_OK) status = fathom__gguf_hash_keys(keys, derivation->files->files[0]);
    if (status == FATHOM_OK)
        status = fathom__gguf_string(&source, derivation->files->files[0], FATHOM__KEY_SOURCE_IDENTITY, false);
    if (status != FATHOM_OK) return status;
    if (derivation->keep_layers == 0) {
        snprintf(recipe, sizeof recipe, "bf16");
    } else {
        snprintf(recipe, sizeof recipe, "bf16-layers%u", derivation->keep_layers);
    }
    status = fathom__format(&name, "derived/%s-%.*s-%s.gguf", identity, KEYS_SHOWN, keys, recipe);
    if (status == FATHOM_OK) status = fathom__cache_path(&copy, name);
    if (status == FATHOM_OK && !fathom__file_exists(copy)) status = write_copy(derivation, copy, source, recipe);
    fathom_free(name);
    if (status != FATHOM_OK) {
        fathom_free(copy);
        return status;
    }
    *out = copy;
    return FATHOM_OK;
}

int fathom_model_derive(char **out_path, const char *path, uint32_t keep_layers, fathom_progress_fn progress,
                        void *payload) {
    struct fathom__model_files files = {0};
    struct fathom__model_shape shape;
    struct derivation derivation = {
        .files = &files, .shape = &shape, .keep_layers = keep_layers, .progress = progress, .payload = payload};
    char *place = NULL;
    fathom__engine_start();
    int status = fathom__model_resolve(&place, path);
    if (status == FATHOM_OK) status = fathom__model_files_open(&files, place);
    if (status == FATHOM_OK) status = fathom__model_read_shape(&shape, &files);
    derivation.path = place;
    derivation.started = fathom__seconds();
    derivation.reported = derivation.started - SECONDS_BETWEEN_REPORTS; /* the first chunk is reported */
    if (status == FATHOM_OK) status = check_layers(&derivation);
    if (status == FATHOM_OK) {
        if (changes_anything(&derivation)) {
            status = find_or_write(out_path, &derivation);
        } else {
            status = fathom__copy_string(out_path, place);
        }
    }
    fathom__model_files_close(&files);
    fathom_free(place);
    return status;
}
