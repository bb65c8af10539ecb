#include "engine/package_client.h"
#include "base/child.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 24, MOST_DEPTH = 16, LAST_LINE_SIZE = 400, POLL_MILLISECONDS = 250, CHUNK = 4096 };

#define TEMPORARY_VARIABLE "TMPDIR="

/* Calls `visit` for every entry below a folder, folders after what is in them. */
static void walk(const char *folder, int depth,
                 void (*visit)(const char *path, const struct stat *about, void *payload), void *payload) {
    DIR *entries = depth < MOST_DEPTH ? opendir(folder) : NULL;
    const struct dirent *entry;
    if (entries == NULL) return;
    while ((entry = readdir(entries)) != NULL) {
        struct stat about;
        char *path = NULL;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (fathom__format(&path, "%s/%s", folder, entry->d_name) != FATHOM_OK) break;
        if (lstat(path, &about) == 0) {
            if (S_ISDIR(about.st_mode)) walk(path, depth + 1, visit, payload);
            visit(path, &about, payload);
        }
        fathom_free(path);
    }
    closedir(entries);
}

static void remove_entry(const char *path, const struct stat *about, void *payload) {
    (void)about, (void)payload;
    (void)remove(path);
}

static void count_bytes(const char *path, const struct stat *about, void *payload) {
    (void)path;
    if (S_ISREG(about->st_mode)) *(uint64_t *)payload += (uint64_t)about->st_size;
}

void fathom__package_remove_folder(const char *folder) {
    walk(folder, 0, remove_entry, NULL);
    (void)rmdir(folder);
}

/* The last line that is not blank of what the client wrote, gathered as it comes. */
struct last_line {
    char text[LAST_LINE_SIZE], next[LAST_LINE_SIZE];
    size_t length;
};

static void keep_last_line(struct last_line *line, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\n' || bytes[i] == '\r') {
            line->next[line->length] = '\0';
            if (strspn(line->next, " \t") != line->length) memcpy(line->text, line->next, line->length + 1);
            line->length = 0;
        } else if (line->length < LAST_LINE_SIZE - 1) {
            line->next[line->length++] = bytes[i];
        }
    }
}

/* The environment with TMPDIR inside the folder, so that unfinished downloads lie there too: they are counted, and
 * removed with it. */
static int client_environment(char ***out, char **variable, const char *folder) {
    char **const present = fathom__environment();
    size_t n = 0, kept = 0;
    while (present[n] != NULL)
        n++;
    char **list = NULL;
    int status = fathom__format(variable, TEMPORARY_VARIABLE "%s", folder);
    if (status == FATHOM_OK) status = fathom__alloc(&list, n + 2, sizeof *list);
    if (status != FATHOM_OK) return status;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(present[i], TEMPORARY_VARIABLE, strlen(TEMPORARY_VARIABLE)) != 0) list[kept++] = present[i];
    }
    list[kept] = *variable;
    *out = list;
    return FATHOM_OK;
}

static int start(pid_t *child, int *output, const char *folder, const char *const *requirements) {
    const char *arguments[MOST_ARGUMENTS] = {"python3",
                                             "-m",
                                             "pip",
                                             "download",
                                             "--quiet",
                                             "--no-input",
                                             "--disable-pip-version-check",
                                             "--no-deps",
                                             "--only-binary=:all:",
                                             "--dest",
                                             folder};
    size_t n = 0;
    while (arguments[n] != NULL)
        n++;
    for (size_t i = 0; requirements[i] != NULL && n < MOST_ARGUMENTS - 1; i++)
        arguments[n++] = requirements[i];
    char **environment = NULL, *variable = NULL;
    int ends[2] = {-1, -1};
    posix_spawn_file_actions_t actions;
    int status = client_environment(&environment, &variable, folder);
    if (status == FATHOM_OK && fathom__pipe(ends) != 0) status = fathom__fail_errno("python3", "start");
    if (status == FATHOM_OK) {
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
        const int error = posix_spawnp(child, arguments[0], &actions, NULL, (char **)(uintptr_t)arguments, environment);
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        if (error != 0) {
            close(ends[0]);
            status =
                fathom__fail(FATHOM_ERROR_IO, "python3: cannot be started: %s (the download needs Python 3 with pip)",
                             strerror(error));
        }
    }
    *output = ends[0];
    fathom_free(environment);
    fathom_free(variable);
    return status;
}

static int report(const char *folder, uint64_t bytes, double started, fathom_progress_fn progress, void *payload) {
    uint64_t done = 0;
    if (progress == NULL) return FATHOM_OK;
    walk(folder, 0, count_bytes, &done);
    const double seconds = fathom__seconds() - started;
    const double rate = seconds > 0 ? (double)done / seconds : 0;
    if (done > bytes) done = bytes;
    const struct fathom_progress now = {
        .stage = "fetch",
        .done = done,
        .total = bytes,
        .unit = "bytes",
        .units_per_second = rate,
        .seconds_left = rate > 0 ? (double)(bytes - done) / rate : -1,
    };
    const int returned = progress(&now, payload);
    return returned == 0 ? FATHOM_OK : fathom__callback_status(returned);
}

int fathom__package_download(const char *folder, const char *const *requirements, uint64_t bytes,
                             fathom_progress_fn progress, void *payload) {
    struct last_line line = {.length = 0};
    const double started = fathom__seconds();
    pid_t child;
    int output, ended;
    int status = start(&child, &output, folder, requirements);
    if (status != FATHOM_OK) return status;
    for (bool open = true; open;) {
        struct pollfd ready = {.fd = output, .events = POLLIN};
        char chunk[CHUNK];
        if (poll(&ready, 1, POLL_MILLISECONDS) > 0) {
            const ssize_t n = read(output, chunk, sizeof chunk);
            if (n > 0) keep_last_line(&line, chunk, (size_t)n);
            open = n > 0 || (n < 0 && errno == EINTR);
        }
        if (status == FATHOM_OK) {
            status = report(folder, bytes, started, progress, payload);
            if (status != FATHOM_OK) kill(child, SIGTERM);
        }
    }
    close(output);
    keep_last_line(&line, "\n", 1);
    while (waitpid(child, &ended, 0) < 0 && errno == EINTR) {
    }
    if (status == FATHOM_ERROR_STOPPED) return fathom__fail(status, "the download was stopped");
    if (status != FATHOM_OK) return status;
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_IO, "python3 -m pip download %s failed: %s", requirements[0],
                        line.text[0] != '\0' ? line.text : "it said nothing");
}
