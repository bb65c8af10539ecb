#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <corpus/files.h>

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Deeper than people nest folders, and an end for links that lead back up. */
enum { DEPTH_LIMIT = 32 };

static int compare(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a folder, sorted. */
static int list_names(struct fathom__files *names, const char *folder) {
    DIR *entries = opendir(folder);
    if (!entries) return fathom__fail_errno(folder, "open the folder");
    int status = FATHOM_OK;
    while (!status) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (!entry) {
            if (errno) status = fathom__fail_errno(folder, "read the folder");
            break;
        }
        if (entry->d_name[0] == '.') continue;
        status = fathom__grow(&names->paths, &names->capacity, names->n + 1, sizeof *names->paths);
        if (!status) status = fathom__copy_string(&names->paths[names->n], entry->d_name);
        if (!status) names->n++;
    }
    closedir(entries);
    if (names->n > 1) qsort(names->paths, names->n, sizeof *names->paths, compare);
    return status;
}

static int add(struct fathom__files *files, bool *all_sized, const char *path, int depth);

static int add_folder(struct fathom__files *files, bool *all_sized, const char *folder, int depth) {
    struct fathom__files names = {0};
    if (depth > DEPTH_LIMIT)
        return fathom__fail(FATHOM_ERROR_IO, "%s: folders are nested more than %d deep", folder, DEPTH_LIMIT);
    int status = list_names(&names, folder);
    for (size_t i = 0; i < names.n && !status; i++) {
        char *path = NULL;
        status = fathom__path_join(&path, folder, names.paths[i]);
        if (!status) status = add(files, all_sized, path, depth + 1);
        fathom_free(path);
    }
    fathom__files_free(&names);
    return status;
}

static int add(struct fathom__files *files, bool *all_sized, const char *path, int depth) {
    struct stat about;
    bool standard_input = depth == 0 && strcmp(path, "-") == 0;
    if (!standard_input && stat(path, &about)) return fathom__fail_errno(path, "open");
    if (!standard_input && S_ISDIR(about.st_mode)) return add_folder(files, all_sized, path, depth);
    int status = fathom__grow(&files->paths, &files->capacity, files->n + 1, sizeof *files->paths);
    if (!status) status = fathom__copy_string(&files->paths[files->n], path);
    if (status) return status;
    files->n++;
    if (standard_input || !S_ISREG(about.st_mode))
        *all_sized = false;
    else
        files->bytes += (uint64_t)about.st_size;
    return FATHOM_OK;
}

int fathom__files_list(struct fathom__files *out, const char *path) {
    struct fathom__files files = {0};
    bool all_sized = true;
    int status = add(&files, &all_sized, path, 0);
    if (!status && files.n == 0) status = fathom__fail(FATHOM_ERROR_IO, "%s: the folder holds no files", path);
    if (!all_sized) files.bytes = 0;
    if (status)
        fathom__files_free(&files);
    else
        *out = files;
    return status;
}

void fathom__files_free(struct fathom__files *files) {
    for (size_t i = 0; i < files->n; i++)
        fathom_free(files->paths[i]);
    fathom_free(files->paths);
    *files = (struct fathom__files){0};
}
