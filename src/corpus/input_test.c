#include <base/buffer.h>
#include <base/error.h>
#include <base/scratch.h>
#include <corpus/input.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

enum { TEXT_LENGTH = 300000, PACKED_SIZE = 400000 };

static char text[TEXT_LENGTH];
static unsigned char packed[PACKED_SIZE];

/* Text that neither compresses to nothing nor fits into one input block. */
static int make_text(void **state) {
    (void)state;
    uint32_t x = 1;
    for (size_t i = 0; i < TEXT_LENGTH; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = (char)('a' + (x >> 28));
    }
    return 0;
}

static size_t gzip(unsigned char *out, size_t room, const char *bytes, size_t length) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)length;
    stream.next_out = out;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static size_t zstd(unsigned char *out, size_t room, const char *bytes, size_t length) {
    size_t size = ZSTD_compress(out, room, bytes, length, 3);
    assert_false(ZSTD_isError(size));
    return size;
}

/* Reads a whole file in pieces of `piece` bytes and gives the first error, or OK. */
static int read_all(struct fathom__buffer *out, const char *path, size_t piece) {
    char bytes[8192];
    fathom__input *input = NULL;
    int status = fathom__input_open(&input, path);
    fathom__buffer_clear(out);
    for (size_t got = 1; !status && got > 0;) {
        status = fathom__input_read(&got, bytes, piece, input);
        if (!status) assert_int_equal(fathom__buffer_append(out, bytes, got), FATHOM_OK);
    }
    fathom__input_close(input);
    return status;
}

static void assert_reads(const char *path, const char *expected, size_t length) {
    static const size_t pieces[] = {1, 1000, 8192};
    struct fathom__buffer out = FATHOM__BUFFER_INIT(1 << 22);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        assert_int_equal(read_all(&out, path, pieces[i]), FATHOM_OK);
        assert_int_equal(out.length, length);
        assert_memory_equal(out.bytes, expected, length);
    }
    fathom__buffer_free(&out);
}

static void test_plain(void **state) {
    (void)state;
    assert_reads(scratch_file("plain", text, TEXT_LENGTH), text, TEXT_LENGTH);
    assert_reads(scratch_text("short", "ab"), "ab", 2);
    assert_reads(scratch_text("empty", ""), "", 0);
    assert_reads("/dev/null", "", 0);
}

static void test_gzip(void **state) {
    (void)state;
    size_t size = gzip(packed, PACKED_SIZE, text, TEXT_LENGTH);
    assert_reads(scratch_file("whole.gz", packed, size), text, TEXT_LENGTH);
    size_t half = TEXT_LENGTH / 2;
    size = gzip(packed, PACKED_SIZE, text, half);
    size += gzip(packed + size, PACKED_SIZE - size, text + half, TEXT_LENGTH - half);
    assert_reads(scratch_file("two members", packed, size), text, TEXT_LENGTH);
    size = gzip(packed, PACKED_SIZE, "", 0);
    assert_reads(scratch_file("nothing", packed, size), "", 0);
}

static void test_zstd(void **state) {
    (void)state;
    size_t size = zstd(packed, PACKED_SIZE, text, TEXT_LENGTH);
    assert_reads(scratch_file("whole.zst", packed, size), text, TEXT_LENGTH);
    size_t half = TEXT_LENGTH / 2;
    memcpy(packed, "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11); /* a skippable frame */
    size = 11 + zstd(packed + 11, PACKED_SIZE - 11, text, half);
    size += zstd(packed + size, PACKED_SIZE - size, text + half, TEXT_LENGTH - half);
    assert_reads(scratch_file("frames", packed, size), text, TEXT_LENGTH);
}

static void assert_damaged(const char *name, size_t size, const char *message) {
    struct fathom__buffer out = FATHOM__BUFFER_INIT(1 << 22);
    assert_int_equal(read_all(&out, scratch_file(name, packed, size), 1000), FATHOM_ERROR_FORMAT);
    if (!strstr(fathom_error_message(), message) || !strstr(fathom_error_message(), name))
        fail_msg("\"%s\" lacks \"%s\"", fathom_error_message(), message);
    fathom__buffer_free(&out);
}

static void test_truncated(void **state) {
    (void)state;
    size_t size = gzip(packed, PACKED_SIZE, text, TEXT_LENGTH);
    for (size_t cut = 1; cut < size - 2; cut = cut * 3 + 1)
        assert_damaged("cut.gz", size - cut, "damaged gzip data: it is cut off");
    size = zstd(packed, PACKED_SIZE, text, TEXT_LENGTH);
    for (size_t cut = 1; cut < size - 4; cut = cut * 3 + 1)
        assert_damaged("cut.zst", size - cut, "damaged zstd data: it is cut off");
}

static void test_damaged(void **state) {
    (void)state;
    size_t size = gzip(packed, PACKED_SIZE, text, TEXT_LENGTH);
    packed[size - 6] ^= 1; /* in the checksum */
    assert_damaged("sum.gz", size, "damaged gzip data: incorrect data check");
    packed[size - 6] ^= 1;
    packed[size] = 'x';
    assert_damaged("tail.gz", size + 1, "damaged gzip data: other bytes follow its end");
    packed[2] = 77;
    assert_damaged("method.gz", size, "damaged gzip data: unknown compression method");
    size = zstd(packed, PACKED_SIZE, text, TEXT_LENGTH);
    packed[5] ^= 0xff;
    packed[40] ^= 0xff;
    assert_damaged("bits.zst", size, "damaged zstd data: ");
    size = zstd(packed, PACKED_SIZE, text, TEXT_LENGTH);
    packed[size] = 'x';
    assert_damaged("tail.zst", size + 1, "damaged zstd data: ");
}

static void test_what_cannot_be_read(void **state) {
    (void)state;
    fathom__input *input = NULL;
    assert_int_equal(fathom__input_open(&input, scratch("none")), FATHOM_ERROR_IO);
    assert_int_equal(fathom__input_open(&input, "/"), FATHOM_ERROR_IO);
    assert_int_equal(fathom__input_open(&input, scratch_text("a.parquet", "PAR1....")), FATHOM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(fathom_error_message(), "a.parquet: is Parquet"));
    assert_null(input);
    fathom__input_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),     cmocka_unit_test(test_gzip),    cmocka_unit_test(test_zstd),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_damaged), cmocka_unit_test(test_what_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, make_text, NULL);
}
