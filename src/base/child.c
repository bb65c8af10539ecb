#include "base/child.h"
#include "base/error.h"
#include "base/thread.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* macOS' shared libraries do not see the variable. */
#ifdef __APPLE__
#include <crt_externs.h>
#else
extern char **environ;
#endif

/* The allocator of gcc 12's sanitizers is not made usable in the child: where another thread was inside it at the fork,
 * the child waits there until its time is over. Then it is tried again. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ATTEMPTS = 4 };
#else
enum { ATTEMPTS = 1 };
#endif

enum { PIECE = 4096, MILLISECONDS = 1000 };

char **fathom__environment(void) {
#ifdef __APPLE__
    return *_NSGetEnviron();
#else
    return environ;
#endif
}

int fathom__pipe(int ends[2]) {
    if (pipe(ends) != 0) return -1;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return 0;
}

void fathom__child_say(int words, const char *bytes, size_t length) {
    while (length > 0) {
        const ssize_t n = write(words, bytes, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        bytes += n;
        length -= (size_t)n;
    }
}

/* Bytes of address space in use; 0 where the system does not tell. */
static rlim_t mapped(void) {
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%llu", &pages) != 1) pages = 0;
    fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void lower(int resource, rlim_t most) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur <= most)) return;
    limit.rlim_cur = most;
    setrlimit(resource, &limit);
}

static void set_limits(const struct fathom__child_limits *limits, rlim_t in_use) {
    const int null = open("/dev/null", O_RDWR);
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (limits->processor_seconds > 0) lower(RLIMIT_CPU, limits->processor_seconds);
    if (limits->memory > 0 && in_use > 0) lower(RLIMIT_AS, in_use + limits->memory);
    if (null < 0) return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
}

/* Gathers the child's words until it closes its end (true), or the time is over or they are too many (false). */
static bool listen_to(int *status, struct fathom__buffer *said, double seconds, int from) {
    const double deadline = fathom__seconds() + seconds;
    for (;;) {
        struct pollfd ready = {.fd = from, .events = POLLIN};
        const double left = deadline - fathom__seconds();
        if (left <= 0) return false;
        const int n = poll(&ready, 1, (int)(left * MILLISECONDS) + 1);
        if (n < 0 && errno != EINTR) return false;
        if (n <= 0) continue;
        char bytes[PIECE];
        const ssize_t got = read(from, bytes, sizeof bytes);
        if (got == 0) return true;
        if (got < 0 && errno != EINTR) return false;
        if (got > 0) *status = fathom__buffer_append(said, bytes, (size_t)got);
        if (*status != FATHOM_OK) return false;
    }
}

static int run_once(struct fathom__child_end *end, struct fathom__buffer *said, const char *name,
                    const struct fathom__child_limits *limits, int (*work)(void *payload, int words), void *payload) {
    const rlim_t in_use = mapped();
    int ends[2], how = 0, status = FATHOM_OK;
    if (fathom__pipe(ends) != 0) return fathom__fail_errno(name, "be tried in a child process");
    const pid_t process = fork();
    if (process == 0) {
        close(ends[0]);
        set_limits(limits, in_use);
        _exit(work(payload, ends[1]));
    }
    close(ends[1]);
    if (process < 0) {
        status = fathom__fail_errno(name, "be tried in a child process");
        close(ends[0]);
        return status;
    }
    const bool finished = listen_to(&status, said, limits->seconds, ends[0]);
    if (status != FATHOM_OK) fathom__wrap(status, "%s: what its child process says", name);
    if (!finished) kill(process, SIGKILL); /* before it hears that nobody listens */
    close(ends[0]);
    while (waitpid(process, &how, 0) < 0 && errno == EINTR) {
    }
    *end = (struct fathom__child_end){
        .in_time = finished && !(WIFSIGNALED(how) && WTERMSIG(how) == SIGXCPU),
        .signal = WIFSIGNALED(how) ? WTERMSIG(how) : 0,
        .value = WIFEXITED(how) ? WEXITSTATUS(how) : 0,
    };
    return status;
}

int fathom__child_run(struct fathom__child_end *end, struct fathom__buffer *said, const char *name,
                      const struct fathom__child_limits *limits, int (*work)(void *payload, int words), void *payload) {
    for (int attempt = 1;; attempt++) {
        const int status = run_once(end, said, name, limits, work, payload);
        if (status != FATHOM_OK || end->in_time || attempt == ATTEMPTS) return status;
        fathom__buffer_clear(said);
    }
}
