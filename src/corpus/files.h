/* The files that a source consists of. */
#ifndef FATHOM_CORPUS_FILES_H
#define FATHOM_CORPUS_FILES_H

#include <stddef.h>
#include <stdint.h>

struct fathom__files {
    char **paths;
    size_t n, capacity;
    uint64_t bytes; /* of all files together; 0 where one has no size (standard input, a pipe) */
};

/* A file, "-", or a folder: its files and those of its folders, in the byte order of their names; names that begin with
 * a dot are left out. Errors: IO (missing, a folder without files, folders nested too deeply), MEMORY. */
int fathom__files_list(struct fathom__files *out, const char *path);
void fathom__files_free(struct fathom__files *files);

#endif
