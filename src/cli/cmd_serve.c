#include "feature_view.h"
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <fathom/server.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

enum { DEFAULT_PORT = 8080, TOKEN_FILE_BYTES = 4096, MOST_NAMES = 32 };
/* How long answers under way may take once the server is asked to stop, and how often it looks whether it is. */
#define GRACE_SECONDS 10
#define LOOK_NANOSECONDS 100000000L

static const struct cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_ADAPTER,
    CLI_OPTION_GPU_LAYERS,
    CLI_OPTION_DICTIONARY,
    CLI_OPTION_CATALOGUE,
    {"no-dict", 0, CLI_FLAG, NULL, "serve the model alone, without features", false, false},
    {"host", 0, CLI_TEXT, "ADDRESS", "address to listen on; others than this machine's own need a token (127.0.0.1)",
     false, false},
    {"port", 0, CLI_INTEGER, "N", "port to listen on; 0 for a free one (8080)", false, false},
    {"token-file", 0, CLI_FILE, "FILE", "a file whose first line every request must give as its bearer token", false,
     false},
    {"allow-host", 0, CLI_TEXT, "NAME", "a name that requests may use for this server, as a reverse proxy does", true,
     false},
    {"allow-origin", 0, CLI_TEXT, "ORIGIN", "pages that may use this server, such as https://example.org", true, false},
    {"read-only", 0, CLI_FLAG, NULL, "refuse what changes files, such as labels", false, false},
    {"parallel", 0, CLI_INTEGER, "N", "conversations in one batch (4)", false, false},
    {"context", 0, CLI_INTEGER, "N", "most tokens of a conversation, its answer included (4096)", false, false},
    {"queue", 0, CLI_INTEGER, "N", "requests that may wait (64)", false, false},
    {"request-time", 0, CLI_INTEGER, "SECONDS", "most that a request may take (600)", false, false},
    {"read-time", 0, CLI_INTEGER, "SECONDS", "most that a client may take to send a request (30)", false, false},
    {"no-flash-attention", 0, CLI_FLAG, NULL, "attention not in one pass: slower, except on some processors", false,
     false},
    {"no-access-log", 0, CLI_FLAG, NULL, "print no line of JSON for each request", false, false},
    CLI_OPTION_THREADS,
    CLI_OPTION_END,
};

struct serving {
    struct feature_view view;
    struct fathom_server_options options;
    char *token;
    const char *names[MOST_NAMES], *origins[MOST_NAMES];
};

/* The first line of the file. */
static int read_token(struct serving *serving, const char *path) {
    size_t length = 0;
    const int status = fathom__file_read(&serving->token, &length, path, TOKEN_FILE_BYTES);
    if (status) return status;
    serving->token[strcspn(serving->token, "\r\n")] = '\0';
    serving->options.token = serving->token;
    return FATHOM_OK;
}

static bool read_numbers(struct fathom_server_options *out, const struct cli_arguments *arguments) {
    int64_t port = 0, parallel = 0, context = 0, threads = 0, queue = 0, seconds = 0, reading = 0;
    if (!cli_integer(&port, arguments, "port", 0, UINT16_MAX, DEFAULT_PORT) ||
        !cli_integer(&parallel, arguments, "parallel", 1, 256, 0) ||
        !cli_integer(&context, arguments, "context", 16, INT32_MAX / 2, 0) ||
        !cli_integer(&threads, arguments, "threads", 1, 512, 0) ||
        !cli_integer(&queue, arguments, "queue", 1, 1 << 20, 0) ||
        !cli_integer(&seconds, arguments, "request-time", 1, 1 << 20, 0) ||
        !cli_integer(&reading, arguments, "read-time", 1, 1 << 20, 0))
        return false;
    out->port = (uint16_t)port;
    out->n_parallel = (uint32_t)parallel;
    out->n_context = (uint32_t)context;
    out->n_threads = (uint32_t)threads;
    out->n_queue = (uint32_t)queue;
    out->request_seconds = (double)seconds;
    out->read_seconds = (double)reading;
    return true;
}

static bool read_list(const char **out, size_t *n, const struct cli_arguments *arguments, const char *name) {
    const char *const *given = cli_all(n, arguments, name);
    if (*n > MOST_NAMES) {
        (void)cli_usage(arguments, "--%s: at most %d are possible", name, MOST_NAMES);
        return false;
    }
    memcpy(out, given, *n * sizeof *out);
    return true;
}

static void print_line(const char *line, void *payload) {
    (void)payload;
    puts(line);
    fflush(stdout);
}

static void print_beginning(const fathom_server *server, const struct serving *serving) {
    const char *host = serving->options.host ? serving->options.host : "127.0.0.1";
    const bool six = strchr(host, ':') != NULL;
    fprintf(stderr, "fathom serve: %s on http://%s%s%s:%u, features of %s\n",
            fathom_model_describe(serving->view.model)->name, six ? "[" : "", host, six ? "]" : "",
            fathom_server_port(server),
            serving->view.dictionary ? fathom_dictionary_describe(serving->view.dictionary)->name : "no dictionary");
}

/* Until Ctrl-C or SIGTERM. */
static int serve(const struct cli_arguments *arguments, struct serving *serving) {
    const struct timespec look = {.tv_nsec = LOOK_NANOSECONDS};
    fathom_server *server = NULL;
    const int status = fathom_server_open(&server, &serving->options);
    if (status) return cli_fail(arguments, status);
    print_beginning(server, serving);
    while (!cli_interrupted())
        nanosleep(&look, NULL);
    fprintf(stderr, "fathom serve: stopping; answers under way have %d s\n", GRACE_SECONDS);
    fathom_server_stop(server, GRACE_SECONDS);
    fathom_server_close(server);
    return cli_output_status();
}

static bool open_view(struct serving *serving, int *exit, const struct cli_arguments *arguments) {
    if (!cli_has(arguments, "no-dict")) return feature_view_open(&serving->view, exit, arguments, false);
    serving->view.model = cli_open_model(exit, arguments);
    return serving->view.model != NULL;
}

/* The file that runs, where the system tells: it is what does the server's jobs. */
static const char *own_program(char *out, size_t size) {
#ifdef __APPLE__
    uint32_t room = (uint32_t)size;
    return _NSGetExecutablePath(out, &room) == 0 ? out : NULL;
#else
    const ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n <= 0) return NULL;
    out[n] = '\0';
    return out;
#endif
}

static int run(struct cli_arguments *arguments) {
    struct serving serving = {.options = {.host = cli_text(arguments, "host", NULL),
                                          .read_only = cli_has(arguments, "read-only"),
                                          .no_flash_attention = cli_has(arguments, "no-flash-attention"),
                                          .log = cli_has(arguments, "no-access-log") ? NULL : print_line}};
    struct fathom_server_options *out = &serving.options;
    const char *token_file = cli_text(arguments, "token-file", NULL);
    char program[PATH_MAX];
    int exit = CLI_USAGE;
    if (!read_numbers(out, arguments) || !read_list(serving.names, &out->n_names, arguments, "allow-host") ||
        !read_list(serving.origins, &out->n_origins, arguments, "allow-origin"))
        return exit;
    out->names = serving.names;
    out->origins = serving.origins;
    int status = token_file ? read_token(&serving, token_file) : FATHOM_OK;
    if (status) {
        exit = cli_fail(arguments, status);
    } else if (open_view(&serving, &exit, arguments)) {
        out->model = serving.view.model;
        out->dictionary = serving.view.dictionary;
        out->catalogue = serving.view.catalogue;
        out->program = own_program(program, sizeof program);
        out->catalogue_named = cli_has(arguments, "catalogue");
        exit = serve(arguments, &serving);
        feature_view_close(&serving.view);
    }
    fathom_free(serving.token);
    return exit;
}

const struct cli_command cli_command_serve = {
    .name = "serve",
    .summary = "serve a model over HTTP: OpenAI's routes, steering, features",
    .operands = "",
    .description =
        "Answers OpenAI's requests for chats, completions and embeddings, whole or as a stream, many conversations in "
        "one batch. A request may steer features of the dictionary (\"steer\"), and be told their levels beside each "
        "token (\"watch\", \"features\"); /api has the catalogue, and /openapi.json describes everything. Listens on "
        "this machine alone unless --host names another address, which needs a token. Prints a line of JSON for each "
        "request. Ctrl-C or SIGTERM stops it: answers under way have ten seconds.",
    .examples = "fathom serve # http://127.0.0.1:8080\n"
                "fathom serve -m gemma3 --parallel 8 --port 9000\n"
                "fathom serve --host 0.0.0.0 --token-file token.txt # for others too",
    .options = options,
    .run = run,
};
