/* Writing .npz. */
#include "base/error.h"
#include "base/npz.h"
#include "base/zip_write.h"

enum { HEADER_ALIGNMENT = 64, MAGIC_LENGTH = 10, HEADER_LIMIT = 1 << 12 };

/* The array's header, with spaces that bring the data to a multiple of 64. */
static int describe(struct fathom__buffer *out, const struct fathom__tensor *tensor) {
    struct fathom__buffer text = FATHOM__BUFFER_INIT(HEADER_LIMIT);
    int status = fathom__buffer_text(&text, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (size_t i = 0; i < tensor->n_dimensions && !status; i++)
        status = fathom__buffer_format(&text, i + 1 < tensor->n_dimensions ? "%zu, " : "%zu", tensor->shape[i]);
    if (!status) status = fathom__buffer_text(&text, tensor->n_dimensions == 1 ? ",), }" : "), }");
    while (!status && (MAGIC_LENGTH + text.length + 1) % HEADER_ALIGNMENT != 0)
        status = fathom__buffer_text(&text, " ");
    if (!status) status = fathom__buffer_text(&text, "\n");
    const unsigned char start[MAGIC_LENGTH] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)text.length, (unsigned char)(text.length >> 8)};
    if (!status) status = fathom__buffer_append(out, start, sizeof start);
    if (!status) status = fathom__buffer_append(out, text.bytes, text.length);
    fathom__buffer_free(&text);
    return status;
}

static int write_member(struct fathom__zip_writer *zip, const struct fathom__tensor *tensor) {
    struct fathom__buffer header = FATHOM__BUFFER_INIT(HEADER_LIMIT), name = FATHOM__BUFFER_INIT(HEADER_LIMIT);
    int status = describe(&header, tensor);
    if (!status) status = fathom__buffer_format(&name, "%s.npy", tensor->name);
    const struct fathom__zip_part parts[] = {{header.bytes, header.length}, {tensor->data, tensor->bytes}};
    if (!status) status = fathom__zip_write_member(zip, name.bytes, parts, 2);
    fathom__buffer_free(&header);
    fathom__buffer_free(&name);
    return status;
}

int fathom__npz_write(const char *path, const struct fathom__tensor *tensors, size_t n) {
    struct fathom__zip_writer zip;
    int status = fathom__zip_write_open(&zip, path);
    for (size_t i = 0; i < n && !status; i++) {
        if (tensors[i].dtype != FATHOM__F32)
            status = fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: array %s: f32 is expected", path, tensors[i].name);
        if (!status) status = write_member(&zip, &tensors[i]);
    }
    if (!status) status = fathom__zip_write_commit(&zip);
    fathom__zip_write_discard(&zip);
    return status;
}
