#include "server/exchange.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/thread.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A stream's reply is handed over in pieces of at most so many bytes. */
enum { STREAM_BLOCK = 16384, MESSAGE_BYTES = 1024 };
#define UNAVAILABLE_SECONDS "5" /* as long as a file's lock is waited for */

static int take_response(struct fathom__exchange *exchange, unsigned http_status, struct MHD_Response *response,
                         const char *type) {
    if (!response) return fathom__fail_memory(1);
    if (exchange->response) MHD_destroy_response(exchange->response);
    exchange->response = response;
    exchange->http_status = http_status;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    return FATHOM_OK;
}

static int reply_bytes(struct fathom__exchange *exchange, unsigned http_status, const char *type, const void *bytes,
                       size_t length, enum MHD_ResponseMemoryMode mode) {
    void *given = NULL;
    memcpy(&given, &bytes, sizeof given); /* which MHD does not write to, and asks for without const */
    struct MHD_Response *response = MHD_create_response_from_buffer(length, given, mode);
    const int status = take_response(exchange, http_status, response, type);
    if (!status) exchange->sent = exchange->head_only ? 0 : length;
    return status;
}

int fathom__reply_static(struct fathom__exchange *exchange, const char *type, const void *bytes, size_t length) {
    return reply_bytes(exchange, MHD_HTTP_OK, type, bytes, length, MHD_RESPMEM_PERSISTENT);
}

int fathom__reply_text(struct fathom__exchange *exchange, unsigned http_status, const char *type, const char *text,
                       size_t length) {
    return reply_bytes(exchange, http_status, type, text, length, MHD_RESPMEM_MUST_COPY);
}

int fathom__reply_json(struct fathom__exchange *exchange, unsigned http_status, json_t *value) {
    char *text = NULL;
    int status = fathom__json_text(&text, value, false);
    json_decref(value);
    if (!status) status = fathom__reply_text(exchange, http_status, "application/json", text, strlen(text));
    fathom_free(text);
    return status;
}

/* Called by MHD for the next bytes; the ones before were taken by the client's socket. */
static ssize_t read_stream(void *payload, uint64_t position, char *out, size_t most) {
    struct fathom__exchange *exchange = payload;
    struct fathom__buffer *pending = &exchange->pending;
    (void)position;
    fathom__connection_expect(exchange->server->connections, exchange->patience, 0);
    while (exchange->pending_sent == pending->length) {
        if (exchange->ended) {
            exchange->complete = true;
            fathom__connection_expect(exchange->server->connections, exchange->patience, FATHOM__SEND_SECONDS);
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
        fathom__buffer_clear(pending);
        exchange->pending_sent = 0;
        if (exchange->stream(pending, &exchange->ended, exchange->payload)) return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    const size_t left = pending->length - exchange->pending_sent, n = left < most ? left : most;
    memcpy(out, pending->bytes + exchange->pending_sent, n);
    exchange->pending_sent += n;
    exchange->sent += n;
    fathom__connection_expect(exchange->server->connections, exchange->patience, FATHOM__SEND_SECONDS);
    return (ssize_t)n;
}

int fathom__reply_stream(struct fathom__exchange *exchange, const char *type, fathom__stream_fn fn, void *payload,
                         void (*release)(void *payload)) {
    exchange->stream = fn;
    exchange->payload = payload;
    exchange->release = release;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, exchange, NULL);
    const int status = take_response(exchange, MHD_HTTP_OK, response, type);
    if (!status) (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    return status;
}

json_t *fathom__error_json(unsigned http_status, const char *code, const char *parameter, const char *message) {
    const char *type = http_status >= 500                          ? "server_error"
                       : http_status == MHD_HTTP_TOO_MANY_REQUESTS ? "rate_limit_error"
                       : http_status == MHD_HTTP_UNAUTHORIZED      ? "authentication_error"
                       : http_status == MHD_HTTP_FORBIDDEN         ? "permission_error"
                                                                   : "invalid_request_error";
    return json_pack("{s:{s:o, s:s, s:s?, s:s?}}", "error", "message", fathom__json_string(message, strlen(message)),
                     "type", type, "param", parameter, "code", code);
}

int fathom__refuse(struct fathom__exchange *exchange, unsigned http_status, const char *code, const char *parameter,
                   const char *format, ...) {
    char message[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const int status =
        fathom__reply_json(exchange, http_status, fathom__error_json(http_status, code, parameter, message));
    if (status || http_status != MHD_HTTP_TOO_MANY_REQUESTS) return status;
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%u", fathom__batcher_retry_after(exchange->server->batcher));
    (void)MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    atomic_fetch_add(&exchange->server->metrics.refused_full, 1);
    return status;
}

unsigned fathom__http_status(int status) {
    switch (status) {
    case FATHOM_ERROR_ARGUMENT:
    case FATHOM_ERROR_FORMAT:
    case FATHOM_ERROR_MISMATCH:
    case FATHOM_ERROR_UNSUPPORTED:
    case FATHOM_ERROR_LIMIT:
    case FATHOM_ERROR_NUMERIC: return MHD_HTTP_BAD_REQUEST;
    case FATHOM_ERROR_NOT_FOUND: return MHD_HTTP_NOT_FOUND;
    case FATHOM_ERROR_STOPPED: return MHD_HTTP_SERVICE_UNAVAILABLE;
    default: return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

int fathom__refuse_status(struct fathom__exchange *exchange, int status) {
    char message[MESSAGE_BYTES];
    if (status == FATHOM_ERROR_STOPPED && fathom__exchange_late(exchange))
        return fathom__refuse(exchange, MHD_HTTP_GATEWAY_TIMEOUT, "deadline", NULL, "the request's time was up");
    if (exchange->unavailable) return fathom__refuse_unavailable(exchange);
    snprintf(message, sizeof message, "%s", fathom_error_message());
    const unsigned http = fathom__http_status(status);
    return fathom__refuse(exchange, http, fathom_error_name(status), NULL, "%s", message);
}

int fathom__refuse_full(struct fathom__exchange *exchange) {
    char message[MESSAGE_BYTES];
    snprintf(message, sizeof message, "%s", fathom_error_message());
    const bool stopping = atomic_load(&exchange->server->stopping);
    return fathom__refuse(exchange, stopping ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_TOO_MANY_REQUESTS,
                          stopping ? "stopping" : "queue_full", NULL, "%s", message);
}

int fathom__refuse_unavailable(struct fathom__exchange *exchange) {
    char message[MESSAGE_BYTES];
    snprintf(message, sizeof message, "%s", fathom_error_message());
    const int status = fathom__refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", NULL, "%s", message);
    if (!status) (void)MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_RETRY_AFTER, UNAVAILABLE_SECONDS);
    return status;
}

bool fathom__exchange_late(const struct fathom__exchange *exchange) {
    return fathom__seconds() >= exchange->begun + exchange->server->options.request_seconds;
}

bool fathom__exchange_gone(const struct fathom__exchange *exchange) {
    return fathom__connection_gone(exchange->patience);
}

const char *fathom__exchange_query(const struct fathom__exchange *exchange, const char *name) {
    return MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *fathom__exchange_header(const struct fathom__exchange *exchange, const char *name) {
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}
