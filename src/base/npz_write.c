/* Writing .npz: members stored, one after another, then the directory. No zip64: members under 4 GiB. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/npz.h"
#include <string.h>
#include <zlib.h>

enum {
    DIRECTORY_LIMIT = 1 << 20,
    HEADER_ALIGNMENT = 64,
    MAGIC_LENGTH = 10,
    VERSION_NEEDED = 20,
    HEADER_LIMIT = 1 << 12
};
#define DATE_1980 0x21 /* the first day that the format can say */

struct bytes {
    unsigned char data[64];
    size_t n;
};

static void put(struct bytes *bytes, uint32_t value, size_t width) {
    for (size_t i = 0; i < width; i++)
        bytes->data[bytes->n++] = (unsigned char)(value >> 8 * i);
}

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

/* What a local header and a directory's entry have in common. */
static void put_common(struct bytes *bytes, uint32_t crc, size_t size, size_t name_length) {
    put(bytes, VERSION_NEEDED, 2);
    put(bytes, 0, 2); /* flags */
    put(bytes, 0, 2); /* stored */
    put(bytes, 0, 2); /* midnight */
    put(bytes, DATE_1980, 2);
    put(bytes, crc, 4);
    put(bytes, (uint32_t)size, 4);
    put(bytes, (uint32_t)size, 4);
    put(bytes, (uint32_t)name_length, 2);
    put(bytes, 0, 2); /* extra field */
}

static int write_member(struct fathom__writer *writer, struct fathom__buffer *directory, uint64_t *at,
                        const struct fathom__tensor *tensor) {
    struct fathom__buffer header = FATHOM__BUFFER_INIT(HEADER_LIMIT), name = FATHOM__BUFFER_INIT(HEADER_LIMIT);
    struct bytes local = {.n = 0}, entry = {.n = 0};
    int status = describe(&header, tensor);
    if (!status) status = fathom__buffer_format(&name, "%s.npy", tensor->name);
    const uint64_t size = (uint64_t)header.length + tensor->bytes;
    if (!status && size + *at > UINT32_MAX)
        status = fathom__fail(FATHOM_ERROR_LIMIT, "%s: an .npz of more than 4 GiB is not written", writer->path);
    if (!status) {
        const uint32_t crc = (uint32_t)crc32_z(crc32_z(crc32(0, NULL, 0), (const Bytef *)header.bytes, header.length),
                                               tensor->data, tensor->bytes);
        put(&local, 0x04034b50, 4);
        put_common(&local, crc, (size_t)size, name.length);
        put(&entry, 0x02014b50, 4);
        put(&entry, VERSION_NEEDED, 2);
        put_common(&entry, crc, (size_t)size, name.length);
        put(&entry, 0, 2); /* comment */
        put(&entry, 0, 2); /* disk */
        put(&entry, 0, 2); /* internal attributes */
        put(&entry, 0, 4); /* external attributes */
        put(&entry, (uint32_t)*at, 4);
        status = fathom__writer_write(writer, local.data, local.n);
    }
    if (!status) status = fathom__writer_write(writer, name.bytes, name.length);
    if (!status) status = fathom__writer_write(writer, header.bytes, header.length);
    if (!status) status = fathom__writer_write(writer, tensor->data, tensor->bytes);
    if (!status) status = fathom__buffer_append(directory, entry.data, entry.n);
    if (!status) status = fathom__buffer_append(directory, name.bytes, name.length);
    *at += local.n + name.length + size;
    fathom__buffer_free(&header);
    fathom__buffer_free(&name);
    return status;
}

int fathom__npz_write(const char *path, const struct fathom__tensor *tensors, size_t n) {
    struct fathom__writer writer;
    struct fathom__buffer directory = FATHOM__BUFFER_INIT(DIRECTORY_LIMIT);
    struct bytes end = {.n = 0};
    uint64_t at = 0;
    int status = fathom__writer_open(&writer, path);
    if (status) return status;
    for (size_t i = 0; i < n && !status; i++) {
        if (tensors[i].dtype != FATHOM__F32)
            status = fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: array %s: f32 is expected", path, tensors[i].name);
        if (!status) status = write_member(&writer, &directory, &at, &tensors[i]);
    }
    put(&end, 0x06054b50, 4);
    put(&end, 0, 4); /* disks */
    put(&end, (uint32_t)n, 2);
    put(&end, (uint32_t)n, 2);
    put(&end, (uint32_t)directory.length, 4);
    put(&end, (uint32_t)at, 4);
    put(&end, 0, 2); /* comment */
    if (!status && directory.length) status = fathom__writer_write(&writer, directory.bytes, directory.length);
    if (!status) status = fathom__writer_write(&writer, end.data, end.n);
    if (!status) status = fathom__writer_commit(&writer);
    fathom__writer_discard(&writer);
    fathom__buffer_free(&directory);
    return status;
}
