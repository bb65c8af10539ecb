/* One member out of a zip archive, such as a Python wheel. */
#ifndef FATHOM_BASE_ZIP_MEMBER_H
#define FATHOM_BASE_ZIP_MEMBER_H

#include "base/file.h"

/* Appends the bytes of the member `name` (stored or deflated; no encryption) of the archive at `path` to
 * `out`, after checking every offset against the file, and at the end size and CRC-32. Errors: IO, FORMAT, NOT_FOUND
 * (no such member), MEMORY. */
int fathom__zip_member(struct fathom__writer *out, const char *path, const char *name);

#endif
