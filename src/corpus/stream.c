#include <base/error.h>
#include <base/memory.h>
#include <corpus/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum {
    INPUT_SIZE = 1 << 16,
    MAGIC_SIZE = 4,
    GZIP_WINDOW = 15 + 16, /* zlib: the largest window, in a gzip wrapper */
};

enum form { PLAIN, GZIP, ZSTD };

struct fathom__stream {
    char *name;
    int file; /* -1 when there is none to close */
    enum form form;
    bool at_end;  /* of the file */
    bool between; /* compressed: no frame or member is open */
    size_t start, end;
    uint64_t taken;
    z_stream gzip;
    ZSTD_DStream *zstd;
    unsigned char input[INPUT_SIZE];
};

/* Adds what the file has to the input, which must have room. */
static int fill(fathom__stream *stream) {
    if (stream->start == stream->end) stream->start = stream->end = 0;
    ssize_t got;
    do
        got = read(stream->file, stream->input + stream->end, sizeof stream->input - stream->end);
    while (got < 0 && errno == EINTR);
    if (got < 0) return fathom__fail_errno(stream->name, "read");
    stream->at_end = got == 0;
    stream->end += (size_t)got;
    stream->taken += (uint64_t)got;
    return FATHOM_OK;
}

static bool begins_with(const fathom__stream *stream, const void *magic, size_t length) {
    return stream->end - stream->start >= length && memcmp(stream->input + stream->start, magic, length) == 0;
}

/* A zstd file may begin with a skippable frame, whose magic numbers are sixteen. */
static bool is_zstd(const fathom__stream *stream) {
    return begins_with(stream, "\x28\xb5\x2f\xfd", 4) ||
           (stream->end >= MAGIC_SIZE && (stream->input[0] & 0xf0) == 0x50 &&
            memcmp(stream->input + 1, "\x2a\x4d\x18", 3) == 0);
}

static int choose_form(fathom__stream *stream) {
    int status = FATHOM_OK;
    while (stream->end < MAGIC_SIZE && !stream->at_end && !status)
        status = fill(stream);
    if (status) return status;
    stream->between = true;
    if (begins_with(stream, "\x1f\x8b", 2)) {
        stream->form = GZIP;
        if (inflateInit2(&stream->gzip, GZIP_WINDOW) != Z_OK) return fathom__fail_memory(sizeof stream->gzip);
    } else if (is_zstd(stream)) {
        stream->form = ZSTD;
        stream->zstd = ZSTD_createDStream();
        if (!stream->zstd) return fathom__fail_memory(ZSTD_DStreamInSize());
    } else if (begins_with(stream, "PAR1", 4)) {
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: is Parquet; text, JSONL and both in gzip or zstd are read",
                            stream->name);
    }
    return FATHOM_OK;
}

int fathom__stream_open(fathom__stream **out, const char *path) {
    bool standard_input = strcmp(path, "-") == 0;
    fathom__stream *stream = NULL;
    struct stat about;
    int status = fathom__alloc(&stream, 1, sizeof *stream);
    if (status) return status;
    stream->file = -1;
    status = fathom__copy_string(&stream->name, standard_input ? "standard input" : path);
    if (!status) {
        stream->file = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
        if (stream->file < 0) status = fathom__fail_errno(path, "open");
    }
    if (!status && fstat(stream->file, &about) == 0 && S_ISDIR(about.st_mode))
        status = fathom__fail(FATHOM_ERROR_IO, "%s: is a folder, a file was expected", stream->name);
    if (!status) status = choose_form(stream);
    if (status)
        fathom__stream_close(stream);
    else
        *out = stream;
    return status;
}

void fathom__stream_close(fathom__stream *stream) {
    if (!stream) return;
    if (stream->form == GZIP) inflateEnd(&stream->gzip);
    ZSTD_freeDStream(stream->zstd);
    if (stream->file >= 0 && stream->file != STDIN_FILENO) close(stream->file);
    fathom_free(stream->name);
    fathom_free(stream);
}

const char *fathom__stream_name(const fathom__stream *stream) {
    return stream->name;
}

bool fathom__stream_is_compressed(const fathom__stream *stream) {
    return stream->form != PLAIN;
}

uint64_t fathom__stream_taken(const fathom__stream *stream) {
    return stream->taken;
}

static int damaged(const fathom__stream *stream, const char *form, const char *reason) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: damaged %s data: %s", stream->name, form, reason);
}

/* Takes input through zlib once; a file may hold several members, one after another. */
static int inflate_some(size_t *got, char *bytes, size_t size, fathom__stream *stream) {
    z_stream *gzip = &stream->gzip;
    if (stream->between && stream->input[stream->start] != 0x1f)
        return damaged(stream, "gzip", "other bytes follow its end");
    gzip->next_in = stream->input + stream->start;
    gzip->avail_in = (uInt)(stream->end - stream->start);
    gzip->next_out = (Bytef *)bytes;
    gzip->avail_out = size < UINT32_MAX ? (uInt)size : UINT32_MAX;
    int result = inflate(gzip, Z_NO_FLUSH);
    *got = (size_t)(gzip->next_out - (Bytef *)bytes);
    stream->start = stream->end - gzip->avail_in;
    stream->between = result == Z_STREAM_END;
    if (result == Z_STREAM_END) inflateReset(gzip);
    if (result == Z_MEM_ERROR) return fathom__fail_memory(INPUT_SIZE);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return damaged(stream, "gzip", gzip->msg ? gzip->msg : "it cannot be read");
    return FATHOM_OK;
}

static int unzstd_some(size_t *got, char *bytes, size_t size, fathom__stream *stream) {
    ZSTD_inBuffer in = {stream->input + stream->start, stream->end - stream->start, 0};
    ZSTD_outBuffer out = {bytes, size, 0};
    size_t result = ZSTD_decompressStream(stream->zstd, &out, &in);
    if (ZSTD_isError(result)) return damaged(stream, "zstd", ZSTD_getErrorName(result));
    *got = out.pos;
    stream->start += in.pos;
    stream->between = result == 0;
    return FATHOM_OK;
}

static int read_plain(size_t *got, char *bytes, size_t size, fathom__stream *stream) {
    size_t have = stream->end - stream->start;
    *got = have < size ? have : size;
    memcpy(bytes, stream->input + stream->start, *got);
    stream->start += *got;
    return FATHOM_OK;
}

int fathom__stream_read(size_t *got, char *bytes, size_t size, fathom__stream *stream) {
    int status = FATHOM_OK;
    *got = 0;
    while (*got == 0 && !status) {
        if (stream->start == stream->end && !stream->at_end) status = fill(stream);
        bool drained = stream->start == stream->end && stream->at_end;
        if (status || (drained && stream->between)) break;
        if (stream->form == GZIP)
            status = inflate_some(got, bytes, size, stream);
        else if (stream->form == ZSTD)
            status = unzstd_some(got, bytes, size, stream);
        else
            status = read_plain(got, bytes, size, stream);
        /* A decompressor may still hold output when the input is used up; only when it gives none is the file cut off.
         */
        if (!status && *got == 0 && drained && !stream->between)
            status = damaged(stream, stream->form == GZIP ? "gzip" : "zstd", "it is cut off");
    }
    return status;
}
