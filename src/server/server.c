#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"
#include "server/access.h"
#include "server/server_internal.h"
#include <string.h>
#include <time.h>

enum {
    DEFAULT_PARALLEL = 4,
    DEFAULT_CONTEXT = 4096, /* tokens of a conversation */
    DEFAULT_BATCH = 256,
    DEFAULT_QUEUE = 64,
    DEFAULT_CONNECTIONS = 256,
    DEFAULT_BODY = 4 << 20,
    SHORTEST_TOKEN = 16,
    MOST_PARALLEL = 256
};
#define DEFAULT_REQUEST_SECONDS 600.0
#define DEFAULT_READ_SECONDS 30.0
/* What replies that are ready may take to reach their clients once the server stops. */
#define LAST_BYTES_SECONDS 2.0
/* What a job of training or indexing may take to save itself. */
#define TASK_SECONDS 60.0
#define LAST_BYTES_STEP_NANOSECONDS 5000000L

static void fill_defaults(struct fathom_server_options *options) {
    const uint32_t trained = fathom_model_describe(options->model)->context_trained;
    if (!options->host) options->host = "127.0.0.1";
    if (options->n_parallel == 0) options->n_parallel = DEFAULT_PARALLEL;
    if (options->n_context == 0)
        options->n_context = trained > 0 && trained < DEFAULT_CONTEXT ? trained : (uint32_t)DEFAULT_CONTEXT;
    if (options->n_batch == 0) options->n_batch = DEFAULT_BATCH;
    if (options->n_queue == 0) options->n_queue = DEFAULT_QUEUE;
    if (options->n_connections == 0) options->n_connections = DEFAULT_CONNECTIONS;
    if (options->body_bytes == 0) options->body_bytes = DEFAULT_BODY;
    if (!(options->request_seconds > 0)) options->request_seconds = DEFAULT_REQUEST_SECONDS;
    if (!(options->read_seconds > 0)) options->read_seconds = DEFAULT_READ_SECONDS;
}

static int check_options(const struct fathom_server_options *options) {
    if (options->n_parallel > MOST_PARALLEL)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%u conversations at once: at most %d are possible",
                            options->n_parallel, MOST_PARALLEL);
    if (options->token && strlen(options->token) < SHORTEST_TOKEN)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "the token has %zu characters, where at least %d are expected",
                            strlen(options->token), SHORTEST_TOKEN);
    if (!options->token && !fathom__is_loopback(options->host))
        return fathom__fail(FATHOM_ERROR_ARGUMENT,
                            "%s: an address that others can reach needs a token; 127.0.0.1 and ::1 do not",
                            options->host);
    if (options->catalogue && !options->dictionary)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "a catalogue needs the dictionary that it tells of");
    return FATHOM_OK;
}

static int copy_list(char ***out, const char *const *list, size_t n) {
    int status = fathom__alloc(out, n, sizeof **out);
    for (size_t i = 0; i < n && !status; i++)
        status = fathom__copy_string(&(*out)[i], list[i]);
    return status;
}

/* What the options point to is copied, so that callers may forget it. */
static int copy_options(fathom_server *server) {
    struct fathom_server_options *options = &server->options;
    int status = fathom__copy_string(&server->host, options->host);
    if (!status && options->token) status = fathom__copy_string(&server->token, options->token);
    if (!status) status = copy_list(&server->names, options->names, options->n_names);
    if (!status) status = copy_list(&server->origins, options->origins, options->n_origins);
    options->host = server->host;
    options->token = server->token;
    options->names = (const char *const *)server->names;
    options->origins = (const char *const *)server->origins;
    return status;
}

static int open_tasks(fathom_server *server) {
    const struct fathom_server_options *options = &server->options;
    char *data = NULL;
    int status = FATHOM_OK;
    if (options->data)
        status = fathom__copy_string(&data, options->data);
    else if (fathom__data_path(&data, NULL))
        return FATHOM_OK; /* a user without a home: all but jobs is served */
    const struct fathom__task_place place = {
        .folder = data,
        .model = fathom_model_describe(options->model)->path,
        .dictionary = options->dictionary ? fathom_dictionary_describe(options->dictionary)->path : NULL};
    if (!status) status = fathom__tasks_open(&server->tasks, options->program, &place);
    fathom_free(data);
    return status;
}

static int open_parts(fathom_server *server) {
    const struct fathom_server_options *options = &server->options;
    const struct fathom__batcher_options batcher = {.n_parallel = options->n_parallel,
                                                    .n_context = options->n_context,
                                                    .n_batch = options->n_batch,
                                                    .n_threads = options->n_threads,
                                                    .n_queue = options->n_queue,
                                                    .flash_attention = !options->no_flash_attention};
    int status = copy_options(server);
    if (!status && options->dictionary)
        status = fathom_dictionary_match(&server->dictionary_hook, options->dictionary, options->model);
    if (!status)
        status =
            fathom__labels_open(&server->labels, options->catalogue, options->dictionary, options->catalogue_named);
    if (!status) status = open_tasks(server);
    if (!status) status = fathom__connections_open(&server->connections);
    if (!status) status = fathom__batcher_open(&server->batcher, options->model, &batcher);
    return status ? status : fathom__listener_open(server);
}

int fathom_server_open(fathom_server **out, const struct fathom_server_options *options) {
    fathom_server *server = NULL;
    if (!options || !options->model)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "fathom_server_open: a model is required");
    int status = fathom__alloc(&server, 1, sizeof *server);
    if (status) return status;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    server->options = *options;
    server->since = (long long)now.tv_sec;
    server->started = fathom__seconds();
    fathom__random_seed(&server->random, (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec);
    pthread_mutex_init(&server->log_lock, NULL);
    pthread_mutex_init(&server->random_lock, NULL);
    pthread_mutex_init(&server->map_lock, NULL);
    pthread_mutex_init(&server->tool_lock, NULL);
    atomic_flag_clear(&server->explaining);
    fill_defaults(&server->options);
    status = check_options(&server->options);
    if (!status) status = open_parts(server);
    if (status) {
        fathom_server_close(server);
        return status;
    }
    *out = server;
    return FATHOM_OK;
}

uint16_t fathom_server_port(const fathom_server *server) {
    return server->port;
}

uint64_t fathom__server_seed(fathom_server *server) {
    pthread_mutex_lock(&server->random_lock);
    const uint64_t seed = fathom__random_next(&server->random);
    pthread_mutex_unlock(&server->random_lock);
    return seed;
}

void fathom_server_stop(fathom_server *server, double seconds) {
    const struct timespec step = {.tv_nsec = LAST_BYTES_STEP_NANOSECONDS};
    if (!server || atomic_exchange(&server->stopped, true)) return;
    atomic_store(&server->stopping, true);
    if (server->batcher) fathom__batcher_drain(server->batcher, seconds);
    const double until = fathom__seconds() + LAST_BYTES_SECONDS;
    while (atomic_load(&server->in_progress) > 0 && fathom__seconds() < until)
        nanosleep(&step, NULL);
    if (server->connections) fathom__connections_cut(server->connections);
    fathom__listener_close(server);
}

static void free_list(char **list, size_t n) {
    for (size_t i = 0; list && i < n; i++)
        fathom_free(list[i]);
    fathom_free(list);
}

void fathom_server_close(fathom_server *server) {
    if (!server) return;
    fathom_server_stop(server, 0);
    fathom__batcher_close(server->batcher);
    fathom__connections_close(server->connections);
    fathom__labels_close(server->labels);
    fathom__tasks_close(server->tasks, TASK_SECONDS);
    fathom__map_free(&server->map);
    pthread_mutex_destroy(&server->map_lock);
    pthread_mutex_destroy(&server->tool_lock);
    fathom__tool_format_free(&server->tool_format);
    pthread_mutex_destroy(&server->random_lock);
    pthread_mutex_destroy(&server->log_lock);
    free_list(server->names, server->options.n_names);
    free_list(server->origins, server->options.n_origins);
    fathom_free(server->host);
    fathom_free(server->token);
    fathom_free(server);
}
