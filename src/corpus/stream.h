/* The bytes of one file, decompressed: zstd and gzip are known by their first bytes. */
#ifndef FATHOM_CORPUS_STREAM_H
#define FATHOM_CORPUS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fathom__stream fathom__stream;

/* "-" is standard input. Errors: IO, FORMAT, UNSUPPORTED (Parquet), MEMORY. */
int fathom__stream_open(fathom__stream **out, const char *path);
void fathom__stream_close(fathom__stream *stream);
const char *fathom__stream_name(const fathom__stream *stream); /* for messages */

/* Up to `size` bytes; *got is 0 at the end only. Errors: IO, FORMAT (damaged or truncated compressed data). */
int fathom__stream_read(size_t *got, char *bytes, size_t size, fathom__stream *stream);

bool fathom__stream_is_compressed(const fathom__stream *stream);
/* Bytes taken from the file so far, before decompression. */
uint64_t fathom__stream_taken(const fathom__stream *stream);

#endif
