#include "server/task_process.h"
#include "base/child.h"
#include "base/error.h"
#include "base/memory.h"
#include "server/task_record.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

enum { FILE_MODE = 0600 };

static int set_up(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes, const char *output,
                  const char *log) {
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaddset(&defaults, signals[i]);
    int failed = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    if (!failed) failed = posix_spawn_file_actions_addopen(files, 1, output, O_WRONLY | O_CREAT | O_TRUNC, FILE_MODE);
    if (!failed) failed = posix_spawn_file_actions_addopen(files, 2, log, O_WRONLY | O_CREAT | O_APPEND, FILE_MODE);
    if (!failed) failed = posix_spawnattr_setsigmask(attributes, &none);
    if (!failed) failed = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (!failed)
        failed = posix_spawnattr_setflags(attributes,
                                          POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    return failed;
}

static int spawn(pid_t *out, char *const *arguments, const char *output, const char *log) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&files) != 0) return fathom__fail_memory(sizeof files);
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return fathom__fail_memory(sizeof attributes);
    }
    int failed = set_up(&files, &attributes, output, log);
    if (!failed) failed = posix_spawn(out, arguments[0], &files, &attributes, arguments, fathom__environment());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    errno = failed;
    return failed ? fathom__fail_errno(arguments[0], "start it") : FATHOM_OK;
}

int fathom__process_start(pid_t *out, const char *program, const json_t *arguments, const char *folder) {
    char **list = NULL, *output = NULL, *log = NULL;
    const size_t n = json_array_size(arguments);
    int status = fathom__alloc(&list, n + 2, sizeof *list);
    if (!status) status = fathom__copy_string(&list[0], program);
    for (size_t i = 0; i < n && !status; i++)
        status = fathom__copy_string(&list[i + 1], json_string_value(json_array_get(arguments, i)));
    if (!status) status = fathom__format(&output, "%s/" FATHOM__TASK_OUTPUT, folder);
    if (!status) status = fathom__format(&log, "%s/" FATHOM__TASK_LOG, folder);
    if (!status) status = spawn(out, list, output, log);
    for (size_t i = 0; list && i <= n; i++)
        fathom_free(list[i]);
    fathom_free(list);
    fathom_free(output);
    fathom_free(log);
    return status;
}

struct fathom__process_end fathom__process_wait(pid_t process) {
    siginfo_t end = {0};
    while (waitid(P_PID, (id_t)process, &end, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    return (struct fathom__process_end){.exited = end.si_code == CLD_EXITED, .value = end.si_status};
}

void fathom__process_forget(pid_t process) {
    while (waitpid(process, NULL, 0) < 0 && errno == EINTR) {
    }
}
