/* One request, by the program curl: TLS, proxies and certificates are the system's. */
#include "base/child.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "steer/judge.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 4096, MILLISECONDS = 1000, CONFIGURATION_LIMIT = 96 << 10, STATUS_DIGITS = 3 };
enum { CONNECT_SECONDS = 10, GRACE_SECONDS = 5 };

extern char **environ;

/* A quoted value of curl's configuration. */
static int put_quoted(struct fathom__buffer *out, const char *name, const char *before, const char *value) {
    int status = fathom__buffer_format(out, "%s = \"%s", name, before);
    for (const char *c = value; *c != '\0' && status == FATHOM_OK; c++) {
        const char escaped[] = {'\\', *c};
        bool special = *c == '\\' || *c == '"';
        status = fathom__buffer_append(out, special ? escaped : c, special ? 2 : 1);
    }
    return status == FATHOM_OK ? fathom__buffer_text(out, "\"\n") : status;
}

/* Everything goes by curl's standard input, so that the key stands in no list of processes. */
static int configure(struct fathom__buffer *out, const struct fathom__post *post) {
    int status = put_quoted(out, "url", "", post->url);
    if (status == FATHOM_OK && post->key != NULL) {
        status = put_quoted(out, "header", "Authorization: Bearer ", post->key);
    }
    if (status == FATHOM_OK) {
        status = put_quoted(out, "header", "Content-Type: application/json", "");
    }
    if (status == FATHOM_OK) {
        status = put_quoted(out, "data-raw", "", post->body);
    }
    if (status == FATHOM_OK) {
        status = fathom__buffer_format(out,
                                       "max-time = %.3f\nconnect-timeout = %d\nproto = \"=http,https\"\nsilent\n"
                                       "show-error\nwrite-out = \"%%{http_code}\"\n",
                                       post->seconds, CONNECT_SECONDS);
    }
    return status == FATHOM_OK ? status : fathom__wrap(status, "%s: the request", post->url);
}

/* A file without a name that holds the configuration, at its beginning. */
static int as_file(FILE **out, const struct fathom__buffer *configuration, const char *url) {
    FILE *file = tmpfile();
    if (file == NULL || fwrite(configuration->bytes, 1, configuration->length, file) != configuration->length ||
        fflush(file) != 0 || fseek(file, 0, SEEK_SET) != 0) {
        int status = fathom__fail_errno(url, "be asked by a temporary file");
        if (file != NULL) {
            fclose(file);
        }
        return status;
    }
    *out = file;
    return FATHOM_OK;
}

static int start(pid_t *child, int *output, int input, const char *url) {
    static const char *const arguments[] = {"curl", "--disable", "--config", "-", NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    if (fathom__pipe(ends) != 0) {
        return fathom__fail_errno(url, "be asked through a pipe");
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    const int error = posix_spawnp(child, arguments[0], &actions, NULL, (char **)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        return fathom__fail(FATHOM_ERROR_IO, "%s: curl cannot be started: %s (a judge is asked by this program)", url,
                            strerror(error));
    }
    *output = ends[0];
    return FATHOM_OK;
}

/* What it writes until it ends; false when the time is over or there is too much of it. */
static bool listen_to(int *status, struct fathom__buffer *said, int from, double seconds) {
    const double deadline = fathom__seconds() + seconds;
    char bytes[PIECE];
    for (;;) {
        struct pollfd ready = {.fd = from, .events = POLLIN};
        const double left = deadline - fathom__seconds();
        if (left <= 0) {
            return false;
        }
        if (poll(&ready, 1, (int)(left * MILLISECONDS) + 1) <= 0) {
            continue;
        }
        const ssize_t n = read(from, bytes, sizeof bytes);
        if (n == 0) {
            return true;
        }
        if (n > 0) {
            *status = fathom__buffer_append(said, bytes, (size_t)n);
        }
        if (*status != FATHOM_OK) {
            return false;
        }
    }
}

/* The line that curl complains by. */
static int complain(bool *again, int how, bool in_time, const struct fathom__buffer *said, const char *url) {
    const char *words = said->bytes != NULL ? strstr(said->bytes, "curl: ") : NULL;
    *again = !WIFSIGNALED(how) || !in_time;
    if (WIFSIGNALED(how) && in_time) {
        return fathom__fail(FATHOM_ERROR_STOPPED, "%s: the request was stopped", url);
    }
    if (words == NULL) {
        return fathom__fail(FATHOM_ERROR_IO, "%s: no reply in time", url);
    }
    return fathom__fail(FATHOM_ERROR_IO, "%s: %.*s", url, (int)strcspn(words, "\n"), words);
}

/* The status stands behind the body. */
static int split(long *status, struct fathom__buffer *said, const char *url) {
    if (said->length < STATUS_DIGITS) {
        return fathom__fail(FATHOM_ERROR_IO, "%s: curl gave no status", url);
    }
    said->length -= STATUS_DIGITS;
    *status = strtol(said->bytes + said->length, NULL, 10);
    said->bytes[said->length] = '\0';
    return FATHOM_OK;
}

int fathom__post(struct fathom__buffer *reply, long *http_status, bool *again, const struct fathom__post *post) {
    struct fathom__buffer configuration = FATHOM__BUFFER_INIT(CONFIGURATION_LIMIT);
    FILE *file = NULL;
    pid_t child = -1;
    int output = -1;
    int how = 0;
    *again = false;
    int status = configure(&configuration, post);
    if (status == FATHOM_OK) {
        status = as_file(&file, &configuration, post->url);
    }
    if (status == FATHOM_OK) {
        status = start(&child, &output, fileno(file), post->url);
    }
    if (status == FATHOM_OK) {
        const bool in_time = listen_to(&status, reply, output, post->seconds + GRACE_SECONDS);
        if (!in_time) {
            kill(child, SIGKILL);
        }
        close(output);
        while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
        }
        if (status != FATHOM_OK) {
            status = fathom__wrap(status, "%s: the reply", post->url);
        } else {
            status = how != 0 ? complain(again, how, in_time, reply, post->url) : split(http_status, reply, post->url);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    fathom__buffer_free(&configuration);
    return status;
}
