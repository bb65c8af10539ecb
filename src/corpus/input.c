#include <base/error.h>
#include <base/memory.h>
#include <corpus/input.h>

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

struct fathom__input {
    char *name;
    int file; /* -1 when there is none to close */
    enum form form;
    bool at_end;  /* of the file */
    bool between; /* compressed: no frame or member is open */
    size_t start, end;
    uint64_t taken;
    z_stream gzip;
    ZSTD_DStream *zstd;
    unsigned char bytes[INPUT_SIZE];
};

/* Adds what the file has to the bytes, which must have room. */
static int fill(fathom__input *input) {
    if (input->start == input->end) input->start = input->end = 0;
    ssize_t got;
    do
        got = read(input->file, input->bytes + input->end, sizeof input->bytes - input->end);
    while (got < 0 && errno == EINTR);
    if (got < 0) return fathom__fail_errno(input->name, "read");
    input->at_end = got == 0;
    input->end += (size_t)got;
    input->taken += (uint64_t)got;
    return FATHOM_OK;
}

static bool begins_with(const fathom__input *input, const void *magic, size_t length) {
    return input->end - input->start >= length && memcmp(input->bytes + input->start, magic, length) == 0;
}

/* A zstd file may begin with a skippable frame, whose magic numbers are sixteen. */
static bool is_zstd(const fathom__input *input) {
    return begins_with(input, "\x28\xb5\x2f\xfd", 4) || (input->end >= MAGIC_SIZE && (input->bytes[0] & 0xf0) == 0x50 &&
                                                         memcmp(input->bytes + 1, "\x2a\x4d\x18", 3) == 0);
}

static int choose_form(fathom__input *input) {
    int status = FATHOM_OK;
    while (input->end < MAGIC_SIZE && !input->at_end && !status)
        status = fill(input);
    if (status) return status;
    input->between = true;
    if (begins_with(input, "\x1f\x8b", 2)) {
        input->form = GZIP;
        if (inflateInit2(&input->gzip, GZIP_WINDOW) != Z_OK) return fathom__fail_memory(sizeof input->gzip);
    } else if (is_zstd(input)) {
        input->form = ZSTD;
        input->zstd = ZSTD_createDStream();
        if (!input->zstd) return fathom__fail_memory(ZSTD_DStreamInSize());
    } else if (begins_with(input, "PAR1", 4)) {
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: is Parquet; text, JSONL and both in gzip or zstd are read",
                            input->name);
    }
    return FATHOM_OK;
}

int fathom__input_open(fathom__input **out, const char *path) {
    bool standard_input = strcmp(path, "-") == 0;
    fathom__input *input = NULL;
    struct stat about;
    int status = fathom__alloc(&input, 1, sizeof *input);
    if (status) return status;
    input->file = -1;
    status = fathom__copy_string(&input->name, standard_input ? "standard input" : path);
    if (!status) {
        input->file = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
        if (input->file < 0) status = fathom__fail_errno(path, "open");
    }
    if (!status && fstat(input->file, &about) == 0 && S_ISDIR(about.st_mode))
        status = fathom__fail(FATHOM_ERROR_IO, "%s: is a folder, a file was expected", input->name);
    if (!status) status = choose_form(input);
    if (status)
        fathom__input_close(input);
    else
        *out = input;
    return status;
}

void fathom__input_close(fathom__input *input) {
    if (!input) return;
    if (input->form == GZIP) inflateEnd(&input->gzip);
    ZSTD_freeDStream(input->zstd);
    if (input->file >= 0 && input->file != STDIN_FILENO) close(input->file);
    fathom_free(input->name);
    fathom_free(input);
}

const char *fathom__input_name(const fathom__input *input) {
    return input->name;
}

bool fathom__input_is_compressed(const fathom__input *input) {
    return input->form != PLAIN;
}

uint64_t fathom__input_taken(const fathom__input *input) {
    return input->taken;
}

static int damaged(const fathom__input *input, const char *form, const char *reason) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: damaged %s data: %s", input->name, form, reason);
}

/* Takes bytes through zlib once; a file may hold several members, one after another. */
static int inflate_some(size_t *got, char *bytes, size_t size, fathom__input *input) {
    z_stream *gzip = &input->gzip;
    if (input->between && input->bytes[input->start] != 0x1f)
        return damaged(input, "gzip", "other bytes follow its end");
    gzip->next_in = input->bytes + input->start;
    gzip->avail_in = (uInt)(input->end - input->start);
    gzip->next_out = (Bytef *)bytes;
    gzip->avail_out = size < UINT32_MAX ? (uInt)size : UINT32_MAX;
    int result = inflate(gzip, Z_NO_FLUSH);
    *got = (size_t)(gzip->next_out - (Bytef *)bytes);
    input->start = input->end - gzip->avail_in;
    input->between = result == Z_STREAM_END;
    if (result == Z_STREAM_END) inflateReset(gzip);
    if (result == Z_MEM_ERROR) return fathom__fail_memory(INPUT_SIZE);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return damaged(input, "gzip", gzip->msg ? gzip->msg : "it cannot be read");
    return FATHOM_OK;
}

static int unzstd_some(size_t *got, char *bytes, size_t size, fathom__input *input) {
    ZSTD_inBuffer in = {input->bytes + input->start, input->end - input->start, 0};
    ZSTD_outBuffer out = {bytes, size, 0};
    size_t result = ZSTD_decompressStream(input->zstd, &out, &in);
    if (ZSTD_isError(result)) return damaged(input, "zstd", ZSTD_getErrorName(result));
    *got = out.pos;
    input->start += in.pos;
    input->between = result == 0;
    return FATHOM_OK;
}

static int read_plain(size_t *got, char *bytes, size_t size, fathom__input *input) {
    size_t have = input->end - input->start;
    *got = have < size ? have : size;
    memcpy(bytes, input->bytes + input->start, *got);
    input->start += *got;
    return FATHOM_OK;
}

int fathom__input_read(size_t *got, char *bytes, size_t size, fathom__input *input) {
    int status = FATHOM_OK;
    *got = 0;
    while (*got == 0 && !status) {
        if (input->start == input->end && !input->at_end) status = fill(input);
        bool drained = input->start == input->end && input->at_end;
        if (status || (drained && input->between)) break;
        if (input->form == GZIP)
            status = inflate_some(got, bytes, size, input);
        else if (input->form == ZSTD)
            status = unzstd_some(got, bytes, size, input);
        else
            status = read_plain(got, bytes, size, input);
        /* A decompressor may still hold output when the bytes are used up; only when it gives none is the file cut off.
         */
        if (!status && *got == 0 && drained && !input->between)
            status = damaged(input, input->form == GZIP ? "gzip" : "zstd", "it is cut off");
    }
    return status;
}
