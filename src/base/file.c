#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_MODE = 0777 };

/* Opens a regular file (or, for whole reads, a pipe) and gives what fstat says about it. */
static int open_file(int *out, struct stat *about, const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return fathom__fail_errno(path, "open");
    if (fstat(file, about)) {
        int status = fathom__fail_errno(path, "examine");
        close(file);
        return status;
    }
    if (S_ISDIR(about->st_mode)) {
        close(file);
        return fathom__fail(FATHOM_ERROR_IO, "%s: is a folder, a file was expected", path);
    }
    *out = file;
    return FATHOM_OK;
}

static int over_limit(const char *path, size_t limit) {
    return fathom__fail(FATHOM_ERROR_LIMIT, "%s: is larger than the limit of %zu bytes", path, limit);
}

int fathom__file_read(char **out, size_t *length, const char *path, size_t limit) {
    int file = -1;
    struct stat about;
    char *bytes = NULL;
    size_t have = 0, capacity = 0;
    int status = open_file(&file, &about, path);
    if (status) return status;
    size_t expected = about.st_size > 0 ? (size_t)about.st_size : 0;
    if (S_ISREG(about.st_mode) && expected > limit) {
        status = over_limit(path, limit);
        goto done;
    }
    for (;;) {
        /* One byte beyond what is expected, so that the end of the file is met without growing again. */
        status = fathom__grow(&bytes, &capacity, (have > expected ? have : expected) + 2, 1);
        if (status) goto done;
        ssize_t got = read(file, bytes + have, capacity - have - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = fathom__fail_errno(path, "read");
            goto done;
        }
        if (got == 0) break;
        have += (size_t)got;
        if (have > limit) {
            status = over_limit(path, limit);
            goto done;
        }
    }
    bytes[have] = '\0';
    *out = bytes;
    *length = have;
    bytes = NULL;
done:
    free(bytes);
    close(file);
    return status;
}

int fathom__file_map(struct fathom__mapping *out, const char *path) {
    int file = -1;
    struct stat about;
    int status = open_file(&file, &about, path);
    if (status) return status;
    struct fathom__mapping mapping = {NULL, 0};
    if (!S_ISREG(about.st_mode)) {
        status = fathom__fail(FATHOM_ERROR_IO, "%s: a regular file was expected", path);
    } else if (about.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, file, 0);
        if (bytes == MAP_FAILED)
            status = fathom__fail_errno(path, "map");
        else
            mapping = (struct fathom__mapping){bytes, (size_t)about.st_size};
    }
    close(file);
    if (!status) *out = mapping;
    return status;
}

void fathom__file_unmap(struct fathom__mapping *mapping) {
    /* munmap takes a plain pointer although nothing was ever written through it. */
    if (mapping->length) munmap((void *)(uintptr_t)mapping->bytes, mapping->length);
    mapping->bytes = NULL;
    mapping->length = 0;
}

bool fathom__file_exists(const char *path) {
    struct stat about;
    return stat(path, &about) == 0;
}

bool fathom__file_filled(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && about.st_size > 0;
}

int fathom__path_join(char **out, const char *base, const char *name) {
    size_t length = strlen(base);
    bool slash = length > 0 && base[length - 1] == '/';
    return fathom__format(out, slash ? "%s%s" : "%s/%s", base, name);
}

static int make_folder(const char *path) {
    struct stat about;
    if (mkdir(path, FOLDER_MODE) == 0) return FATHOM_OK;
    int reason = errno;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) return FATHOM_OK;
    errno = reason == EEXIST ? ENOTDIR : reason;
    return fathom__fail_errno(path, "make the folder");
}

int fathom__make_folders(const char *path) {
    char *copy;
    int status = fathom__copy_string(&copy, path);
    if (status) return status;
    for (char *c = copy + 1; copy[0] && *c && !status; c++) {
        if (*c != '/' || c[-1] == '/') continue;
        *c = '\0';
        status = make_folder(copy);
        *c = '/';
    }
    if (!status && copy[0]) status = make_folder(copy);
    fathom_free(copy);
    return status;
}

/* `variable` or $HOME/fallback, then "/fathom", then "/name"; makes the folder in which the result lies. */
static int user_path(char **out, const char *variable, const char *fallback, const char *name) {
    char *folder = NULL, *path = NULL;
    const char *base = getenv(variable), *home = getenv("HOME");
    int status;
    /* The XDG specification has relative paths ignored. */
    if (base && base[0] == '/')
        status = fathom__path_join(&folder, base, "fathom");
    else if (home && home[0])
        status = fathom__format(&folder, "%s/%s/fathom", home, fallback);
    else
        status = fathom__fail(FATHOM_ERROR_IO, "neither $%s nor $HOME is set: one is needed to place files", variable);
    if (!status) status = name ? fathom__path_join(&path, folder, name) : fathom__copy_string(&path, folder);
    if (!status) {
        char *slash = strrchr(path, '/');
        *slash = '\0';
        status = fathom__make_folders(path);
        *slash = '/';
    }
    if (!status) {
        *out = path;
        path = NULL;
    }
    fathom_free(path);
    fathom_free(folder);
    return status;
}

int fathom__cache_path(char **out, const char *name) {
    return user_path(out, "XDG_CACHE_HOME", ".cache", name);
}

int fathom__data_path(char **out, const char *name) {
    return user_path(out, "XDG_DATA_HOME", ".local/share", name);
}

size_t fathom__stem_length(const char *path) {
    static const char ending[] = ".gguf";
    const size_t length = strlen(path), n = sizeof ending - 1;
    return length > n && path[length - n - 1] != '/' && strcmp(path + length - n, ending) == 0 ? length - n : length;
}
