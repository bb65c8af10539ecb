/* /api: the catalogue, features of a text, and a plain answer beside a steered one. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/feature_json.h"
#include "server/handlers.h"
#include "server/map_file.h"
#include <string.h>

enum { MOST_HITS = 200, DEFAULT_HITS = 20, MOST_WORDS = 1000, MOST_EXAMPLES = 100, DEFAULT_EXAMPLES = 20 };

static int need_catalogue(const fathom_server *server) {
    return server->options.catalogue
               ? FATHOM_OK
               : fathom__fail(FATHOM_ERROR_NOT_FOUND, "this server was started without a catalogue of features");
}

/* A number in the query; `fallback` where there is none. */
static int query_number(uint32_t *out, const struct fathom__exchange *exchange, const char *name, uint32_t most,
                        uint32_t fallback) {
    const char *text = fathom__exchange_query(exchange, name);
    *out = fallback;
    if (!text) return FATHOM_OK;
    const size_t length = strlen(text);
    const unsigned long value = strtoul(text, NULL, 10);
    if (length == 0 || length > 9 || strspn(text, "0123456789") != length || value > most)
        return fathom__fail(FATHOM_ERROR_FORMAT, "?%s=: a number of 0 to %u is expected", name, most);
    *out = (uint32_t)value;
    return FATHOM_OK;
}

int fathom__handle_features(struct fathom__exchange *exchange) {
    const fathom_server *server = exchange->server;
    uint32_t offset = 0, limit = 0;
    int status = need_catalogue(server);
    if (status) return status;
    const uint32_t n = fathom_catalogue_describe(server->options.catalogue)->n_features;
    status = query_number(&offset, exchange, "offset", n, 0);
    if (!status) status = query_number(&limit, exchange, "limit", MOST_HITS, DEFAULT_HITS);
    if (status) return status;
    json_t *list = json_array();
    for (uint32_t i = offset; i < n && i - offset < limit; i++)
        json_array_append_new(list, fathom__feature_short_json(server, i));
    return fathom__reply_json(
        exchange, MHD_HTTP_OK,
        json_pack("{s:I, s:I, s:o}", "total", (json_int_t)n, "offset", (json_int_t)offset, "features", list));
}

int fathom__argument_number(int64_t *out, const struct fathom__exchange *exchange, const char *what) {
    const char *text = exchange->argument;
    const size_t length = strlen(text);
    if (length == 0 || length > 9 || strspn(text, "0123456789") != length)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "\"%s\" is no %s's number", text, what);
    *out = (int64_t)strtoul(text, NULL, 10);
    return FATHOM_OK;
}

int fathom__handle_feature(struct fathom__exchange *exchange) {
    fathom_server *server = exchange->server;
    struct fathom_feature_details *details = NULL;
    struct fathom_label_change *changes = NULL;
    fathom_catalogue *catalogue = NULL;
    uint32_t n_examples = 0;
    int64_t number = 0;
    size_t n_changes = 0;
    int status = need_catalogue(server);
    if (!status) status = fathom__argument_number(&number, exchange, "feature");
    if (!status) status = query_number(&n_examples, exchange, "examples", MOST_EXAMPLES, DEFAULT_EXAMPLES);
    if (status) return status;
    if (!(status = fathom__labels_take(&catalogue, server->labels))) {
        status = fathom_catalogue_details(&details, catalogue, (uint32_t)number);
        if (!status) status = fathom_catalogue_label_changes(&changes, &n_changes, catalogue, (uint32_t)number);
        fathom__labels_give(server->labels);
    }
    if (status == FATHOM_ERROR_LIMIT) {
        status = fathom__refuse_unavailable(exchange);
    } else if (!status) {
        json_t *reply = fathom__feature_details_json(server, details, n_examples);
        json_object_set_new(reply, "labelChanges", fathom__label_changes_json(changes, n_changes));
        status = fathom__reply_json(exchange, MHD_HTTP_OK, reply);
    }
    fathom_label_changes_free(changes, n_changes);
    fathom_feature_details_free(details);
    return status;
}

int fathom__handle_label(struct fathom__exchange *exchange) {
    fathom_server *server = exchange->server;
    const json_t *label = json_object_get(exchange->request, "label");
    const char *text = json_string_value(label);
    int64_t number = 0;
    int status = need_catalogue(server);
    if (!status) status = fathom__argument_number(&number, exchange, "feature");
    if (!status && !text && !json_is_null(label))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"label\": a text, or null to remove it, is expected");
    if (status) return status;
    status = fathom__labels_set(server->labels, (uint32_t)number, text);
    if (status == FATHOM_ERROR_LIMIT) return fathom__refuse_unavailable(exchange);
    return status ? status
                  : fathom__reply_json(exchange, MHD_HTTP_OK, fathom__feature_short_json(server, (uint32_t)number));
}

/* Features of a text ------------------------------------------------------------------------------------- */

struct read_text {
    int32_t *tokens;
    size_t n;
    struct fathom_sparse features;
};

static int encode(struct read_text *out, const fathom_server *server, const fathom__job *job) {
    int32_t *positions = NULL;
    int status = fathom__alloc(&positions, out->n, sizeof *positions);
    for (size_t i = 0; i < out->n && !status; i++)
        positions[i] = (int32_t)i;
    if (!status)
        status = fathom_dictionary_encode(&out->features, server->options.dictionary, fathom__job_rows(job), positions,
                                          out->n, FATHOM_ENCODE_RUN);
    fathom_free(positions);
    return status;
}

static int read_text(struct read_text *out, struct fathom__exchange *exchange, const char *text) {
    fathom_server *server = exchange->server;
    fathom__job *job = NULL;
    if (!server->options.dictionary)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "this server was started without a dictionary of features");
    int status = fathom_tokenize(&out->tokens, &out->n, server->options.model, text, strlen(text), true, false);
    if (status) return status;
    const struct fathom__job_request request = {.tokens = out->tokens,
                                                .n = out->n,
                                                .client = fathom__connection_number(exchange->patience),
                                                .deadline = exchange->begun + server->options.request_seconds,
                                                .keeps_rows = true,
                                                .hook = server->dictionary_hook,
                                                .width = fathom_dictionary_describe(server->options.dictionary)->d_in};
    status = fathom__job_submit(&job, server->batcher, &request);
    if (status == FATHOM_ERROR_LIMIT) return fathom__refuse_full(exchange);
    if (!status) status = fathom__wait_for_reading(exchange, job);
    if (!status) status = encode(out, server, job);
    fathom__job_close(job);
    return status;
}

static void free_text(struct read_text *text) {
    fathom_free(text->tokens);
    fathom_sparse_free(&text->features);
}

/* The strongest features of a token, by activation as a share of the feature's maximum where a catalogue tells it. */
static json_t *strongest(const fathom_server *server, const struct fathom_sparse *features, size_t row, size_t most) {
    struct {
        uint32_t feature;
        float value;
        double level;
    } best[FATHOM__MOST_FEATURES];
    size_t n = 0;
    for (size_t i = features->offsets[row]; i < features->offsets[row + 1]; i++) {
        const struct fathom_feature *known = fathom__labels_feature(server->labels, features->features[i]);
        const double value = (double)features->values[i],
                     level = known && known->max_activation > 0 ? value / (double)known->max_activation : value;
        size_t at = n < most ? n++ : most;
        for (; at > 0 && best[at - 1].level < level; at--)
            if (at < most) best[at] = best[at - 1];
        if (at < most) {
            best[at].feature = features->features[i];
            best[at].value = features->values[i];
            best[at].level = level;
        }
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct fathom_feature *known = fathom__labels_feature(server->labels, best[i].feature);
        json_array_append_new(list, json_pack("{s:I, s:f, s:f, s:s?}", "feature", (json_int_t)best[i].feature, "value",
                                              (double)best[i].value, "level", best[i].level, "label",
                                              known ? known->label : NULL));
    }
    return list;
}

int fathom__handle_activations(struct fathom__exchange *exchange) {
    fathom_server *server = exchange->server;
    struct read_text text = {.features = FATHOM_SPARSE_INIT};
    const char *words = NULL;
    int64_t most = 3;
    int status = fathom__json_get_string(&words, exchange->request, "text", true, "request");
    if (!status)
        status =
            fathom__json_get_integer(&most, exchange->request, "features", 1, FATHOM__MOST_FEATURES, false, "request");
    if (!status) status = read_text(&text, exchange, words);
    if (!status && !exchange->response) {
        json_t *list = json_array();
        for (size_t i = 0; i < text.n; i++) {
            json_t *token = fathom__feature_token_json(server, text.tokens[i]);
            json_object_set_new(token, "features", strongest(server, &text.features, i, (size_t)most));
            json_array_append_new(list, token);
        }
        status = fathom__reply_json(exchange, MHD_HTTP_OK, json_pack("{s:o}", "tokens", list));
    }
    free_text(&text);
    return status;
}

/* The map ------------------------------------------------------------------------------------------------ */

static json_t *coordinates(const float *values, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_real((double)values[i]));
    return list;
}

static bool is_stopping(void *payload) {
    fathom_server *server = payload;
    return atomic_load(&server->stopping);
}

/* Made or found once, when it is first asked for. */
int fathom__handle_map(struct fathom__exchange *exchange) {
    fathom_server *server = exchange->server;
    if (!server->options.dictionary)
        return fathom__fail(FATHOM_ERROR_NOT_FOUND, "this server was started without a dictionary of features");
    pthread_mutex_lock(&server->map_lock);
    const int status = server->map.n > 0 ? FATHOM_OK
                                         : fathom__map_get(&server->map, server->options.dictionary,
                                                           server->options.n_threads, is_stopping, server);
    pthread_mutex_unlock(&server->map_lock);
    if (status) return status;
    const struct fathom__map *map = &server->map;
    return fathom__reply_json(exchange, MHD_HTTP_OK,
                              json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:o, s:o}", "method", "neighbours", "features",
                                        (json_int_t)map->n, "neighbours", (json_int_t)map->n_nearest, "kept", map->kept,
                                        "kept_by_components", map->kept_by_components, "kept_by_chance",
                                        map->kept_by_chance, "x", coordinates(map->x, map->n), "y",
                                        coordinates(map->y, map->n)));
}

/* Search ------------------------------------------------------------------------------------------------- */

/* What is searched by: exactly one of three members. */
struct question {
    const char *words, *text, *token;
    bool lowered;
    int64_t limit;
};

static int read_question(struct question *out, const json_t *request) {
    out->limit = DEFAULT_HITS;
    int status = fathom__json_get_string(&out->words, request, "words", false, "request");
    if (!status) status = fathom__json_get_string(&out->text, request, "text", false, "request");
    if (!status) status = fathom__json_get_string(&out->token, request, "token", false, "request");
    if (!status) status = fathom__json_get_bool(&out->lowered, request, "lowered", false, "request");
    if (!status) status = fathom__json_get_integer(&out->limit, request, "limit", 1, MOST_HITS, false, "request");
    if (!status && (out->words != NULL) + (out->text != NULL) + (out->token != NULL) != 1)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: one of \"words\", \"text\" and \"token\" is expected");
    if (!status && out->words && strlen(out->words) > MOST_WORDS)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"words\" of at most %d bytes are expected", MOST_WORDS);
    return status;
}

static int token_of(int32_t *out, const fathom_server *server, const char *text) {
    int32_t *tokens = NULL;
    size_t n = 0;
    int status = fathom_tokenize(&tokens, &n, server->options.model, text, strlen(text), false, false);
    if (!status && n != 1)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"token\": \"%s\" is %zu tokens, where one is expected",
                              text, n);
    if (!status) *out = tokens[0];
    fathom_free(tokens);
    return status;
}

static int search(struct fathom_hit *hits, size_t *n, struct fathom__exchange *exchange,
                  const struct question *question) {
    fathom_server *server = exchange->server;
    struct read_text text = {.features = FATHOM_SPARSE_INIT};
    fathom_catalogue *catalogue = NULL;
    int32_t token = 0;
    int status = FATHOM_OK;
    if (question->text) status = read_text(&text, exchange, question->text);
    if (question->token) status = token_of(&token, server, question->token);
    if (!status && !exchange->response && !(status = fathom__labels_take(&catalogue, server->labels))) {
        const size_t most = (size_t)question->limit;
        if (question->words)
            status = fathom_catalogue_search_words(hits, n, most, catalogue, question->words);
        else if (question->text)
            status = fathom_catalogue_search_text(hits, n, most, catalogue, &text.features);
        else
            status = fathom_catalogue_search_token(hits, n, most, catalogue, token, question->lowered);
        fathom__labels_give(server->labels);
    }
    free_text(&text);
    return status;
}

int fathom__handle_search(struct fathom__exchange *exchange) {
    struct fathom_hit hits[MOST_HITS];
    struct question question = {0};
    size_t n = 0;
    int status = need_catalogue(exchange->server);
    if (!status) status = read_question(&question, exchange->request);
    if (!status) status = search(hits, &n, exchange, &question);
    if (status == FATHOM_ERROR_LIMIT && !exchange->response) return fathom__refuse_unavailable(exchange);
    if (status || exchange->response) return status;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *hit = fathom__feature_short_json(exchange->server, hits[i].feature);
        json_object_set_new(hit, "search_score", json_real(hits[i].score));
        json_array_append_new(list, hit);
    }
    return fathom__reply_json(exchange, MHD_HTTP_OK, json_pack("{s:o}", "features", list));
}
