/* The arrays' format: NumPy's numpy.lib.format, versions 1 to 3: a magic, the length of a header, and the header, which
 * is a Python dict of 'descr', 'fortran_order' and 'shape'. Only what NumPy itself writes there is read. */
#include "base/npz.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/zip.h"
#include <string.h>

#define MAGIC "\x93NUMPY"
/* After the magic: the version, then the header's length in two bytes, of versions over 1 in four. */
enum { VERSION_AT = 6, LENGTH_AT = 8, SHORT_START = 10, LONG_START = 12, LAST_VERSION = 3 };

struct fathom__npz {
    fathom__zip *zip;
    struct fathom__tensor *tensors; /* names and packed data are owned */
    void **packed;
    size_t n;
};

/* A place in a header. Skipping spaces is left to every reader. */
struct text {
    const char *at, *end;
};

static void skip_spaces(struct text *text) {
    while (text->at < text->end && (*text->at == ' ' || *text->at == '\n'))
        text->at++;
}

static bool take(struct text *text, const char *expected) {
    const size_t length = strlen(expected);
    skip_spaces(text);
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, expected, length) != 0) return false;
    text->at += length;
    return true;
}

static bool take_quoted(char *out, size_t room, struct text *text) {
    size_t length = 0;
    skip_spaces(text);
    if (!take(text, "'")) return false;
    while (text->at < text->end && *text->at != '\'' && length + 1 < room)
        out[length++] = *text->at++;
    out[length] = 0;
    return take(text, "'");
}

static bool take_number(size_t *out, struct text *text) {
    size_t value = 0, digits = 0;
    skip_spaces(text);
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++, digits++) {
        if (value > (PTRDIFF_MAX - 9) / 10) return false;
        value = value * 10 + (size_t)(*text->at - '0');
    }
    *out = value;
    return digits > 0;
}

static bool take_shape(struct fathom__tensor *tensor, struct text *text) {
    tensor->n_dimensions = 0;
    if (!take(text, "(")) return false;
    while (!take(text, ")")) {
        if (tensor->n_dimensions == FATHOM__TENSOR_DIMENSIONS) return false;
        if (!take_number(&tensor->shape[tensor->n_dimensions++], text)) return false;
        if (!take(text, ",")) return take(text, ")");
    }
    return true;
}

enum { DESCRIPTION_ROOM = 16 };

static bool read_header(struct fathom__tensor *tensor, char *description, bool *fortran, struct text text) {
    bool seen[3] = {false, false, false};
    if (!take(&text, "{")) return false;
    while (!take(&text, "}")) {
        char key[DESCRIPTION_ROOM];
        if (!take_quoted(key, sizeof key, &text) || !take(&text, ":")) return false;
        if (strcmp(key, "descr") == 0) {
            if (!take_quoted(description, DESCRIPTION_ROOM, &text)) return false;
            seen[0] = true;
        } else if (strcmp(key, "fortran_order") == 0) {
            *fortran = take(&text, "True");
            if (!*fortran && !take(&text, "False")) return false;
            seen[1] = true;
        } else if (strcmp(key, "shape") == 0) {
            if (!take_shape(tensor, &text)) return false;
            seen[2] = true;
        } else {
            return false;
        }
        if (!take(&text, ",") && (skip_spaces(&text), text.at >= text.end || *text.at != '}')) return false;
    }
    return seen[0] && seen[1] && seen[2];
}

static bool find_dtype(enum fathom__dtype *out, const char *description) {
    static const struct {
        const char *description;
        enum fathom__dtype dtype;
    } types[] = {{"<f4", FATHOM__F32}, {"<f2", FATHOM__F16}, {"<f8", FATHOM__F64}, {"<i4", FATHOM__I32},
                 {"<i8", FATHOM__I64}, {"|u1", FATHOM__U8},  {"|b1", FATHOM__U8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].description, description) != 0) continue;
        *out = types[i].dtype;
        return true;
    }
    return false;
}

static int bad(const fathom__npz *file, const struct fathom__tensor *tensor, const char *what) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: array %s: %s", fathom__zip_path(file->zip), tensor->name, what);
}

static int read_array(fathom__npz *file, size_t index, const unsigned char *bytes, size_t length) {
    struct fathom__tensor *tensor = &file->tensors[index];
    char description[DESCRIPTION_ROOM] = "";
    bool fortran = false;
    const unsigned version = length < LONG_START ? 0 : bytes[VERSION_AT];
    if (version < 1 || version > LAST_VERSION || memcmp(bytes, MAGIC, VERSION_AT) != 0)
        return bad(file, tensor, "not NumPy's format, version 1 to 3");
    const size_t start = version == 1 ? SHORT_START : LONG_START;
    size_t header = 0;
    for (size_t i = LENGTH_AT; i < start; i++)
        header |= (size_t)bytes[i] << 8 * (i - LENGTH_AT);
    if (header > length - start) return bad(file, tensor, "its header is longer than the member");
    const char *text = (const char *)bytes + start;
    if (!read_header(tensor, description, &fortran, (struct text){text, text + header}))
        return bad(file, tensor, "its header is not a dict of 'descr', 'fortran_order' and 'shape'");
    if (!find_dtype(&tensor->dtype, description))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: array %s: type '%s'; <f4, <f2, <f8, <i4, <i8, |u1 and |b1 are read",
                            fathom__zip_path(file->zip), tensor->name, description);
    if (!fathom__tensor_bytes(&tensor->bytes, tensor->dtype, tensor->shape, tensor->n_dimensions) ||
        tensor->bytes != length - start - header)
        return bad(file, tensor, "its shape does not fit the bytes that follow");
    tensor->data = bytes + start + header;
    if (!fortran || tensor->n_dimensions < 2) return FATHOM_OK;
    size_t strides[FATHOM__TENSOR_DIMENSIONS], step = 1;
    for (size_t i = 0; i < tensor->n_dimensions; i++) {
        strides[i] = step;
        step *= tensor->shape[i];
    }
    int status = fathom__tensor_pack(&file->packed[index], tensor->data, tensor->dtype, tensor->shape, strides,
                                     tensor->n_dimensions);
    tensor->data = file->packed[index];
    return status;
}

static int read_members(fathom__npz *file) {
    static const char ending[] = ".npy";
    const size_t n = fathom__zip_count(file->zip);
    int status = fathom__alloc(&file->tensors, n, sizeof *file->tensors);
    if (!status) status = fathom__alloc(&file->packed, n, sizeof *file->packed);
    for (size_t i = 0; i < n && !status; i++) {
        const char *name = fathom__zip_name(file->zip, i);
        const size_t length = strlen(name), stem = length - strlen(ending);
        const unsigned char *bytes = NULL;
        size_t size = 0;
        if (length < strlen(ending) || strcmp(name + stem, ending) != 0) continue;
        char *copy = NULL;
        status = fathom__copy_bytes(&copy, name, stem);
        file->tensors[file->n].name = copy;
        if (!status) status = fathom__zip_bytes(&bytes, &size, file->zip, i);
        if (!status) status = read_array(file, file->n, bytes, size);
        file->n++;
    }
    return status;
}

int fathom__npz_open(fathom__npz **out, const char *path) {
    fathom__npz *file = NULL;
    int status = fathom__alloc(&file, 1, sizeof *file);
    if (status) return status;
    status = fathom__zip_open(&file->zip, path);
    if (!status) status = read_members(file);
    if (status)
        fathom__npz_close(file);
    else
        *out = file;
    return status;
}

void fathom__npz_close(fathom__npz *file) {
    if (!file) return;
    for (size_t i = 0; i < file->n; i++) {
        fathom_free((void *)(uintptr_t)file->tensors[i].name);
        fathom_free(file->packed[i]);
    }
    fathom_free(file->packed);
    fathom_free(file->tensors);
    fathom__zip_close(file->zip);
    fathom_free(file);
}

size_t fathom__npz_count(const fathom__npz *file) {
    return file->n;
}

const struct fathom__tensor *fathom__npz_at(const fathom__npz *file, size_t index) {
    return &file->tensors[index];
}

const struct fathom__tensor *fathom__npz_find(const fathom__npz *file, const char *name) {
    for (size_t i = 0; i < file->n; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}
