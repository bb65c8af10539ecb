/* For tests only: a folder for the files that a test writes, removed when the test ends. It lies in $TMPDIR, which
 * ctest sets to a folder inside the build. */
#ifndef FATHOM_BASE_SCRATCH_H
#define FATHOM_BASE_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCRATCH_PATH = 512, SCRATCH_PATHS = 64 };

static char scratch_folder[SCRATCH_PATH];
static pid_t scratch_owner;

static inline int scratch_remove_one(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)about, (void)kind, (void)where;
    return remove(path);
}

/* Children that a test forks run their parent's exit handlers too. */
static inline void scratch_remove(void) {
    if (scratch_folder[0] && getpid() == scratch_owner)
        nftw(scratch_folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The folder. */
static inline const char *scratch_root(void) {
    if (!scratch_folder[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(scratch_folder, sizeof scratch_folder, "%s/fathom-test.XXXXXX", base && base[0] ? base : "/tmp");
        if (!mkdtemp(scratch_folder)) {
            perror(scratch_folder);
            exit(EXIT_FAILURE);
        }
        scratch_owner = getpid();
        atexit(scratch_remove);
    }
    return scratch_folder;
}

/* The path of a file of this name in the folder, valid for so many calls. */
static inline const char *scratch(const char *name) {
    static char paths[SCRATCH_PATHS][2 * SCRATCH_PATH];
    static unsigned turn;
    char *path = paths[turn++ % SCRATCH_PATHS];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_root(), name);
    return path;
}

/* Writes bytes to a file of this name and gives its path. */
static inline const char *scratch_file(const char *name, const void *bytes, size_t length) {
    const char *path = scratch(name);
    FILE *file = fopen(path, "wb");
    if (!file || (length && fwrite(bytes, 1, length, file) != length) || fclose(file)) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return path;
}

static inline const char *scratch_text(const char *name, const char *text) {
    return scratch_file(name, text, strlen(text));
}

#endif
