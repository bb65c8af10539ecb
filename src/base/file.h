/* Files: whole reads with a limit, mapping, writing that leaves nothing half-written, and where caches lie. */
#ifndef FATHOM_BASE_FILE_H
#define FATHOM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The whole file, zero-terminated; LIMIT over `limit` bytes. */
int fathom__file_read(char **out, size_t *length, const char *path, size_t limit);

struct fathom__mapping {
    const unsigned char *bytes;
    size_t length;
};
int fathom__file_map(struct fathom__mapping *out, const char *path); /* read-only; an empty file maps to length 0 */
void fathom__file_unmap(struct fathom__mapping *mapping);

/* Writing in two steps: everything goes to a temporary file beside `path`; commit flushes, syncs and renames it,
 * discard removes it. Errors (a full disk above all) come out of commit at the latest. A symbolic link keeps its place,
 * and devices and pipes are written to directly. */
struct fathom__writer {
    FILE *stream;
    char *path, *temporary; /* temporary NULL: written to directly */
};
int fathom__writer_open(struct fathom__writer *out, const char *path);
int fathom__writer_write(struct fathom__writer *writer, const void *bytes, size_t length);
int fathom__writer_commit(struct fathom__writer *writer);
void fathom__writer_discard(struct fathom__writer *writer); /* harmless after commit */
/* Whether `path` can be written, asked before the work that makes what is to be written. Leaves nothing behind. */
int fathom__writer_probe(const char *path);
int fathom__file_write(const char *path, const void *bytes, size_t length);

bool fathom__file_exists(const char *path);
bool fathom__file_filled(const char *path); /* it exists and has at least one byte */
int fathom__make_folders(const char *path); /* like mkdir -p */
/* $XDG_CACHE_HOME/fathom (or ~/.cache/fathom) and $XDG_DATA_HOME/fathom, with "/name" appended when name is not NULL;
 * the folder above is made. New. */
int fathom__cache_path(char **out, const char *name);
int fathom__data_path(char **out, const char *name);
/* base + "/" + name, new. */
int fathom__path_join(char **out, const char *base, const char *name);
/* Length of a GGUF file's path without its ending. Names hold points of their own, as "resid_post.11" does: what follows the last one
 * is an ending only where it is "gguf". */
size_t fathom__stem_length(const char *path);

#endif
