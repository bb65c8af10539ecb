/* What a request must be before its route sees it. */
#include "server/request_check.h"
#include "base/error.h"
#include "base/json.h"
#include "server/access.h"
#include "server/page.h"
#include <string.h>
#include <strings.h>

/* A request of an API nests a handful deep. */
enum { MOST_DEPTH = 64, METHODS_BYTES = 256 };

static bool has_body(const struct fathom__exchange *exchange) {
    return !exchange->head_only && strcmp(exchange->method, "GET") != 0 && strcmp(exchange->method, "DELETE") != 0;
}

static int check_token(struct fathom__exchange *exchange) {
    static const char scheme[] = "Bearer ";
    const char *secret = exchange->server->token, *given = fathom__exchange_header(exchange, "Authorization");
    if (!secret || exchange->route->open) return FATHOM_OK;
    if (given && strncasecmp(given, scheme, sizeof scheme - 1) == 0 &&
        fathom__same_secret(given + sizeof scheme - 1, secret))
        return FATHOM_OK;
    const int status = fathom__refuse(exchange, MHD_HTTP_UNAUTHORIZED, "invalid_token", NULL,
                                      "this server asks for its token: Authorization: Bearer TOKEN");
    if (!status) (void)MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    return status;
}

static int check_content(struct fathom__exchange *exchange) {
    static const char json[] = "application/json";
    const char *type = fathom__exchange_header(exchange, "Content-Type");
    const char *length = fathom__exchange_header(exchange, "Content-Length");
    if (!has_body(exchange)) return FATHOM_OK;
    /* A page of another origin cannot send this type without asking first. */
    if (!type || strncasecmp(type, json, sizeof json - 1) != 0)
        return fathom__refuse(exchange, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "content_type", NULL,
                              "the body is to be sent as Content-Type: application/json");
    if (length && strtoull(length, NULL, 10) > exchange->server->options.body_bytes)
        return fathom__refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "too_long", NULL,
                              "the request is longer than %zu bytes", exchange->server->options.body_bytes);
    return FATHOM_OK;
}

static int check_sender(struct fathom__exchange *exchange) {
    const fathom_server *server = exchange->server;
    const char *host = fathom__exchange_header(exchange, "Host"), *origin = fathom__exchange_header(exchange, "Origin");
    if (!fathom__host_allowed(host, server->options.names, server->options.n_names))
        return fathom__refuse(exchange, MHD_HTTP_FORBIDDEN, "host", NULL,
                              "Host %s is not a name of this server: an address, localhost or a name that was allowed",
                              host ? host : "(none)");
    if (origin && !fathom__origin_allowed(origin, host, server->options.origins, server->options.n_origins))
        return fathom__refuse(exchange, MHD_HTTP_FORBIDDEN, "origin", NULL,
                              "requests from pages of %s are not allowed here", origin);
    return FATHOM_OK;
}

/* The page is no secret, and asks for the token itself. */
static int answer_page(struct fathom__exchange *exchange, const struct fathom__page_file *file) {
    const int status = fathom__reply_static(exchange, file->type, file->bytes, file->length);
    if (status) return status;
    (void)MHD_add_response_header(exchange->response, "Content-Security-Policy", fathom__page_policy);
    (void)MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_CACHE_CONTROL, fathom__page_cache(file));
    return FATHOM_OK;
}

static int refuse_method(struct fathom__exchange *exchange) {
    struct fathom__buffer methods = FATHOM__BUFFER_INIT(METHODS_BYTES);
    int status = fathom__route_methods(&methods, exchange->path);
    if (!status)
        status = fathom__refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "method", NULL, "%s is not to be had by %s",
                                exchange->path, exchange->method);
    if (!status) (void)MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_ALLOW, methods.bytes);
    fathom__buffer_free(&methods);
    return status;
}

static int find_route(struct fathom__exchange *exchange, const struct fathom__route *route, bool other_method) {
    exchange->route = route;
    if (route) return FATHOM_OK;
    const struct fathom__page_file *file = has_body(exchange) ? NULL : fathom__page_find(exchange->path);
    if (file) return answer_page(exchange, file);
    return other_method ? refuse_method(exchange)
                        : fathom__refuse(exchange, MHD_HTTP_NOT_FOUND, "not_found", NULL,
                                         "there is no %s here; /openapi.json lists what there is", exchange->path);
}

/* What a page of an allowed origin asks for before it sends. */
static int answer_preflight(struct fathom__exchange *exchange) {
    const int status = fathom__reply_text(exchange, MHD_HTTP_NO_CONTENT, "text/plain", "", 0);
    if (status) return status;
    (void)MHD_add_response_header(exchange->response, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE");
    (void)MHD_add_response_header(exchange->response, "Access-Control-Allow-Headers", "Authorization, Content-Type");
    return FATHOM_OK;
}

int fathom__request_check_head(struct fathom__exchange *exchange, const struct fathom__route *route,
                               bool other_method) {
    int status = check_sender(exchange);
    if (status || exchange->response) return status;
    if (strcmp(exchange->method, "OPTIONS") == 0 && fathom__exchange_header(exchange, "Origin"))
        return answer_preflight(exchange);
    status = find_route(exchange, route, other_method);
    if (status || !route) return status;
    if (!exchange->response) status = check_token(exchange);
    if (!status && !exchange->response && atomic_load(&exchange->server->stopping))
        status = fathom__refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping", NULL, "the server is stopping");
    if (!status && !exchange->response && route->changes && exchange->server->options.read_only)
        status = fathom__refuse(exchange, MHD_HTTP_FORBIDDEN, "read_only", NULL, "this server changes nothing");
    if (!status && !exchange->response) status = check_content(exchange);
    return status;
}

int fathom__request_check_body(struct fathom__exchange *exchange) {
    if (!has_body(exchange)) return FATHOM_OK;
    if (exchange->too_long)
        return fathom__refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "too_long", NULL,
                              "the request is longer than %zu bytes", exchange->server->options.body_bytes);
    if (!fathom__json_depth_allowed(exchange->body.bytes, exchange->body.length, MOST_DEPTH))
        return fathom__refuse(exchange, MHD_HTTP_BAD_REQUEST, "too_deep", NULL, "the request nests more than %d deep",
                              MOST_DEPTH);
    const int status = fathom__json_parse(&exchange->request, exchange->body.bytes, exchange->body.length, "request");
    if (status) return fathom__refuse_status(exchange, status);
    if (!json_is_object(exchange->request))
        return fathom__refuse(exchange, MHD_HTTP_BAD_REQUEST, "format", NULL, "request: a JSON object is expected");
    return FATHOM_OK;
}
