#include "base/torch_file.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/pickle.h"
#include "base/zip.h"
#include <string.h>

#define PICKLE_MEMBER "/data.pkl"
/* Descriptions of tensors are some hundred bytes each; what is read of a pickle takes many times its own length. */
#define PICKLE_LIMIT ((size_t)1 << 24)

struct fathom__torch {
    char *path;
    fathom__zip *zip;
    fathom__pickle *pickle;
    struct fathom__tensor *tensors;
    void **packed;
    size_t n;
};

/* The folder in the archive that everything lies in, such as "archive": what stands before "/data.pkl". */
static int find_pickle(size_t *index, char **folder, const fathom__torch *file) {
    for (size_t i = 0; i < fathom__zip_count(file->zip); i++) {
        const char *name = fathom__zip_name(file->zip, i), *at = strstr(name, PICKLE_MEMBER);
        if (!at || strcmp(at, PICKLE_MEMBER) != 0 || memchr(name, '/', (size_t)(at - name))) continue;
        *index = i;
        return fathom__copy_bytes(folder, name, (size_t)(at - name));
    }
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: not a file of torch.save: it has no data.pkl", file->path);
}

static int member(const unsigned char **bytes, size_t *length, const fathom__torch *file, const char *folder,
                  const char *part, const char *name, bool required) {
    char *whole = NULL;
    int status = fathom__format(&whole, "%s/%s%s", folder, part, name);
    if (status) return status;
    const size_t index = fathom__zip_find(file->zip, whole);
    if (index != SIZE_MAX)
        status = fathom__zip_bytes(bytes, length, file->zip, index);
    else if (required)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: the storage %s is missing", file->path, whole);
    fathom_free(whole);
    return status;
}

static int check_byte_order(const fathom__torch *file, const char *folder) {
    static const char little[] = "little";
    const unsigned char *bytes = NULL;
    size_t length = 0;
    int status = member(&bytes, &length, file, folder, "", "byteorder", false);
    if (status || !bytes) return status;
    if (length == strlen(little) && memcmp(bytes, little, length) == 0) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: its byte order is not little-endian", file->path);
}

static int read_tensor(fathom__torch *file, const char *folder, const struct fathom__pickled_entry *entry) {
    const struct fathom__pickled_tensor *pickled = &entry->tensor;
    const size_t size = fathom__dtype_size(pickled->dtype), nd = pickled->n_dimensions;
    const unsigned char *bytes = NULL;
    size_t length = 0, step = 1;
    bool contiguous = true;
    int status = member(&bytes, &length, file, folder, "data/", pickled->storage, true);
    if (status) return status;
    if (pickled->storage_elements > length / size)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: tensor %s: its storage has %zu bytes, %zu elements are said",
                            file->path, entry->name, length, pickled->storage_elements);
    struct fathom__tensor *tensor = &file->tensors[file->n];
    *tensor = (struct fathom__tensor){.name = entry->name, .dtype = pickled->dtype, .n_dimensions = nd};
    memcpy(tensor->shape, pickled->shape, sizeof tensor->shape);
    if (!fathom__tensor_bytes(&tensor->bytes, tensor->dtype, tensor->shape, nd)) return fathom__fail_memory(SIZE_MAX);
    tensor->data = bytes + pickled->offset * size;
    for (size_t i = nd; i-- > 0;) {
        contiguous &= pickled->shape[i] == 1 || pickled->strides[i] == step;
        step *= pickled->shape[i];
    }
    if (!contiguous && tensor->bytes > 0) {
        status = fathom__tensor_pack(&file->packed[file->n], tensor->data, tensor->dtype, tensor->shape,
                                     pickled->strides, nd);
        tensor->data = file->packed[file->n];
    }
    file->n++;
    return status;
}

static int read_all(fathom__torch *file) {
    char *folder = NULL;
    const unsigned char *bytes = NULL;
    struct fathom__zip_place place = {0};
    size_t index = 0, length = 0;
    int status = find_pickle(&index, &folder, file);
    if (!status) status = check_byte_order(file, folder);
    if (!status) status = fathom__zip_locate(&place, file->zip, index);
    if (!status && place.size > PICKLE_LIMIT)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "%s: its data.pkl has %zu bytes, at most %zu are read", file->path,
                              place.size, PICKLE_LIMIT);
    if (!status) status = fathom__zip_bytes(&bytes, &length, file->zip, index);
    if (!status) status = fathom__pickle_read(&file->pickle, bytes, length, file->path);
    const size_t n = file->pickle ? fathom__pickle_count(file->pickle) : 0;
    if (!status) status = fathom__alloc(&file->tensors, n, sizeof *file->tensors);
    if (!status) status = fathom__alloc(&file->packed, n, sizeof *file->packed);
    for (size_t i = 0; i < n && !status; i++) {
        const struct fathom__pickled_entry *entry = fathom__pickle_at(file->pickle, i);
        if (entry->kind == FATHOM__PICKLED_TENSOR) status = read_tensor(file, folder, entry);
    }
    fathom_free(folder);
    return status;
}

int fathom__torch_open(fathom__torch **out, const char *path) {
    fathom__torch *file = NULL;
    int status = fathom__alloc(&file, 1, sizeof *file);
    if (status) return status;
    status = fathom__copy_string(&file->path, path);
    if (!status) status = fathom__zip_open(&file->zip, path);
    if (!status) status = read_all(file);
    if (status)
        fathom__torch_close(file);
    else
        *out = file;
    return status;
}

void fathom__torch_close(fathom__torch *file) {
    if (!file) return;
    for (size_t i = 0; i < file->n; i++)
        fathom_free(file->packed[i]);
    fathom_free(file->packed);
    fathom_free(file->tensors);
    fathom__pickle_close(file->pickle);
    fathom__zip_close(file->zip);
    fathom_free(file->path);
    fathom_free(file);
}

size_t fathom__torch_count(const fathom__torch *file) {
    return file->n;
}

const struct fathom__tensor *fathom__torch_at(const fathom__torch *file, size_t index) {
    return &file->tensors[index];
}

const struct fathom__tensor *fathom__torch_find(const fathom__torch *file, const char *name) {
    for (size_t i = 0; i < file->n; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

static const struct fathom__pickled_entry *find_entry(const fathom__torch *file, const char *name) {
    for (size_t i = 0; i < fathom__pickle_count(file->pickle); i++)
        if (strcmp(fathom__pickle_at(file->pickle, i)->name, name) == 0) return fathom__pickle_at(file->pickle, i);
    return NULL;
}

static int missing(const fathom__torch *file, const char *name, bool required) {
    return required ? fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s is missing", file->path, name) : FATHOM_OK;
}

int fathom__torch_text(const char **out, const fathom__torch *file, const char *name, bool required) {
    const struct fathom__pickled_entry *entry = find_entry(file, name);
    if (!entry) return missing(file, name, required);
    if (entry->kind != FATHOM__PICKLED_TEXT)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s: a text is expected", file->path, name);
    *out = entry->text;
    return FATHOM_OK;
}

int fathom__torch_integer(int64_t *out, const fathom__torch *file, const char *name, int64_t least, int64_t most,
                          bool required) {
    const struct fathom__pickled_entry *entry = find_entry(file, name);
    double value = 0;
    int status = FATHOM_OK;
    if (!entry) return missing(file, name, required);
    if (entry->kind == FATHOM__PICKLED_INTEGER)
        value = (double)entry->integer;
    else if (entry->kind == FATHOM__PICKLED_TENSOR)
        status = fathom__tensor_number(&value, fathom__torch_find(file, name), file->path);
    else
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s: an integer is expected", file->path, name);
    /* (double)most is 2^63 where most is the largest integer: one too many for the conversion. */
    if (!status &&
        !(value >= (double)least && value <= (double)most && value < 0x1p63 && value == (double)(int64_t)value))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: %s is %g; an integer from %lld to %lld is expected", file->path,
                              name, value, (long long)least, (long long)most);
    if (!status) *out = (int64_t)value;
    return status;
}
