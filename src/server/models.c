/* What is served, its tokens, and how the server is. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/thread.h"
#include "server/handlers.h"
#include <string.h>

static json_t *text_json(const char *text) {
    return text ? fathom__json_string(text, strlen(text)) : json_null();
}

int fathom__handle_health(struct fathom__exchange *exchange) {
    return fathom__reply_json(exchange, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
}

int fathom__handle_metrics(struct fathom__exchange *exchange) {
    fathom_server *server = exchange->server;
    struct fathom__buffer text = FATHOM__BUFFER_INIT(1 << 20);
    struct fathom__batcher_figures figures;
    fathom__batcher_figures(&figures, server->batcher);
    int status = fathom__metrics_text(&text, &server->metrics, &figures, fathom__seconds() - server->started);
    if (!status)
        status = fathom__reply_text(exchange, MHD_HTTP_OK, "text/plain; version=0.0.4", text.bytes, text.length);
    fathom__buffer_free(&text);
    return status;
}

static json_t *model_json(const fathom_server *server) {
    const struct fathom_model_info *about = fathom_model_describe(server->options.model);
    return json_pack("{s:o, s:s, s:I, s:s}", "id", text_json(about->name), "object", "model", "created",
                     (json_int_t)server->since, "owned_by", "fathom");
}

int fathom__handle_models(struct fathom__exchange *exchange) {
    return fathom__reply_json(exchange, MHD_HTTP_OK,
                              json_pack("{s:s, s:[o]}", "object", "list", "data", model_json(exchange->server)));
}

int fathom__handle_model(struct fathom__exchange *exchange) {
    const char *name = fathom_model_describe(exchange->server->options.model)->name;
    if (strcmp(exchange->argument, name) != 0 && strcmp(exchange->argument, "default") != 0)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "there is no model \"%s\" here, only \"%s\"", exchange->argument,
                            name);
    return fathom__reply_json(exchange, MHD_HTTP_OK, model_json(exchange->server));
}

int fathom__check_model(const fathom_server *server, const json_t *request) {
    const struct fathom_model_info *about = fathom_model_describe(server->options.model);
    const json_t *given = json_object_get(request, "model");
    const char *name = about->name;
    const int status =
        given && !json_is_null(given) ? fathom__json_get_string(&name, request, "model", true, "request") : FATHOM_OK;
    if (status || strcmp(name, about->name) == 0 || strcmp(name, "default") == 0) return status;
    return fathom__fail(FATHOM_ERROR_NOT_FOUND, "request: \"model\" is \"%s\", where \"%s\" or \"default\" is loaded",
                        name, about->name);
}

int fathom__handle_tokenize(struct fathom__exchange *exchange) {
    const fathom_model *model = exchange->server->options.model;
    const char *text = NULL;
    bool special = false, add_special = true;
    int32_t *tokens = NULL;
    size_t n = 0;
    int status = fathom__json_get_string(&text, exchange->request, "text", true, "request");
    if (!status) status = fathom__json_get_bool(&special, exchange->request, "parse_special", false, "request");
    if (!status) status = fathom__json_get_bool(&add_special, exchange->request, "add_special", false, "request");
    if (!status) status = fathom_tokenize(&tokens, &n, model, text, strlen(text), add_special, special);
    json_t *list = json_array();
    for (size_t i = 0; i < n && !status; i++) {
        const char *bytes = "";
        size_t length = 0;
        status = fathom_token_bytes(&bytes, &length, model, tokens[i]);
        json_t *values = json_array();
        for (size_t b = 0; b < length; b++)
            json_array_append_new(values, json_integer((unsigned char)bytes[b]));
        json_array_append_new(list, json_pack("{s:i, s:o, s:o}", "id", (int)tokens[i], "token",
                                              fathom__json_string(bytes, length), "bytes", values));
    }
    fathom_free(tokens);
    if (status) {
        json_decref(list);
        return status;
    }
    return fathom__reply_json(exchange, MHD_HTTP_OK, json_pack("{s:I, s:o}", "count", (json_int_t)n, "tokens", list));
}

int fathom__handle_detokenize(struct fathom__exchange *exchange) {
    const fathom_model *model = exchange->server->options.model;
    const json_t *given = json_object_get(exchange->request, "tokens");
    int32_t *tokens = NULL;
    size_t n = 0;
    char *text = NULL;
    if (!json_is_array(given))
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"tokens\": a list of numbers is expected");
    int status = fathom__tokens_of_json(&tokens, &n, model, given, "tokens");
    if (!status) status = fathom_detokenize(&text, model, tokens, n);
    if (!status) status = fathom__reply_json(exchange, MHD_HTTP_OK, json_pack("{s:o}", "text", text_json(text)));
    fathom_free(text);
    fathom_free(tokens);
    return status;
}

static json_t *dictionary_json(const fathom_server *server) {
    if (!server->options.dictionary) return json_null();
    const struct fathom_dictionary_info *about = fathom_dictionary_describe(server->options.dictionary);
    return json_pack("{s:o, s:s, s:s, s:I, s:s}", "name", text_json(about->name), "architecture", about->architecture,
                     "hook", about->hook_in, "features", (json_int_t)about->n_features, "dtype", about->dtype);
}

static json_t *catalogue_json(const fathom_server *server) {
    if (!server->options.catalogue) return json_null();
    const struct fathom_catalogue_info *about = fathom_catalogue_describe(server->options.catalogue);
    return json_pack("{s:o, s:I, s:I, s:I}", "corpus", text_json(about->corpus), "tokens", (json_int_t)about->n_tokens,
                     "alive", (json_int_t)about->n_alive, "labelled", (json_int_t)about->n_labelled);
}

int fathom__handle_status(struct fathom__exchange *exchange) {
    const fathom_server *server = exchange->server;
    const struct fathom_model_info *about = fathom_model_describe(server->options.model);
    json_t *model = json_pack("{s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b}", "name", text_json(about->name),
                              "architecture", about->architecture, "quantisation", about->quantisation, "identity",
                              about->identity, "layers", (json_int_t)about->n_layers, "d_model",
                              (json_int_t)about->d_model, "vocabulary", (json_int_t)about->n_vocab, "parameters",
                              (json_int_t)about->n_parameters, "chat_template", about->chat_template != NULL);
    struct fathom__batcher_figures figures;
    fathom__batcher_figures(&figures, server->batcher);
    json_t *limits = json_pack(
        "{s:I, s:I, s:I, s:I, s:f}", "at_once", (json_int_t)server->options.n_parallel, "longest",
        (json_int_t)fathom__batcher_longest(server->batcher), "queue", (json_int_t)server->options.n_queue,
        "body_bytes", (json_int_t)server->options.body_bytes, "request_seconds", server->options.request_seconds);
    return fathom__reply_json(exchange, MHD_HTTP_OK,
                              json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:b, s:I, s:I}", "version", fathom_version(),
                                        "engine", about->engine, "model", model, "dictionary", dictionary_json(server),
                                        "catalogue", catalogue_json(server), "limits", limits, "read_only",
                                        (int)server->options.read_only, "running", (json_int_t)figures.running,
                                        "waiting", (json_int_t)figures.waiting));
}

int fathom__handle_hooks(struct fathom__exchange *exchange) {
    const fathom_model *model = exchange->server->options.model;
    json_t *list = json_array();
    for (int kind = 0; kind < FATHOM_HOOK_COUNT; kind++) {
        const int32_t n_layers = (int32_t)fathom_model_describe(model)->n_layers;
        for (int32_t layer = -1; layer < n_layers; layer++) {
            const struct fathom_hook hook = {(enum fathom_hook_kind)kind, layer};
            char name[FATHOM_HOOK_NAME_SIZE], alias[FATHOM_HOOK_NAME_SIZE];
            uint32_t heads = 0, width = 0;
            if (!fathom_hook_exists(&heads, &width, model, hook)) continue;
            fathom_hook_name(name, hook);
            fathom_hook_alias(alias, hook);
            json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:I, s:I}", "name", name, "alias", alias, "layer",
                                                  (int)layer, "heads", (json_int_t)heads, "width_per_head",
                                                  (json_int_t)width));
        }
    }
    return fathom__reply_json(exchange, MHD_HTTP_OK, json_pack("{s:o}", "hooks", list));
}
