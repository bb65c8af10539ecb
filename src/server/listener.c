/* libmicrohttpd's side: a thread for each connection, and requests as exchanges. */
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "server/access_log.h"
#include "server/exchange.h"
#include "server/request_check.h"
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes that a connection's headers may take, and how long one may be silent between requests. */
enum { HEADER_BYTES = 32768, BACKLOG = 128 };
#define IDLE_SECONDS 60.0

static void free_exchange(struct fathom__exchange *exchange) {
    if (exchange->release) exchange->release(exchange->payload);
    if (exchange->response) MHD_destroy_response(exchange->response);
    json_decref(exchange->request);
    fathom__buffer_free(&exchange->body);
    fathom__buffer_free(&exchange->pending);
    fathom_free(exchange->argument);
    fathom_free(exchange->method);
    fathom_free(exchange->path);
    fathom_free(exchange);
}

static fathom__connection *connection_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static struct fathom__exchange *make_exchange(fathom_server *server, struct MHD_Connection *connection,
                                              const char *method, const char *path) {
    struct fathom__exchange *exchange = NULL;
    if (fathom__alloc(&exchange, 1, sizeof *exchange)) return NULL;
    exchange->server = server;
    exchange->connection = connection;
    exchange->patience = connection_of(connection);
    exchange->begun = fathom__seconds();
    exchange->body = (struct fathom__buffer)FATHOM__BUFFER_INIT(server->options.body_bytes);
    exchange->pending = (struct fathom__buffer)FATHOM__BUFFER_INIT(SIZE_MAX / 2);
    if (!exchange->patience || fathom__copy_string(&exchange->method, method) ||
        fathom__copy_string(&exchange->path, path)) {
        free_exchange(exchange);
        return NULL;
    }
    exchange->head_only = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    atomic_fetch_add(&server->in_progress, 1);
    return exchange;
}

static enum MHD_Result queue(struct fathom__exchange *exchange) {
    const struct fathom_server_options *options = &exchange->server->options;
    const char *origin = fathom__exchange_header(exchange, "Origin");
    if (!exchange->response) return MHD_NO;
    (void)MHD_add_response_header(exchange->response, "X-Content-Type-Options", "nosniff");
    if (origin && options->n_origins > 0 && exchange->http_status != MHD_HTTP_FORBIDDEN) {
        (void)MHD_add_response_header(exchange->response, "Access-Control-Allow-Origin", origin);
        (void)MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_VARY, "Origin");
    }
    if (atomic_load(&exchange->server->stopping))
        (void)MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_CONNECTION, "close");
    fathom__connection_expect(exchange->server->connections, exchange->patience, FATHOM__SEND_SECONDS);
    exchange->complete = !exchange->stream;
    return MHD_queue_response(exchange->connection, exchange->http_status, exchange->response);
}

static enum MHD_Result take_head(struct fathom__exchange *exchange) {
    const char *argument = NULL;
    size_t length = 0;
    bool other_method = false;
    const struct fathom__route *route =
        fathom__route_find(&argument, &length, &other_method,
                           exchange->head_only ? MHD_HTTP_METHOD_GET : exchange->method, exchange->path);
    int status = argument ? fathom__copy_bytes(&exchange->argument, argument, length) : FATHOM_OK;
    if (!status) status = fathom__request_check_head(exchange, route, other_method);
    if (status) return MHD_NO;
    fathom__connection_expect(exchange->server->connections, exchange->patience,
                              exchange->server->options.read_seconds);
    return exchange->response ? queue(exchange) : MHD_YES;
}

static enum MHD_Result take_body(struct fathom__exchange *exchange, const char *bytes, size_t *length) {
    if (!exchange->too_long && fathom__buffer_append(&exchange->body, bytes, *length)) exchange->too_long = true;
    *length = 0;
    return MHD_YES;
}

static enum MHD_Result answer(struct fathom__exchange *exchange) {
    fathom__connection_expect(exchange->server->connections, exchange->patience, 0);
    int status = fathom__request_check_body(exchange);
    if (!status && !exchange->response) {
        status = exchange->route->handle(exchange);
        if (status) status = fathom__refuse_status(exchange, status);
    }
    return status ? MHD_NO : queue(exchange);
}

static enum MHD_Result on_request(void *payload, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *bytes, size_t *length,
                                  void **state) {
    struct fathom__exchange *exchange = *state;
    (void)version;
    if (!exchange) {
        exchange = *state = make_exchange(payload, connection, method, path);
        return exchange ? take_head(exchange) : MHD_NO;
    }
    if (*length > 0) return take_body(exchange, bytes, length);
    return exchange->response ? MHD_YES : answer(exchange);
}

static void on_completed(void *payload, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    fathom_server *server = payload;
    struct fathom__exchange *exchange = *state;
    (void)connection;
    if (!exchange) return;
    const double seconds = fathom__seconds() - exchange->begun;
    const bool broken_off = code != MHD_REQUEST_TERMINATED_COMPLETED_OK || !exchange->complete;
    const size_t route = exchange->route ? (size_t)(exchange->route - fathom__routes) : FATHOM__MOST_ROUTES;
    fathom__metrics_count(&server->metrics, route, exchange->http_status, exchange->sent, seconds, broken_off);
    fathom__access_log(exchange, seconds, broken_off);
    fathom__connection_expect(server->connections, exchange->patience, IDLE_SECONDS);
    free_exchange(exchange);
    *state = NULL;
    atomic_fetch_sub(&server->in_progress, 1);
}

static void on_connection(void *payload, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
    fathom_server *server = payload;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context =
            fathom__connection_add(server->connections, info ? info->connect_fd : -1,
                                   atomic_fetch_add(&server->next_connection, 1), server->options.read_seconds);
        atomic_fetch_add(&server->metrics.connections, 1);
    } else {
        fathom__connection_remove(server->connections, *socket_context);
        atomic_fetch_sub(&server->metrics.connections, 1);
    }
}

static int listen_at(int *out, const struct addrinfo *address, const char *host, uint16_t port) {
    const int on = 1;
    const int listener = socket(address->ai_family, SOCK_STREAM, 0);
    if (listener < 0) return fathom__fail_errno(host, "make a socket for it");
    (void)fcntl(listener, F_SETFD, FD_CLOEXEC); /* SOCK_CLOEXEC, which not every system has */
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, address->ai_addr, address->ai_addrlen) != 0 || listen(listener, BACKLOG) != 0) {
        char name[NI_MAXHOST];
        snprintf(name, sizeof name, "%s port %u", host, port);
        const int status = fathom__fail_errno(name, "listen there");
        close(listener);
        return status;
    }
    *out = listener;
    return FATHOM_OK;
}

static int open_socket(int *out, fathom_server *server) {
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", server->options.port);
    if (getaddrinfo(server->host, port, &hints, &found) != 0)
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: an IPv4 or IPv6 address to listen on is expected",
                            server->host);
    const int status = listen_at(out, found, server->host, server->options.port);
    freeaddrinfo(found);
    if (status) return status;
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } bound = {0};
    socklen_t size = sizeof bound;
    if (getsockname(*out, &bound.any, &size) != 0) {
        const int failed = fathom__fail_errno(server->host, "tell its port");
        close(*out);
        return failed;
    }
    server->port = ntohs(bound.any.sa_family == AF_INET6 ? bound.six.sin6_port : bound.four.sin_port);
    return FATHOM_OK;
}

int fathom__listener_open(fathom_server *server) {
    int listener = -1;
    const int status = open_socket(&listener, server);
    if (status) return status;
    server->daemon = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL, on_request,
        server, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->options.n_connections, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (server->daemon) return FATHOM_OK;
    close(listener);
    return fathom__fail(FATHOM_ERROR_IO, "%s port %u: the HTTP server cannot be started", server->host, server->port);
}

void fathom__listener_close(fathom_server *server) {
    if (server->daemon) MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}
