/* XXH3-128 as 32 hex digits, streamed; SHA-256 of a file for downloads. */
#ifndef FATHOM_BASE_HASH_H
#define FATHOM_BASE_HASH_H

#include <stddef.h>

typedef struct fathom__hash fathom__hash;
int fathom__hash_open(fathom__hash **out);
void fathom__hash_add(fathom__hash *hash, const void *bytes, size_t length);
void fathom__hash_text(char out[33], fathom__hash *hash); /* of what was added so far */
void fathom__hash_close(fathom__hash *hash);

/* 2n lower-case hex digits and a terminating zero. */
void fathom__hex(char *out, const unsigned char *bytes, size_t n);

/* SHA-256 (FIPS 180-4) of a file's bytes as 64 hex digits. Errors: IO. */
int fathom__sha256_file(char out[65], const char *path);

#endif
