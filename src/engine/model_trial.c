/* A trial in a child process: what aborts there would have aborted the caller.
 *
 * The child is forked, loads the model without any GPU, tokenises a line, runs one token and leaves with _exit. It
 * never returns into the caller's code and runs none of its exit handlers. POSIX lets the child of a process with
 * several threads call async-signal-safe functions only; glibc makes its allocator usable there, and what could still
 * block (a lock that another thread held at the fork) ends at the time limit, as a failed trial. Models of checked
 * architectures need none of this, and `trust_architecture` leaves it out.
 */
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/guard.h"
#include "engine/model_parts.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 600, TRIAL_CONTEXT = 64, MOST_TOKENS = 64, CHILD_OK = 0, CHILD_FAILED = 1 };

#define TRIAL_SECONDS 300.0
#define TRIAL_TEXT "A trial: 12 words,\n\tna\xC3\xAFve \xF0\x9F\x8F\x80  and <b>so</b> on."

static int message_pipe = -1; /* in the child: where its words go */

static void say(const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        const ssize_t n = write(message_pipe, text, left);
        if (n <= 0) return;
        text += n;
        left -= (size_t)n;
    }
}

/* ggml gives an assertion's text before it aborts. */
static void say_abort(const char *text) {
    say(text);
    _exit(CHILD_FAILED);
}

static int run_one_token(struct llama_model *model) {
    struct llama_context_params params = llama_context_default_params();
    struct llama_context *context = NULL;
    llama_token tokens[MOST_TOKENS];
    int32_t n = 0, result = 0;
    params.n_ctx = TRIAL_CONTEXT;
    params.n_batch = params.n_ubatch = TRIAL_CONTEXT;
    params.n_threads = params.n_threads_batch = 1; /* no threads are started in the child */
    int status = fathom__guard_tokenize(&n, llama_model_get_vocab(model), TRIAL_TEXT, (int32_t)strlen(TRIAL_TEXT),
                                        tokens, MOST_TOKENS, true, false);
    if (status == FATHOM_OK) status = fathom__guard_context_init(&context, model, params);
    if (status != FATHOM_OK) return status;
    llama_token first = n > 0 ? tokens[0] : 0;
    status = fathom__guard_decode(&result, context, llama_batch_get_one(&first, 1));
    if (status == FATHOM_OK && result != 0)
        status = fathom__fail(FATHOM_ERROR_ENGINE, "running one token failed (%d)", result);
    return status;
}

static void child(const char **paths, size_t n) {
    const struct rlimit no_core = {0, 0};
    struct llama_model_params params = llama_model_default_params();
    static ggml_backend_dev_t no_devices[] = {NULL};
    struct llama_model *model = NULL;
    const int null = open("/dev/null", O_RDWR);
    setrlimit(RLIMIT_CORE, &no_core);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
    ggml_set_abort_callback(say_abort);
    params.n_gpu_layers = 0;
    params.devices = no_devices;
    int status = fathom__guard_model_load(&model, paths, n, params);
    if (status == FATHOM_OK) status = run_one_token(model);
    if (status != FATHOM_OK) say(fathom_error_message());
    _exit(status == FATHOM_OK ? CHILD_OK : CHILD_FAILED);
}

/* Gathers the child's words until it closes its end, or the time is over. */
static bool listen(char message[MESSAGE_SIZE], int from) {
    const double deadline = fathom__seconds() + TRIAL_SECONDS;
    size_t length = 0;
    for (;;) {
        struct pollfd ready = {.fd = from, .events = POLLIN};
        const double left = deadline - fathom__seconds();
        if (left <= 0) return false;
        const int n = poll(&ready, 1, (int)(left * 1000) + 1);
        if (n < 0 && errno != EINTR) return false;
        if (n <= 0) continue;
        char bytes[MESSAGE_SIZE];
        const ssize_t got = read(from, bytes, sizeof bytes);
        if (got == 0) return true;
        for (ssize_t i = 0; i < got && length < MESSAGE_SIZE - 1; i++)
            message[length++] = bytes[i] == '\n' ? ' ' : bytes[i];
        message[length] = '\0';
    }
}

int fathom__model_trial(const struct fathom__model_files *files) {
    const char *path = files->paths[0], **paths = NULL;
    char message[MESSAGE_SIZE] = "";
    int ends[2], ended = 0;
    int status = fathom__alloc(&paths, files->n, sizeof *paths);
    if (status != FATHOM_OK) return status;
    for (size_t i = 0; i < files->n; i++)
        paths[i] = files->paths[i];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fathom_free(paths);
        return fathom__fail_errno(path, "be tried in a child process");
    }
    const pid_t process = fork();
    if (process == 0) {
        message_pipe = ends[1];
        close(ends[0]);
        child(paths, files->n);
    }
    close(ends[1]);
    fathom_free(paths);
    if (process < 0) {
        close(ends[0]);
        return fathom__fail_errno(path, "be tried in a child process");
    }
    const bool in_time = listen(message, ends[0]);
    close(ends[0]);
    if (!in_time) kill(process, SIGKILL);
    while (waitpid(process, &ended, 0) < 0 && errno == EINTR) {
    }
    if (in_time && WIFEXITED(ended) && WEXITSTATUS(ended) == CHILD_OK) return FATHOM_OK;
    if (!in_time)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a trial load did not end within %.0f seconds", path,
                            TRIAL_SECONDS);
    if (message[0] != '\0') {
        /* What the child says begins with the file's name, as all messages do. */
        const size_t named = strlen(path);
        const char *said =
            strncmp(message, path, named) == 0 && message[named] == ':' ? message + named + strlen(": ") : message;
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a trial load failed: %s", path, said);
    }
    if (WIFSIGNALED(ended))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a trial load was ended by %s", path, strsignal(WTERMSIG(ended)));
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: a trial load failed", path);
}
