/* The files of a model: one GGUF, or the parts of a split one. */
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/model_internal.h"
#include <limits.h>
#include <string.h>

#define MOST_PARTS 1000
#define KEY_SPLIT_NUMBER "split.no"
#define KEY_SPLIT_COUNT "split.count"
#define KEY_SPLIT_TENSORS "split.tensors.count"

/* The engine reads the part's number as u16 without asking for its type, and aborts on any other. */
static int check_part(const fathom__gguf *file, size_t number, size_t count) {
    const char *path = fathom__gguf_path(file);
    int64_t found;
    int status = fathom__gguf_integer(&found, file, KEY_SPLIT_NUMBER, 0, MOST_PARTS, true);
    if (status != FATHOM_OK) return status;
    if (fathom__gguf_key_type(file, KEY_SPLIT_NUMBER) != GGUF_TYPE_UINT16) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is of type %s, expected u16", path, KEY_SPLIT_NUMBER,
                            gguf_type_name(fathom__gguf_key_type(file, KEY_SPLIT_NUMBER)));
    }
    if ((size_t)found != number) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: this is part %d of %zu of a split model, expected part %zu%s",
                            path, (int)found + 1, count, number + 1, number == 0 ? " (open the first part)" : "");
    }
    return FATHOM_OK;
}

static int open_parts(struct fathom__model_files *files, size_t count) {
    char prefix[PATH_MAX], part[PATH_MAX];
    if (llama_split_prefix(prefix, sizeof prefix, files->paths[0], 0, (int)count) <= 0) {
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: the first of %zu parts, expected a name that ends in -00001-of-%05zu.gguf",
                            files->paths[0], count, count);
    }
    for (size_t i = 1; i < count; i++) {
        if (llama_split_path(part, sizeof part, prefix, (int)i, (int)count) <= 0) {
            return fathom__fail(FATHOM_ERROR_LIMIT, "%s: the name of part %zu is too long", files->paths[0], i + 1);
        }
        int status = fathom__copy_string(&files->paths[i], part);
        if (status != FATHOM_OK) return status;
        files->n = i + 1; /* what is closed on an error */
        status = fathom__gguf_open(&files->files[i], part);
        if (status == FATHOM_OK) status = check_part(files->files[i], i, count);
        if (status != FATHOM_OK) return status;
    }
    size_t tensors = 0;
    for (size_t i = 0; i < count; i++)
        tensors += fathom__gguf_tensor_count(files->files[i]);
    int64_t expected;
    const int status = fathom__gguf_integer(&expected, files->files[0], KEY_SPLIT_TENSORS, 0, INT32_MAX, true);
    if (status != FATHOM_OK) return status;
    if ((size_t)expected != tensors) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is %lld, but the %zu parts hold %zu tensors",
                            files->paths[0], KEY_SPLIT_TENSORS, (long long)expected, count, tensors);
    }
    return FATHOM_OK;
}

int fathom__model_files_open(struct fathom__model_files *out, const char *path) {
    struct fathom__model_files files = {0};
    fathom__gguf *first = NULL;
    int64_t count = 1;
    int status = fathom__gguf_open(&first, path);
    if (status != FATHOM_OK) return status;
    status = fathom__gguf_integer(&count, first, KEY_SPLIT_COUNT, 0, MOST_PARTS, false);
    if (status == FATHOM_OK && count > 1) status = check_part(first, 0, (size_t)count);
    if (count < 1) count = 1;
    if (status == FATHOM_OK) status = fathom__alloc(&files.files, (size_t)count, sizeof *files.files);
    if (status == FATHOM_OK) status = fathom__alloc(&files.paths, (size_t)count, sizeof *files.paths);
    if (status == FATHOM_OK) status = fathom__copy_string(&files.paths[0], path);
    if (status != FATHOM_OK) {
        fathom__gguf_close(first);
        goto failed;
    }
    files.files[0] = first;
    files.n = 1;
    if (count > 1) {
        status = open_parts(&files, (size_t)count);
        if (status != FATHOM_OK) goto failed;
    }
    *out = files;
    return FATHOM_OK;
failed:
    fathom__model_files_close(&files);
    return status;
}

void fathom__model_files_close(struct fathom__model_files *files) {
    for (size_t i = 0; i < files->n; i++)
        fathom__gguf_close(files->files[i]);
    for (size_t i = 0; i < files->n; i++)
        fathom_free(files->paths[i]);
    fathom_free(files->files);
    fathom_free(files->paths);
    *files = (struct fathom__model_files){0};
}

const struct fathom__gguf_tensor *fathom__model_files_find(const struct fathom__model_files *files, const char *name) {
    for (size_t i = 0; i < files->n; i++) {
        const struct fathom__gguf_tensor *tensor = fathom__gguf_tensor_find(files->files[i], name);
        if (tensor != NULL) return tensor;
    }
    return NULL;
}
