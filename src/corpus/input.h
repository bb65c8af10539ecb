/* The bytes of one file, decompressed: zstd and gzip are known by their first bytes. */
#ifndef FATHOM_CORPUS_INPUT_H
#define FATHOM_CORPUS_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fathom__input fathom__input;

/* "-" is standard input. Errors: IO, FORMAT, UNSUPPORTED (Parquet), MEMORY. */
int fathom__input_open(fathom__input **out, const char *path);
void fathom__input_close(fathom__input *input);
const char *fathom__input_name(const fathom__input *input); /* for messages */

/* Up to `size` bytes; *got is 0 at the end only. Errors: IO, FORMAT (damaged or truncated compressed data). */
int fathom__input_read(size_t *got, char *bytes, size_t size, fathom__input *input);

bool fathom__input_is_compressed(const fathom__input *input);
/* Bytes taken from the file so far, before decompression. */
uint64_t fathom__input_taken(const fathom__input *input);

#endif
