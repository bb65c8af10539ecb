/* The writing half of file.h. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MODE = 0666, NAME_ATTEMPTS = 100 };

/* A name beside `path` that no other writer, of this process or another, has. */
static int open_temporary(int *file, char **name, const char *path) {
    static _Thread_local unsigned counter;
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        char *candidate;
        int status = fathom__format(&candidate, "%s.%ld-%zx-%u.part", path, (long)getpid(), (size_t)&counter, counter);
        if (status) return status;
        counter++;
        *file = open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
        if (*file >= 0) {
            *name = candidate;
            return FATHOM_OK;
        }
        bool taken = errno == EEXIST;
        if (!taken) status = fathom__fail_errno(path, "write");
        fathom_free(candidate);
        if (!taken) return status;
    }
    return fathom__fail(FATHOM_ERROR_IO, "%s: no free temporary name beside it", path);
}

/* What a rename may replace: a symbolic link stays, and its target is replaced; a device or a pipe has no content to
 * keep whole and would be lost, so that it is written to as it is (*direct). */
static int find_target(char **out, bool *direct, const char *path) {
    struct stat about;
    *direct = false;
    if (stat(path, &about)) return fathom__copy_string(out, path);
    if (S_ISDIR(about.st_mode))
        return fathom__fail(FATHOM_ERROR_IO, "%s: is a folder, a file to write was expected", path);
    *direct = !S_ISREG(about.st_mode);
    char *target = lstat(path, &about) == 0 && S_ISLNK(about.st_mode) ? realpath(path, NULL) : NULL;
    int status = fathom__copy_string(out, target ? target : path);
    free(target);
    return status;
}

int fathom__writer_open(struct fathom__writer *out, const char *path) {
    struct fathom__writer writer = {NULL, NULL, NULL};
    bool direct = false;
    int file = -1;
    int status = find_target(&writer.path, &direct, path);
    if (!status && direct) {
        file = open(path, O_WRONLY | O_CLOEXEC);
        if (file < 0) status = fathom__fail_errno(path, "write");
    } else if (!status) {
        status = open_temporary(&file, &writer.temporary, writer.path);
    }
    if (!status) {
        writer.stream = fdopen(file, "wb");
        if (!writer.stream) {
            status = fathom__fail_errno(path, "write");
            close(file);
        }
    }
    if (status)
        fathom__writer_discard(&writer);
    else
        *out = writer;
    return status;
}

int fathom__writer_write(struct fathom__writer *writer, const void *bytes, size_t length) {
    if (length && fwrite(bytes, 1, length, writer->stream) != length) return fathom__fail_errno(writer->path, "write");
    return FATHOM_OK;
}

/* The rename is safe against power loss only when the folder is synced too; filesystems that cannot do so are not an
 * error. */
static void sync_folder(const char *path) {
    char *folder;
    if (fathom__copy_string(&folder, path)) return;
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = '\0';
    int file = open(slash ? folder : ".", O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        fsync(file);
        close(file);
    }
    fathom_free(folder);
}

int fathom__writer_commit(struct fathom__writer *writer) {
    int status = FATHOM_OK;
    /* The stream remembers a write that failed earlier and was not looked at; why it failed shows on the next try, if
     * at all. */
    bool failed = ferror(writer->stream);
    errno = failed ? EIO : 0;
    if (fflush(writer->stream) || (writer->temporary && fsync(fileno(writer->stream))) || failed)
        status = fathom__fail_errno(writer->path, "write");
    if (fclose(writer->stream) && !status) status = fathom__fail_errno(writer->path, "write");
    writer->stream = NULL;
    if (!status && writer->temporary && rename(writer->temporary, writer->path))
        status = fathom__fail_errno(writer->path, "write");
    if (!status && writer->temporary) {
        sync_folder(writer->path);
        fathom_free(writer->temporary);
        writer->temporary = NULL;
    }
    fathom__writer_discard(writer);
    return status;
}

void fathom__writer_discard(struct fathom__writer *writer) {
    if (writer->stream) fclose(writer->stream);
    if (writer->temporary) unlink(writer->temporary);
    fathom_free(writer->temporary);
    fathom_free(writer->path);
    *writer = (struct fathom__writer){NULL, NULL, NULL};
}

int fathom__writer_probe(const char *path) {
    struct fathom__writer writer;
    struct stat about;
    /* Opening a pipe would wait for its reader. */
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) return FATHOM_OK;
    int status = fathom__writer_open(&writer, path);
    if (!status) fathom__writer_discard(&writer);
    return status;
}

int fathom__file_write(const char *path, const void *bytes, size_t length) {
    struct fathom__writer writer;
    int status = fathom__writer_open(&writer, path);
    if (status) return status;
    status = fathom__writer_write(&writer, bytes, length);
    if (!status) status = fathom__writer_commit(&writer);
    fathom__writer_discard(&writer);
    return status;
}
