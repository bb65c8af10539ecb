/* Writing zip archives: members stored, one after another, then the directory. No zip64: archives under 4 GiB. */
#ifndef FATHOM_BASE_ZIP_WRITE_H
#define FATHOM_BASE_ZIP_WRITE_H

#include "base/buffer.h"
#include "base/file.h"
#include <stdint.h>

struct fathom__zip_writer {
    struct fathom__writer writer;
    struct fathom__buffer directory;
    uint64_t at;
    size_t n;
};

/* Under a temporary name until it is committed. IO. */
int fathom__zip_write_open(struct fathom__zip_writer *out, const char *path);
/* A member whose bytes are the parts one after another. LIMIT (4 GiB), IO, MEMORY. */
struct fathom__zip_part {
    const void *bytes;
    size_t length;
};
int fathom__zip_write_member(struct fathom__zip_writer *zip, const char *name, const struct fathom__zip_part *parts,
                             size_t n_parts);
int fathom__zip_write_commit(struct fathom__zip_writer *zip);
void fathom__zip_write_discard(struct fathom__zip_writer *zip); /* harmless after commit; always to be called */

#endif
