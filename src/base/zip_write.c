#include "base/zip_write.h"
#include "base/error.h"
#include <string.h>
#include <zlib.h>

enum { DIRECTORY_LIMIT = 1 << 20, VERSION_NEEDED = 20, LOCAL_HEADER = 30 };
#define DATE_1980 0x21 /* the first day that the format can say */

struct bytes {
    unsigned char data[64];
    size_t n;
};

static void put(struct bytes *bytes, uint32_t value, size_t width) {
    for (size_t i = 0; i < width; i++)
        bytes->data[bytes->n++] = (unsigned char)(value >> 8 * i);
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

int fathom__zip_write_open(struct fathom__zip_writer *out, const char *path) {
    *out = (struct fathom__zip_writer){.directory = FATHOM__BUFFER_INIT(DIRECTORY_LIMIT)};
    return fathom__writer_open(&out->writer, path);
}

int fathom__zip_write_member(struct fathom__zip_writer *zip, const char *name, const struct fathom__zip_part *parts,
                             size_t n_parts) {
    struct bytes local = {.n = 0}, entry = {.n = 0};
    const size_t name_length = strlen(name);
    uint64_t size = 0;
    uint32_t crc = (uint32_t)crc32(0, NULL, 0);
    for (size_t i = 0; i < n_parts; i++)
        size += parts[i].length;
    if (size + zip->at + LOCAL_HEADER + name_length > UINT32_MAX)
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: an archive of more than 4 GiB is not written", zip->writer.path);
    for (size_t i = 0; i < n_parts; i++)
        crc = (uint32_t)crc32_z(crc, parts[i].bytes, parts[i].length);
    put(&local, 0x04034b50, 4);
    put_common(&local, crc, (size_t)size, name_length);
    put(&entry, 0x02014b50, 4);
    put(&entry, VERSION_NEEDED, 2);
    put_common(&entry, crc, (size_t)size, name_length);
    put(&entry, 0, 2); /* comment */
    put(&entry, 0, 2); /* disk */
    put(&entry, 0, 2); /* internal attributes */
    put(&entry, 0, 4); /* external attributes */
    put(&entry, (uint32_t)zip->at, 4);
    int status = fathom__writer_write(&zip->writer, local.data, local.n);
    if (!status) status = fathom__writer_write(&zip->writer, name, name_length);
    for (size_t i = 0; i < n_parts && !status; i++)
        if (parts[i].length) status = fathom__writer_write(&zip->writer, parts[i].bytes, parts[i].length);
    if (!status) status = fathom__buffer_append(&zip->directory, entry.data, entry.n);
    if (!status) status = fathom__buffer_append(&zip->directory, name, name_length);
    zip->at += local.n + name_length + size;
    zip->n++;
    return status;
}

int fathom__zip_write_commit(struct fathom__zip_writer *zip) {
    struct bytes end = {.n = 0};
    int status = 0;
    if (zip->n > UINT16_MAX || zip->at + zip->directory.length > UINT32_MAX)
        return fathom__fail(FATHOM_ERROR_LIMIT, "%s: an archive of %zu members and %llu bytes is not written",
                            zip->writer.path, zip->n, (unsigned long long)zip->at);
    put(&end, 0x06054b50, 4);
    put(&end, 0, 4); /* disks */
    put(&end, (uint32_t)zip->n, 2);
    put(&end, (uint32_t)zip->n, 2);
    put(&end, (uint32_t)zip->directory.length, 4);
    put(&end, (uint32_t)zip->at, 4);
    put(&end, 0, 2); /* comment */
    if (zip->directory.length) status = fathom__writer_write(&zip->writer, zip->directory.bytes, zip->directory.length);
    if (!status) status = fathom__writer_write(&zip->writer, end.data, end.n);
    return status ? status : fathom__writer_commit(&zip->writer);
}

void fathom__zip_write_discard(struct fathom__zip_writer *zip) {
    fathom__writer_discard(&zip->writer);
    fathom__buffer_free(&zip->directory);
}
