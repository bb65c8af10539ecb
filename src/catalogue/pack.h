/* Compact blobs: variable-length integers (seven bits a byte, lowest first) and little-endian floats, read back with
 * every step checked. */
#ifndef FATHOM_CATALOGUE_PACK_H
#define FATHOM_CATALOGUE_PACK_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int fathom__pack_integer(struct fathom__buffer *buffer, uint64_t value);
int fathom__pack_byte(struct fathom__buffer *buffer, uint8_t value);
int fathom__pack_float(struct fathom__buffer *buffer, float value);

/* A reader over borrowed bytes. Once a read fails, all later ones fail and `ok` is false: check it once at the end. */
struct fathom__unpack {
    const unsigned char *bytes, *end;
    bool ok;
};
void fathom__unpack_begin(struct fathom__unpack *in, const void *bytes, size_t length);
uint64_t fathom__unpack_integer(struct fathom__unpack *in, uint64_t most); /* fails over `most` */
uint8_t fathom__unpack_byte(struct fathom__unpack *in);
float fathom__unpack_float(struct fathom__unpack *in);     /* fails unless finite */
bool fathom__unpack_done(const struct fathom__unpack *in); /* ok, and nothing is left */

#endif
