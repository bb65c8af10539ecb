/* Members of archives that are put together here byte by byte, so that each can be wrong in one place. */
#include "base/buffer.h"
#include "base/scratch.h"
#include "base/zip_member.h"
#include "tests/support/check.h"
#include <fathom/model.h>
#include <zlib.h>

#define TEXT "The golden gate bridge, the golden gate bridge, the golden gate bridge."
enum { STORED = 0, DEFLATED = 8 };

static struct fathom__buffer archive = FATHOM__BUFFER_INIT(1 << 20);

static void put(const void *bytes, size_t length) {
    check_ok(fathom__buffer_append(&archive, bytes, length));
}
static void put_u16(unsigned value) {
    put((const unsigned char[]){(unsigned char)value, (unsigned char)(value >> 8)}, 2);
}
static void put_u32(size_t value) {
    put_u16((unsigned)(value & 0xFFFF));
    put_u16((unsigned)(value >> 16));
}

/* What of an archive can be made wrong. */
struct spoilt {
    unsigned method, flags;
    size_t crc_change, size_change, packed_change, offset_change, directory_change;
    size_t cut; /* bytes left out at the end */
};

static size_t deflated(unsigned char *out, size_t capacity) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)TEXT;
    stream.avail_in = strlen(TEXT);
    stream.next_out = out;
    stream.avail_out = (uInt)capacity;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return capacity - stream.avail_out;
}

/* Two members: "first" (empty) and "folder/second". */
static const char *write_archive(const struct spoilt *spoilt) {
    unsigned char packed[256];
    const size_t crc = crc32(crc32(0, NULL, 0), (const Bytef *)TEXT, strlen(TEXT));
    size_t length = strlen(TEXT);
    if (spoilt->method == DEFLATED) {
        length = deflated(packed, sizeof packed);
    } else {
        memcpy(packed, TEXT, length);
    }
    const struct {
        const char *name;
        size_t length, size, crc;
    } members[] = {{"first", 0, 0, 0}, {"folder/second", length, strlen(TEXT), crc}};
    size_t offsets[2];
    fathom__buffer_clear(&archive);
    for (size_t i = 0; i < 2; i++) {
        offsets[i] = archive.length;
        put("PK\x03\x04", 4);
        put_u16(20), put_u16(spoilt->flags), put_u16(i == 0 ? STORED : spoilt->method), put_u32(0),
            put_u32(members[i].crc);
        put_u32(members[i].length), put_u32(members[i].size), put_u16((unsigned)strlen(members[i].name)), put_u16(3);
        put(members[i].name, strlen(members[i].name)), put("xyz", 3), put(packed, members[i].length);
    }
    const size_t directory = archive.length;
    for (size_t i = 0; i < 2; i++) {
        put("PK\x01\x02", 4);
        put_u16(20), put_u16(20), put_u16(spoilt->flags), put_u16(i == 0 ? STORED : spoilt->method), put_u32(0);
        put_u32(members[i].crc + spoilt->crc_change), put_u32(members[i].length + spoilt->packed_change);
        put_u32(members[i].size + spoilt->size_change), put_u16((unsigned)strlen(members[i].name)), put_u16(0),
            put_u16(0);
        put_u16(0), put_u16(0), put_u32(0), put_u32(offsets[i] + spoilt->offset_change);
        put(members[i].name, strlen(members[i].name));
    }
    const size_t end = archive.length;
    put("PK\x05\x06", 4);
    put_u16(0), put_u16(0), put_u16(2), put_u16(2), put_u32(end - directory),
        put_u32(directory + spoilt->directory_change), put_u16(2);
    put("!!", 2);
    return scratch_file("test.whl", archive.bytes, archive.length - spoilt->cut);
}

/* Takes a member out; *text (new) is what was written, NULL on an error. Nothing is committed, which would wait for the
 * disk. */
static int extract(char **text, const char *archive_path, const char *member) {
    struct fathom__writer writer;
    size_t length;
    *text = NULL;
    check_ok(fathom__writer_open(&writer, scratch("out")));
    int status = fathom__zip_member(&writer, archive_path, member);
    if (status == FATHOM_OK) {
        assert_int_equal(fflush(writer.stream), 0);
        check_ok(fathom__file_read(text, &length, writer.temporary, 10000));
    }
    fathom__writer_discard(&writer);
    return status;
}

static void check_refused(const char *archive_path, const char *member, int status, const char *message) {
    char *text = NULL;
    check_status(extract(&text, archive_path, member), status, message);
    assert_null(text);
}

static void members_come_out(void **state) {
    (void)state;
    for (unsigned method = STORED; method <= DEFLATED; method += DEFLATED) {
        char *text = NULL;
        check_ok(extract(&text, write_archive(&(struct spoilt){.method = method}), "folder/second"));
        assert_string_equal(text, TEXT);
        fathom_free(text);
        check_ok(extract(&text, write_archive(&(struct spoilt){.method = method}), "first"));
        assert_string_equal(text, "");
        fathom_free(text);
    }
}

static void names_must_match(void **state) {
    (void)state;
    const char *path = write_archive(&(struct spoilt){.method = STORED});
    check_refused(path, "second", FATHOM_ERROR_NOT_FOUND, "test.whl: the archive has no member second");
    check_refused(path, "folder/secon", FATHOM_ERROR_NOT_FOUND, "no member");
    check_refused(scratch("absent.whl"), "second", FATHOM_ERROR_IO, "absent.whl");
}

static void damage_is_found(void **state) {
    (void)state;
    const struct {
        struct spoilt spoilt;
        int status;
        const char *message;
    } cases[] = {
        {{.method = STORED, .crc_change = 1}, FATHOM_ERROR_FORMAT, "folder/second is damaged"},
        {{.method = DEFLATED, .crc_change = 1}, FATHOM_ERROR_FORMAT, "folder/second is damaged"},
        {{.method = DEFLATED, .size_change = 1}, FATHOM_ERROR_FORMAT, "folder/second is damaged"},
        {{.method = DEFLATED, .size_change = (size_t)-1}, FATHOM_ERROR_FORMAT, "folder/second is damaged"},
        {{.method = DEFLATED, .packed_change = (size_t)-5}, FATHOM_ERROR_FORMAT, "folder/second is damaged"},
        {{.method = STORED, .size_change = 1}, FATHOM_ERROR_FORMAT, "outside the file"},
        {{.method = DEFLATED, .packed_change = 1 << 20}, FATHOM_ERROR_FORMAT, "outside the file"},
        {{.method = DEFLATED, .offset_change = 1 << 20}, FATHOM_ERROR_FORMAT, "outside the file"},
        {{.method = DEFLATED, .offset_change = 1}, FATHOM_ERROR_FORMAT, "outside the file"},
        {{.method = DEFLATED, .directory_change = 1}, FATHOM_ERROR_FORMAT, "directory is damaged"},
        {{.method = DEFLATED, .directory_change = 0xFFFF0000u}, FATHOM_ERROR_FORMAT, "directory is damaged"},
        {{.method = DEFLATED, .cut = 1}, FATHOM_ERROR_FORMAT, "not a zip archive"},
        {{.method = 12}, FATHOM_ERROR_UNSUPPORTED, "method 12"},
        {{.method = STORED, .flags = 1}, FATHOM_ERROR_UNSUPPORTED, "encrypted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_refused(write_archive(&cases[i].spoilt), "folder/second", cases[i].status, cases[i].message);
    }
    check_refused(scratch_text("test.whl", ""), "first", FATHOM_ERROR_FORMAT, "not a zip archive");
}

/* Whatever byte is wrong, and wherever the file ends: an error or the right text. */
static void any_wrong_byte_is_survived(void **state) {
    (void)state;
    const char *path = write_archive(&(struct spoilt){.method = DEFLATED});
    char *bytes = NULL;
    size_t length, failed = 0;
    check_ok(fathom__file_read(&bytes, &length, path, 10000));
    for (size_t i = 0; i < length; i++) {
        char *text = NULL;
        bytes[i] = (char)~bytes[i];
        if (extract(&text, scratch_file("test.whl", bytes, length), "folder/second") == FATHOM_OK) {
            assert_string_equal(text, TEXT);
            fathom_free(text);
        } else {
            failed++;
        }
        bytes[i] = (char)~bytes[i];
        assert_int_not_equal(extract(&text, scratch_file("test.whl", bytes, i), "folder/second"), FATHOM_OK);
    }
    assert_true(failed > 0);
    fathom_free(bytes);
}

static int free_archive(void **state) {
    (void)state;
    fathom__buffer_free(&archive);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_out),
        cmocka_unit_test(names_must_match),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(any_wrong_byte_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, free_archive);
}
