/* Zip archives, mapped: what members there are, and their bytes. zip64 is read; encryption and spans are not. */
#ifndef FATHOM_BASE_ZIP_H
#define FATHOM_BASE_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fathom__zip fathom__zip;

/* Reads the archive's directory. IO, FORMAT. */
int fathom__zip_open(fathom__zip **out, const char *path);
void fathom__zip_close(fathom__zip *zip);
const char *fathom__zip_path(const fathom__zip *zip);
size_t fathom__zip_count(const fathom__zip *zip);
/* A member's name, zero-terminated. */
const char *fathom__zip_name(const fathom__zip *zip, size_t index);
/* The number of the member of this name, the first of several; SIZE_MAX: none. */
size_t fathom__zip_find(const fathom__zip *zip, const char *name);

/* Where a member lies, its headers checked against the file. FORMAT, UNSUPPORTED (encrypted, or another method). */
struct fathom__zip_place {
    const unsigned char *bytes; /* `packed` of them, as they are in the file */
    size_t packed, size;
    uint32_t crc;
    bool deflated;
};
int fathom__zip_locate(struct fathom__zip_place *out, const fathom__zip *zip, size_t index);

/* A member's bytes, checked against their CRC-32: in the mapped file where it is stored, else inflated. Valid until the
 * archive is closed. FORMAT, UNSUPPORTED, MEMORY. */
int fathom__zip_bytes(const unsigned char **out, size_t *length, fathom__zip *zip, size_t index);

#endif
