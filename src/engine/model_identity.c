/* Which model this is: a hash over the tensors of its files, and of the adapters put onto it.
 *
 * Reading a whole file takes a while, so the hash is kept in the cache under the files' places, sizes and times of
 * change; that the weights are all finite is found out on the same pass and remembered with it.
 */
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "engine/model_parts.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The members of struct stat that macOS names otherwise. */
#ifdef __APPLE__
#define MODIFIED st_mtimespec
#define CHANGED st_ctimespec
#else
#define MODIFIED st_mtim
#define CHANGED st_ctim
#endif

#define CACHE_RECIPE "identity 1" /* changes when the hash or the checks made with it change */
#define CACHE_FILE_LIMIT 256
#define CACHE_FROM_BYTES ((uint64_t)16 << 20) /* smaller files are read as quickly as a mark in the cache */

static void add_text(fathom__hash *hash, const char *text) {
    fathom__hash_add(hash, text, strlen(text) + 1);
}

static int by_name(const void *left, const void *right) {
    const struct fathom__gguf_tensor *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

static int hash_tensors(char out[FATHOM_IDENTITY_SIZE], const struct fathom__model_files *files) {
    const struct fathom__gguf_tensor **tensors = NULL;
    fathom__hash *hash = NULL;
    size_t n = 0;
    for (size_t f = 0; f < files->n; f++)
        n += fathom__gguf_tensor_count(files->files[f]);
    int status = fathom__alloc(&tensors, n, sizeof *tensors);
    if (status == FATHOM_OK) status = fathom__hash_open(&hash);
    if (status != FATHOM_OK) goto done;
    n = 0;
    for (size_t f = 0; f < files->n; f++) {
        for (size_t i = 0; i < fathom__gguf_tensor_count(files->files[f]); i++) {
            tensors[n] = fathom__gguf_tensor_at(files->files[f], i);
            if (!fathom__model_tensor_finite(tensors[n])) {
                status = fathom__fail(FATHOM_ERROR_NUMERIC,
                                      "%s: tensor %s holds NaN or infinite weights, expected finite ones",
                                      files->paths[f], tensors[n]->name);
                goto done;
            }
            n++;
        }
    }
    qsort(tensors, n, sizeof *tensors, by_name);
    for (size_t i = 0; i < n; i++) {
        add_text(hash, tensors[i]->name);
        add_text(hash, ggml_type_name(tensors[i]->type));
        fathom__hash_add(hash, tensors[i]->shape, sizeof tensors[i]->shape);
        fathom__hash_add(hash, tensors[i]->data, tensors[i]->bytes);
    }
    fathom__hash_text(out, hash);
done:
    fathom__hash_close(hash);
    fathom_free(tensors);
    return status;
}

/* Where the cache keeps the identity of these files as they are now. */
static int cache_place(char **out, const struct fathom__model_files *files) {
    char name[FATHOM_IDENTITY_SIZE], *relative = NULL;
    fathom__hash *hash = NULL;
    int status = fathom__hash_open(&hash);
    if (status != FATHOM_OK) return status;
    add_text(hash, CACHE_RECIPE);
    for (size_t f = 0; f < files->n; f++) {
        struct stat file;
        char *place = realpath(files->paths[f], NULL);
        if (place == NULL || stat(place, &file) != 0) {
            free(place);
            fathom__hash_close(hash);
            return fathom__fail_errno(files->paths[f], "read");
        }
        const int64_t facts[] = {(int64_t)file.st_size,          (int64_t)file.st_ino,
                                 (int64_t)file.st_dev,           (int64_t)file.MODIFIED.tv_sec,
                                 (int64_t)file.MODIFIED.tv_nsec, (int64_t)file.CHANGED.tv_sec,
                                 (int64_t)file.CHANGED.tv_nsec};
        add_text(hash, place);
        fathom__hash_add(hash, facts, sizeof facts);
        free(place);
    }
    fathom__hash_text(name, hash);
    fathom__hash_close(hash);
    status = fathom__format(&relative, "identity/%s", name);
    if (status == FATHOM_OK) status = fathom__cache_path(out, relative);
    fathom_free(relative);
    return status;
}

static bool is_identity(const char *text) {
    if (strlen(text) != FATHOM_IDENTITY_SIZE - 1) return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (!isxdigit((unsigned char)*c) || isupper((unsigned char)*c)) return false;
    }
    return true;
}

int fathom__model_files_identity(char out[FATHOM_IDENTITY_SIZE], const struct fathom__model_files *files) {
    char *place = NULL, *kept = NULL;
    size_t length;
    uint64_t bytes = 0;
    for (size_t f = 0; f < files->n; f++) {
        for (size_t i = 0; i < fathom__gguf_tensor_count(files->files[f]); i++) {
            bytes += fathom__gguf_tensor_at(files->files[f], i)->bytes;
        }
    }
    /* A cache that cannot be read or written costs time and nothing else. */
    const bool cached = bytes >= CACHE_FROM_BYTES && cache_place(&place, files) == FATHOM_OK;
    if (cached && fathom__file_exists(place) &&
        fathom__file_read(&kept, &length, place, CACHE_FILE_LIMIT) == FATHOM_OK && is_identity(kept)) {
        memcpy(out, kept, FATHOM_IDENTITY_SIZE);
        fathom_free(kept);
        fathom_free(place);
        return FATHOM_OK;
    }
    const int status = hash_tensors(out, files);
    if (status == FATHOM_OK && cached) (void)fathom__file_write(place, out, FATHOM_IDENTITY_SIZE - 1);
    fathom_free(kept);
    fathom_free(place);
    return status;
}

/* Folds the adapters and their scales into an identity. */
static int add_adapters(char identity[FATHOM_IDENTITY_SIZE], const char (*adapters)[FATHOM_IDENTITY_SIZE],
                        const float *scales, size_t n) {
    fathom__hash *hash = NULL;
    if (n == 0) return FATHOM_OK;
    const int status = fathom__hash_open(&hash);
    if (status != FATHOM_OK) return status;
    add_text(hash, identity);
    for (size_t i = 0; i < n; i++) {
        add_text(hash, adapters[i]);
        fathom__hash_add(hash, &scales[i], sizeof scales[i]);
    }
    fathom__hash_text(identity, hash);
    fathom__hash_close(hash);
    return FATHOM_OK;
}

int fathom__model_identify(fathom_model *model) {
    struct fathom_model_info *info = &model->info;
    const char *source = NULL;
    int status = fathom__model_files_identity(info->identity, &model->files);
    if (status == FATHOM_OK)
        status = fathom__gguf_string(&source, model->files.files[0], FATHOM__KEY_SOURCE_IDENTITY, false);
    if (status != FATHOM_OK) return status;
    if (source != NULL && !is_identity(source)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: key %s is \"%.40s\", expected %d lower-case hex digits",
                            model->path, FATHOM__KEY_SOURCE_IDENTITY, source, FATHOM_IDENTITY_SIZE - 1);
    }
    memcpy(info->source_identity, source != NULL ? source : info->identity, FATHOM_IDENTITY_SIZE);
    status = add_adapters(info->identity, model->adapter_identities, model->adapter_scales, model->n_adapters);
    if (status == FATHOM_OK)
        status =
            add_adapters(info->source_identity, model->adapter_identities, model->adapter_scales, model->n_adapters);
    return status;
}
