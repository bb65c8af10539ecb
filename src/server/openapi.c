/* /openapi.json, out of the table of routes. */
#include "base/error.h"
#include "base/json.h"
#include "server/handlers.h"
#include <ctype.h>
#include <string.h>

static json_t *parse(const char *schema) {
    return schema ? json_loads(schema, JSON_DECODE_ANY, NULL) : json_pack("{s:s}", "type", "string");
}

static json_t *content(const char *type, json_t *schema) {
    return json_pack("{s:{s:o}}", type, "schema", schema);
}

static json_t *reply(const char *description, json_t *body) {
    return json_pack("{s:s, s:o}", "description", description, "content", body);
}

static json_t *error_reply(const char *description) {
    json_t *schema = json_pack("{s:s, s:[s], s:{s:{s:s, s:[s, s], s:{s:{s:s}, s:{s:s}, s:{s:[s, s]}, s:{s:[s, s]}}}}}",
                               "type", "object", "required", "error", "properties", "error", "type", "object",
                               "required", "message", "type", "properties", "message", "type", "string", "type", "type",
                               "string", "param", "type", "string", "null", "code", "type", "string", "null");
    return reply(description, content("application/json", schema));
}

/* "get /v1/models/{model}" as "get_v1_models_model". */
static void operation_id(char *out, size_t size, const struct fathom__route *route) {
    size_t n = 0;
    for (const char *c = route->method; *c && n + 1 < size; c++)
        out[n++] = (char)tolower((unsigned char)*c);
    for (const char *c = route->path; *c && n + 1 < size; c++)
        if (isalnum((unsigned char)*c))
            out[n++] = *c;
        else if (out[n - 1] != '_' && c[1] && *c != '}')
            out[n++] = '_';
    out[n] = '\0';
}

static json_t *replies_json(const struct fathom__route *route) {
    json_t *replies = json_object();
    json_t *good = content(route->reply ? "application/json" : "text/plain", parse(route->reply));
    if (route->streams) json_object_set_new(good, "text/event-stream", json_pack("{s:o}", "schema", parse(NULL)));
    json_object_set_new(replies, "200", reply("Done", good));
    json_object_set_new(replies, "403",
                        error_reply("The Host or Origin is not one that is let in, or the server "
                                    "changes nothing"));
    if (!route->open) json_object_set_new(replies, "401", error_reply("The token is missing or wrong"));
    if (strchr(route->path, '{') || strncmp(route->path, "/api/", 5) == 0 || route->request)
        json_object_set_new(replies, "404", error_reply("There is no such thing"));
    if (route->request || route->parameters)
        json_object_set_new(replies, "400", error_reply("The request is not as described"));
    if (route->request) {
        json_object_set_new(replies, "413", error_reply("The request is too long"));
        json_object_set_new(replies, "415", error_reply("The body is not sent as application/json"));
        json_object_set_new(replies, "429", error_reply("Too many requests wait: Retry-After tells when to come back"));
        json_object_set_new(replies, "504", error_reply("The request's time was up"));
    }
    json_object_set_new(replies, "503", error_reply("The server is stopping"));
    return replies;
}

static json_t *operation_json(const struct fathom__route *route) {
    char id[128];
    operation_id(id, sizeof id, route);
    json_t *operation =
        json_pack("{s:s, s:s, s:o}", "operationId", id, "summary", route->summary, "responses", replies_json(route));
    if (route->parameters) json_object_set_new(operation, "parameters", parse(route->parameters));
    if (route->request)
        json_object_set_new(
            operation, "requestBody",
            json_pack("{s:b, s:o}", "required", 1, "content", content("application/json", parse(route->request))));
    if (route->open) json_object_set_new(operation, "security", json_array());
    return operation;
}

int fathom__handle_openapi(struct fathom__exchange *exchange) {
    json_t *paths = json_object();
    for (size_t i = 0; i < fathom__n_routes; i++) {
        const struct fathom__route *route = &fathom__routes[i];
        char method[8] = "";
        for (size_t c = 0; route->method[c] && c + 1 < sizeof method; c++)
            method[c] = (char)tolower((unsigned char)route->method[c]);
        json_t *path = json_object_get(paths, route->path);
        if (!path) {
            path = json_object();
            json_object_set_new(paths, route->path, path);
        }
        json_object_set_new(path, method, operation_json(route));
    }
    json_t *security = exchange->server->token ? json_pack("[{s:[]}]", "token") : json_array();
    return fathom__reply_json(exchange, MHD_HTTP_OK,
                              json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:{s:{s:{s:s, s:s}}}, s:o}", "openapi", "3.1.0",
                                        "info", "title", "Fathom", "version", fathom_version(), "description",
                                        "A language model's inside, visible and steerable", "paths", paths,
                                        "components", "securitySchemes", "token", "type", "http", "scheme", "bearer",
                                        "security", security));
}
