/* The format: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (central directory) and 4.3.16 (its end). */
#include "base/zip_member.h"
#include "base/error.h"
#include "base/memory.h"
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

enum {
    END_SIGNATURE = 0x06054b50,
    END_SIZE = 22,
    END_COMMENT_MOST = 65535,
    ENTRY_SIGNATURE = 0x02014b50,
    ENTRY_SIZE = 46,
    LOCAL_SIGNATURE = 0x04034b50,
    LOCAL_SIZE = 30,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    FLAG_ENCRYPTED = 1,
    CHUNK = 1 << 16
};

static uint32_t u16(const unsigned char *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t u32(const unsigned char *bytes) {
    return u16(bytes) | u16(bytes + 2) << 16;
}

struct member {
    uint32_t method, crc, packed, size;
    const unsigned char *bytes; /* `packed` of them */
};

/* Where the central directory ends and what it says, or NULL. It is looked for backwards, because a comment of any
 * length may follow. */
static const unsigned char *find_end(const struct fathom__mapping *file) {
    if (file->length < END_SIZE) return NULL;
    const size_t last = file->length - END_SIZE;
    for (size_t back = 0; back <= last && back <= END_COMMENT_MOST; back++) {
        const unsigned char *end = file->bytes + last - back;
        if (u32(end) == END_SIGNATURE && u16(end + 20) == back) return end;
    }
    return NULL;
}

/* The member's bytes lie after its local header, whose name and extra field may differ in length from those in the
 * directory. */
static int locate(struct member *out, const struct fathom__mapping *file, const unsigned char *entry, const char *path,
                  const char *name) {
    const size_t offset = u32(entry + 42);
    out->method = u32(entry + 8) >> 16;
    out->crc = u32(entry + 16);
    out->packed = u32(entry + 20);
    out->size = u32(entry + 24);
    if ((u16(entry + 8) & FLAG_ENCRYPTED) != 0 || (out->method != METHOD_STORED && out->method != METHOD_DEFLATED)) {
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: member %s is encrypted or compressed by method %u, expected stored or deflated", path,
                            name, out->method);
    }
    if (file->length < LOCAL_SIZE || offset > file->length - LOCAL_SIZE ||
        u32(file->bytes + offset) != LOCAL_SIGNATURE) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: member %s: its header lies outside the file", path, name);
    }
    const unsigned char *local = file->bytes + offset;
    const size_t start = offset + LOCAL_SIZE + u16(local + 26) + u16(local + 28);
    if (start > file->length || out->packed > file->length - start ||
        (out->method == METHOD_STORED && out->packed != out->size)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: member %s: its %u bytes lie outside the file", path, name,
                            out->packed);
    }
    out->bytes = file->bytes + start;
    return FATHOM_OK;
}

static int find_member(struct member *out, const struct fathom__mapping *file, const char *path, const char *name) {
    const unsigned char *end = find_end(file);
    if (end == NULL) return fathom__fail(FATHOM_ERROR_FORMAT, "%s: not a zip archive (no end of its directory)", path);
    const size_t directory_end = (size_t)(end - file->bytes), name_length = strlen(name);
    size_t at = u32(end + 16);
    for (uint32_t left = u16(end + 10); left > 0; left--) {
        if (at > directory_end || directory_end - at < ENTRY_SIZE || u32(file->bytes + at) != ENTRY_SIGNATURE) {
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the archive's directory is damaged at byte %zu", path, at);
        }
        const unsigned char *entry = file->bytes + at;
        const size_t length = u16(entry + 28), size = ENTRY_SIZE + length + u16(entry + 30) + u16(entry + 32);
        if (size > directory_end - at)
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the archive's directory is damaged at byte %zu", path, at);
        if (length == name_length && memcmp(entry + ENTRY_SIZE, name, length) == 0)
            return locate(out, file, entry, path, name);
        at += size;
    }
    return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: the archive has no member %s", path, name);
}

static int inflate_to(struct fathom__writer *out, const struct member *member, const char *path, const char *name) {
    z_stream stream = {0};
    unsigned char *chunk = NULL;
    uLong crc = crc32(0, NULL, 0);
    size_t written = 0;
    int status = fathom__alloc(&chunk, CHUNK, 1);
    if (status != FATHOM_OK) return status;
    /* A negative window means a raw stream, as zip has it. */
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        fathom_free(chunk);
        return fathom__fail_memory(CHUNK);
    }
    stream.next_in = (Bytef *)(uintptr_t)member->bytes;
    stream.avail_in = member->packed;
    int state = Z_OK;
    while (status == FATHOM_OK && state == Z_OK) {
        stream.next_out = chunk;
        stream.avail_out = CHUNK;
        state = inflate(&stream, Z_NO_FLUSH);
        const size_t made = CHUNK - stream.avail_out;
        if (made > member->size - written) break;
        crc = crc32(crc, chunk, (uInt)made);
        written += made;
        status = fathom__writer_write(out, chunk, made);
    }
    inflateEnd(&stream);
    fathom_free(chunk);
    if (status == FATHOM_OK && (state != Z_STREAM_END || written != member->size || crc != member->crc)) {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: member %s is damaged", path, name);
    }
    return status;
}

int fathom__zip_member(struct fathom__writer *out, const char *path, const char *name) {
    struct fathom__mapping file = {0};
    struct member member = {0};
    int status = fathom__file_map(&file, path);
    if (status != FATHOM_OK) return status;
    status = find_member(&member, &file, path, name);
    if (status == FATHOM_OK && member.method == METHOD_DEFLATED) {
        status = inflate_to(out, &member, path, name);
    } else if (status == FATHOM_OK) {
        if (crc32_z(crc32(0, NULL, 0), member.bytes, member.packed) == member.crc) {
            status = fathom__writer_write(out, member.bytes, member.packed);
        } else {
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: member %s is damaged", path, name);
        }
    }
    fathom__file_unmap(&file);
    return status;
}
