/* Copies of models that learned nothing: every tensor's values in another order. */
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "engine/log.h"
#include "engine/model_parts.h"
#include <fathom/shuffle.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct shuffling {
    const struct fathom__model_files *files;
    struct fathom__random random;
    bool all;             /* or the tensors of these layers alone */
    uint32_t first, last; /* inclusive */
    size_t done, total;   /* tensors */
    fathom_progress_fn progress;
    void *payload;
};

/* Tables of the position's rotation are no weights. */
static bool is_shuffled(const struct shuffling *shuffling, const char *name) {
    uint32_t layer = 0;
    if (shuffling->all) return strncmp(name, "rope", strlen("rope")) != 0;
    return sscanf(name, "blk.%" SCNu32 ".", &layer) == 1 && layer >= shuffling->first && layer <= shuffling->last;
}

static enum ggml_type type_in_copy(const struct shuffling *shuffling, const struct fathom__gguf_tensor *tensor) {
    const bool is_vector = tensor->shape[1] * tensor->shape[2] * tensor->shape[3] == 1;
    return !is_shuffled(shuffling, tensor->name)        ? tensor->type
           : is_vector || tensor->type == GGML_TYPE_F32 ? GGML_TYPE_F32
                                                        : GGML_TYPE_BF16;
}

static void shuffle(float *values, size_t n, struct fathom__random *random) {
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)fathom__random_below(random, i);
        const float kept = values[i - 1];
        values[i - 1] = values[j];
        values[j] = kept;
    }
}

static int write_shuffled(struct fathom__writer *out, const struct fathom__gguf_tensor *copy, void *payload) {
    struct shuffling *shuffling = payload;
    const struct fathom__gguf_tensor *source = fathom__model_files_find(shuffling->files, copy->name);
    const int64_t rows = source->shape[1] * source->shape[2] * source->shape[3], n = source->shape[0] * rows;
    float *values = NULL;
    ggml_bf16_t *halves = NULL;
    if (!is_shuffled(shuffling, copy->name)) return fathom__writer_write(out, source->data, source->bytes);
    int status = fathom__alloc_aligned(&values, (size_t)n, sizeof *values);
    if (!status) status = fathom__gguf_rows_f32(values, source, 0, rows);
    if (!status) shuffle(values, (size_t)n, &shuffling->random);
    if (!status && copy->type == GGML_TYPE_BF16) {
        status = fathom__alloc_aligned(&halves, (size_t)n, sizeof *halves);
        if (!status) ggml_fp32_to_bf16_row(values, halves, n);
    }
    if (!status) status = fathom__writer_write(out, halves ? (const void *)halves : values, copy->bytes);
    fathom_free(values);
    fathom_free(halves);
    const struct fathom_progress progress = {.stage = "shuffle",
                                             .done = ++shuffling->done,
                                             .total = shuffling->total,
                                             .unit = "tensors",
                                             .seconds_left = -1};
    if (!status && shuffling->progress)
        status = fathom__callback_status(shuffling->progress(&progress, shuffling->payload));
    return status;
}

static int put_keys(fathom__gguf_writer *writer, const fathom__gguf *first, const struct shuffling *shuffling) {
    static const char *const dropped[] = {"split.no", "split.count", "split.tensors.count", FATHOM__KEY_SOURCE_IDENTITY,
                                          FATHOM__KEY_DERIVED_RECIPE};
    const char *name = "model";
    char *shuffled = NULL;
    int status = fathom__gguf_put_all(writer, first);
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
        fathom__gguf_remove(writer, dropped[i]);
    if (!status) status = fathom__gguf_string(&name, first, "general.name", false);
    if (!status && shuffling->all) status = fathom__format(&shuffled, "%s, weights shuffled", name);
    if (!status && !shuffling->all)
        status = fathom__format(&shuffled, "%s, weights of layers %" PRIu32 " to %" PRIu32 " shuffled", name,
                                shuffling->first, shuffling->last);
    if (!status) status = fathom__gguf_put_string(writer, "general.name", shuffled);
    if (!status && shuffling->all)
        status = fathom__gguf_put_integer(writer, "general.file_type", LLAMA_FTYPE_MOSTLY_BF16);
    fathom_free(shuffled);
    return status;
}

static int write_copy(struct shuffling *shuffling, const char *path) {
    const struct fathom__model_files *files = shuffling->files;
    fathom__gguf_writer *writer = NULL;
    int status = fathom__gguf_writer_open(&writer);
    if (status) return status;
    status = put_keys(writer, files->files[0], shuffling);
    for (size_t f = 0; f < files->n && !status; f++)
        for (size_t i = 0; i < fathom__gguf_tensor_count(files->files[f]) && !status; i++) {
            const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_at(files->files[f], i);
            shuffling->total++;
            status = fathom__gguf_put_made(writer, tensor->name, type_in_copy(shuffling, tensor), tensor->shape,
                                           fathom__gguf_dimensions(tensor), write_shuffled, shuffling);
        }
    if (!status) status = fathom__gguf_writer_commit(writer, path);
    fathom__gguf_writer_close(writer);
    return status;
}

/* Layers are what tensors are named for: a file need not say their number. */
static int check_layers(const struct shuffling *shuffling) {
    const struct fathom__model_files *files = shuffling->files;
    uint32_t n = 0;
    for (size_t f = 0; f < files->n; f++)
        for (size_t i = 0; i < fathom__gguf_tensor_count(files->files[f]); i++) {
            uint32_t layer = 0;
            const char *name = fathom__gguf_tensor_at(files->files[f], i)->name;
            if (sscanf(name, "blk.%" SCNu32 ".", &layer) == 1 && layer >= n && layer < UINT32_MAX) n = layer + 1;
        }
    if (shuffling->all || (shuffling->first <= shuffling->last && shuffling->last < n)) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_ARGUMENT,
                        "layers %" PRIu32 " to %" PRIu32 ": the model has %" PRIu32 " layers, from 0 on",
                        shuffling->first, shuffling->last, n);
}

static int shuffle_model(struct shuffling shuffling, const char *out_path, const char *path, uint64_t seed) {
    struct fathom__model_files files = {0};
    char *place = NULL;
    shuffling.files = &files;
    fathom__random_seed(&shuffling.random, seed);
    fathom__engine_start();
    int status = fathom__model_resolve(&place, path);
    if (!status) status = fathom__model_files_open(&files, place);
    if (!status) status = check_layers(&shuffling);
    if (!status) status = write_copy(&shuffling, out_path);
    fathom__model_files_close(&files);
    fathom_free(place);
    return status;
}

int fathom_model_shuffle(const char *out_path, const char *path, uint64_t seed, fathom_progress_fn progress,
                         void *payload) {
    const struct shuffling shuffling = {.all = true, .progress = progress, .payload = payload};
    return shuffle_model(shuffling, out_path, path, seed);
}

int fathom_model_shuffle_layers(const char *out_path, const char *path, uint32_t first_layer, uint32_t last_layer,
                                uint64_t seed, fathom_progress_fn progress, void *payload) {
    const struct shuffling shuffling = {
        .first = first_layer, .last = last_layer, .progress = progress, .payload = payload};
    return shuffle_model(shuffling, out_path, path, seed);
}
