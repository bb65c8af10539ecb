/* The format: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (its
 * end, with zip64's) and 4.5.3 (zip64's sizes). */
#include "base/zip.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include <string.h>
#include <zlib.h>

enum {
    END_SIGNATURE = 0x06054b50,
    END_SIZE = 22,
    END_COMMENT_MOST = 65535,
    LOCATOR64_SIGNATURE = 0x07064b50,
    LOCATOR64_SIZE = 20,
    END64_SIGNATURE = 0x06064b50,
    END64_SIZE = 56,
    ENTRY_SIGNATURE = 0x02014b50,
    ENTRY_SIZE = 46,
    LOCAL_SIGNATURE = 0x04034b50,
    LOCAL_SIZE = 30,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    FLAG_ENCRYPTED = 1,
    EXTRA_ZIP64 = 1,
    DEFLATE_RATIO = 1032, /* no stream packs more into a byte */
    CHUNK = 1 << 30
};

struct entry {
    char *name;
    uint32_t flags, method, crc;
    uint64_t packed, size, offset;
    unsigned char *inflated;
};

struct fathom__zip {
    char *path;
    struct fathom__mapping file;
    struct entry *entries;
    size_t n;
};

static uint32_t u16(const unsigned char *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t u32(const unsigned char *bytes) {
    return u16(bytes) | u16(bytes + 2) << 16;
}

static uint64_t u64(const unsigned char *bytes) {
    return u32(bytes) | (uint64_t)u32(bytes + 4) << 32;
}

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

struct directory {
    uint64_t begin, end, n;
};

/* The directory's place: of zip64's end where its locator stands before the plain one. */
static int find_directory(struct directory *out, const fathom__zip *zip) {
    const struct fathom__mapping *file = &zip->file;
    const unsigned char *end = find_end(file);
    if (end == NULL)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: not a zip archive (no end of its directory)", zip->path);
    *out = (struct directory){u32(end + 16), (uint64_t)(end - file->bytes), u16(end + 10)};
    if (out->end < LOCATOR64_SIZE || u32(end - LOCATOR64_SIZE) != LOCATOR64_SIGNATURE) return FATHOM_OK;
    const uint64_t at = u64(end - LOCATOR64_SIZE + 8);
    if (file->length < END64_SIZE || at > file->length - END64_SIZE || u32(file->bytes + at) != END64_SIGNATURE)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the end of its zip64 directory lies outside the file", zip->path);
    *out = (struct directory){u64(file->bytes + at + 48), at, u64(file->bytes + at + 32)};
    return FATHOM_OK;
}

/* Sizes and offset that do not fit 32 bits stand in an extra field, in this order and only where they are needed. */
static bool widen(struct entry *entry, const unsigned char *extra, size_t length) {
    uint64_t *const wanted[] = {&entry->size, &entry->packed, &entry->offset};
    while (length >= 4) {
        const size_t size = u16(extra + 2);
        if (size > length - 4) return false;
        if (u16(extra) == EXTRA_ZIP64) {
            size_t at = 4;
            for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
                if (*wanted[i] != UINT32_MAX) continue;
                if (at + 8 > size + 4) return false;
                *wanted[i] = u64(extra + at);
                at += 8;
            }
            return true;
        }
        extra += 4 + size;
        length -= 4 + size;
    }
    return true;
}

static int read_directory(fathom__zip *zip) {
    const unsigned char *bytes = zip->file.bytes;
    struct directory directory;
    int status = find_directory(&directory, zip);
    if (status != FATHOM_OK) return status;
    uint64_t at = directory.begin;
    size_t capacity = 0;
    for (uint64_t left = directory.n; left > 0; left--) {
        const uint64_t room = at > directory.end ? 0 : directory.end - at;
        const unsigned char *raw = bytes + (room >= ENTRY_SIZE ? at : 0);
        const size_t name = room >= ENTRY_SIZE ? u16(raw + 28) : 0, extra = room >= ENTRY_SIZE ? u16(raw + 30) : 0,
                     size = room >= ENTRY_SIZE ? ENTRY_SIZE + name + extra + u16(raw + 32) : 0;
        if (size == 0 || size > room || u32(raw) != ENTRY_SIGNATURE)
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the archive's directory is damaged at byte %llu", zip->path,
                                (unsigned long long)at);
        status = fathom__grow(&zip->entries, &capacity, zip->n + 1, sizeof *zip->entries);
        if (status != FATHOM_OK) return status;
        struct entry *entry = &zip->entries[zip->n];
        *entry = (struct entry){.flags = u16(raw + 8),
                                .method = u16(raw + 10),
                                .crc = u32(raw + 16),
                                .packed = u32(raw + 20),
                                .size = u32(raw + 24),
                                .offset = u32(raw + 42)};
        status = fathom__copy_bytes(&entry->name, (const char *)raw + ENTRY_SIZE, name);
        if (status != FATHOM_OK) return status;
        zip->n++;
        if (!widen(entry, raw + ENTRY_SIZE + name, extra))
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: the archive's directory is damaged at byte %llu", zip->path,
                                (unsigned long long)at);
        at += size;
    }
    return FATHOM_OK;
}

int fathom__zip_open(fathom__zip **out, const char *path) {
    fathom__zip *zip = NULL;
    int status = fathom__alloc(&zip, 1, sizeof *zip);
    if (status != FATHOM_OK) return status;
    status = fathom__copy_string(&zip->path, path);
    if (status == FATHOM_OK) status = fathom__file_map(&zip->file, path);
    if (status == FATHOM_OK) status = read_directory(zip);
    if (status != FATHOM_OK)
        fathom__zip_close(zip);
    else
        *out = zip;
    return status;
}

void fathom__zip_close(fathom__zip *zip) {
    if (!zip) return;
    for (size_t i = 0; i < zip->n; i++) {
        fathom_free(zip->entries[i].name);
        fathom_free(zip->entries[i].inflated);
    }
    fathom_free(zip->entries);
    fathom__file_unmap(&zip->file);
    fathom_free(zip->path);
    fathom_free(zip);
}

const char *fathom__zip_path(const fathom__zip *zip) {
    return zip->path;
}

size_t fathom__zip_count(const fathom__zip *zip) {
    return zip->n;
}

const char *fathom__zip_name(const fathom__zip *zip, size_t index) {
    return zip->entries[index].name;
}

size_t fathom__zip_find(const fathom__zip *zip, const char *name) {
    for (size_t i = 0; i < zip->n; i++)
        if (strcmp(zip->entries[i].name, name) == 0) return i;
    return SIZE_MAX;
}

/* The member's bytes lie after its local header, whose name and extra field may differ in length from those in the
 * directory. */
int fathom__zip_locate(struct fathom__zip_place *out, const fathom__zip *zip, size_t index) {
    const struct entry *entry = &zip->entries[index];
    const struct fathom__mapping *file = &zip->file;
    if ((entry->flags & FLAG_ENCRYPTED) != 0 || (entry->method != METHOD_STORED && entry->method != METHOD_DEFLATED))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "%s: member %s is encrypted or compressed by method %u, expected stored or deflated",
                            zip->path, entry->name, entry->method);
    if (file->length < LOCAL_SIZE || entry->offset > file->length - LOCAL_SIZE ||
        u32(file->bytes + entry->offset) != LOCAL_SIGNATURE)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: member %s: its header lies outside the file", zip->path,
                            entry->name);
    const unsigned char *local = file->bytes + entry->offset;
    const uint64_t start = entry->offset + LOCAL_SIZE + u16(local + 26) + u16(local + 28);
    if (start > file->length || entry->packed > file->length - start ||
        (entry->method == METHOD_STORED && entry->packed != entry->size))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: member %s: its %llu bytes lie outside the file", zip->path,
                            entry->name, (unsigned long long)entry->packed);
    *out = (struct fathom__zip_place){.bytes = file->bytes + start,
                                      .packed = (size_t)entry->packed,
                                      .size = (size_t)entry->size,
                                      .crc = entry->crc,
                                      .deflated = entry->method == METHOD_DEFLATED};
    return FATHOM_OK;
}

/* Everything into memory that has exactly the room the directory promises. False: the stream says otherwise. */
static bool inflate_whole(unsigned char *out, const struct fathom__zip_place *place) {
    z_stream stream = {0};
    size_t taken = 0, made = 0;
    int state = Z_OK;
    /* A negative window means a raw stream, as zip has it. */
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
    stream.next_in = (Bytef *)(uintptr_t)place->bytes;
    stream.next_out = out;
    while (state == Z_OK) {
        const size_t in = place->packed - taken < CHUNK ? place->packed - taken : CHUNK,
                     room = place->size - made < CHUNK ? place->size - made : CHUNK;
        stream.avail_in = (uInt)in;
        stream.avail_out = (uInt)room;
        state = inflate(&stream, Z_NO_FLUSH);
        if (in == stream.avail_in && room == stream.avail_out && state == Z_OK) state = Z_BUF_ERROR;
        taken += in - stream.avail_in;
        made += room - stream.avail_out;
    }
    inflateEnd(&stream);
    return state == Z_STREAM_END && made == place->size;
}

int fathom__zip_bytes(const unsigned char **out, size_t *length, fathom__zip *zip, size_t index) {
    struct entry *entry = &zip->entries[index];
    struct fathom__zip_place place;
    int status = fathom__zip_locate(&place, zip, index);
    if (status != FATHOM_OK) return status;
    const unsigned char *bytes = place.deflated ? entry->inflated : place.bytes;
    bool good = true;
    if (place.deflated && !bytes) {
        if (place.size / DEFLATE_RATIO > place.packed)
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: member %s is damaged", zip->path, entry->name);
        status = fathom__alloc(&entry->inflated, place.size, 1);
        if (status != FATHOM_OK) return status;
        good = inflate_whole(entry->inflated, &place);
        bytes = entry->inflated;
    }
    if (!good || crc32_z(crc32(0, NULL, 0), bytes, place.size) != place.crc)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: member %s is damaged", zip->path, entry->name);
    *out = bytes;
    *length = place.size;
    return FATHOM_OK;
}
