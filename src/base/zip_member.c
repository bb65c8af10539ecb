#include "base/zip_member.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/zip.h"
#include <zlib.h>

enum { CHUNK = 1 << 16 };

/* Chunk by chunk: members of wheels are as large as models. */
static int inflate_to(struct fathom__writer *out, const struct fathom__zip_place *place, const char *path,
                      const char *name) {
    z_stream stream = {0};
    unsigned char *chunk = NULL;
    uLong crc = crc32(0, NULL, 0);
    size_t written = 0, taken = 0;
    int status = fathom__alloc(&chunk, CHUNK, 1);
    if (status != FATHOM_OK) return status;
    /* A negative window means a raw stream, as zip has it. */
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        fathom_free(chunk);
        return fathom__fail_memory(CHUNK);
    }
    int state = Z_OK;
    while (status == FATHOM_OK && state == Z_OK) {
        const size_t in = place->packed - taken < CHUNK ? place->packed - taken : CHUNK;
        stream.next_in = (Bytef *)(uintptr_t)(place->bytes + taken);
        stream.avail_in = (uInt)in;
        stream.next_out = chunk;
        stream.avail_out = CHUNK;
        state = inflate(&stream, Z_NO_FLUSH);
        taken += in - stream.avail_in;
        const size_t made = CHUNK - stream.avail_out;
        if (made > place->size - written) break;
        crc = crc32(crc, chunk, (uInt)made);
        written += made;
        status = fathom__writer_write(out, chunk, made);
    }
    inflateEnd(&stream);
    fathom_free(chunk);
    if (status == FATHOM_OK && (state != Z_STREAM_END || written != place->size || crc != place->crc))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: member %s is damaged", path, name);
    return status;
}

int fathom__zip_member(struct fathom__writer *out, const char *path, const char *name) {
    fathom__zip *zip = NULL;
    struct fathom__zip_place place = {0};
    int status = fathom__zip_open(&zip, path);
    if (status != FATHOM_OK) return status;
    const size_t index = fathom__zip_find(zip, name);
    if (index == SIZE_MAX) {
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: the archive has no member %s", path, name);
    } else {
        status = fathom__zip_locate(&place, zip, index);
    }
    if (status == FATHOM_OK && place.deflated) {
        status = inflate_to(out, &place, path, name);
    } else if (status == FATHOM_OK) {
        const unsigned char *bytes = NULL;
        size_t length = 0;
        status = fathom__zip_bytes(&bytes, &length, zip, index);
        if (status == FATHOM_OK) status = fathom__writer_write(out, bytes, length);
    }
    fathom__zip_close(zip);
    return status;
}
