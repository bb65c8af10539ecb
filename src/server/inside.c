#include "server/inside.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include <fathom/plan.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { MOST_EDITS = 64 };

int fathom__inside_need_dictionary(const fathom_server *server, const char *member) {
    if (server->options.dictionary) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                        "\"%s\" needs a dictionary of features, and this server was started without one", member);
}

int fathom__inside_feature(uint32_t *out, const fathom_server *server, const json_t *object, const char *where) {
    const uint32_t n = fathom_dictionary_describe(server->options.dictionary)->n_features;
    int64_t number = 0;
    const int status = fathom__json_get_integer(&number, object, "feature", 0, (int64_t)n - 1, true, where);
    *out = (uint32_t)number;
    return status;
}

static int read_choice(int *out, const json_t *object, const char *key, const char *const *names, int n,
                       const char *where) {
    const char *given = names[*out];
    const int status = fathom__json_get_string(&given, object, key, false, where);
    if (status) return status;
    for (int i = 0; i < n; i++)
        if (strcmp(given, names[i]) == 0) {
            *out = i;
            return FATHOM_OK;
        }
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\" is \"%s\", where \"%s\", \"%s\" or \"%s\" is expected", where,
                        key, given, names[0], names[1], names[2]);
}

/* How far: "value" in the dictionary's units, or "strength" in multiples of the feature's largest activation. */
static int read_value(struct fathom_steer_feature *edit, const fathom_server *server, const json_t *object,
                      const char *where) {
    const bool has_value = json_object_get(object, "value"), has_strength = json_object_get(object, "strength");
    double number = 0;
    if (edit->mode == FATHOM_STEER_ABLATE) return FATHOM_OK;
    if (has_value == has_strength)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "%s: one of \"value\" and \"strength\" (multiples of the feature's maximum) is expected",
                            where);
    int status = fathom__json_get_number(&number, object, has_value ? "value" : "strength", true, where);
    if (!status && has_strength) {
        const struct fathom_feature *known = fathom__labels_feature(server->labels, edit->feature);
        if (!known || !(known->max_activation > 0))
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "%s: no catalogue tells the maximum of feature %u: give \"value\" instead of "
                                "\"strength\"",
                                where, edit->feature);
        number *= (double)known->max_activation;
    }
    if (!status && !(fabs(number) <= (double)FLT_MAX))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: %g is too large a number", where, number);
    edit->value = (float)number;
    return status;
}

static int read_layers(struct fathom_steer_feature *edit, const json_t *object, const char *where) {
    const json_t *layers = json_object_get(object, "layers");
    if (!layers) return FATHOM_OK;
    const json_t *first = json_array_get(layers, 0), *last = json_array_get(layers, 1);
    if (json_array_size(layers) != 2 || !json_is_integer(first) || !json_is_integer(last) ||
        llabs(json_integer_value(first)) > INT16_MAX || llabs(json_integer_value(last)) > INT16_MAX)
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"layers\": [first, last] is expected", where);
    edit->spread = true;
    edit->first_layer = (int32_t)json_integer_value(first);
    edit->last_layer = (int32_t)json_integer_value(last);
    return FATHOM_OK;
}

static int read_edit(struct fathom__inside *out, const fathom_server *server, const json_t *object, const char *where) {
    static const char *const modes[] = {
        [FATHOM_STEER_CLAMP] = "clamp", [FATHOM_STEER_ADD] = "add", [FATHOM_STEER_ABLATE] = "ablate"};
    static const char *const parts[] = {
        [FATHOM_STEER_ALL] = "all", [FATHOM_STEER_PROMPT] = "prompt", [FATHOM_STEER_ANSWER] = "answer"};
    struct fathom_steer_feature edit = {.dictionary = server->options.dictionary};
    int mode = FATHOM_STEER_CLAMP, rows = FATHOM_STEER_ALL;
    int status = fathom__inside_feature(&edit.feature, server, object, where);
    if (!status) status = read_choice(&mode, object, "mode", modes, 3, where);
    if (!status) status = read_choice(&rows, object, "rows", parts, 3, where);
    edit.mode = (enum fathom_steer_mode)mode;
    edit.rows = (enum fathom_steer_rows)rows;
    if (!status) status = read_value(&edit, server, object, where);
    if (!status) status = read_layers(&edit, object, where);
    if (!status) status = fathom_steer_add_feature(out->plan, &edit);
    return status;
}

static int read_list(struct fathom__inside *out, const fathom_server *server, const json_t *edits) {
    int status = FATHOM_OK;
    if (json_array_size(edits) > MOST_EDITS)
        return fathom__fail(FATHOM_ERROR_FORMAT, "steer: a list of at most %d edits is expected", MOST_EDITS);
    for (size_t i = 0; i < json_array_size(edits) && !status; i++) {
        char where[32];
        snprintf(where, sizeof where, "steer[%zu]", i);
        status = read_edit(out, server, json_array_get(edits, i), where);
    }
    return status;
}

/* A request names no file that the server would open, and has no other text run. */
static int check_document(json_t *value) {
    static const char *const members[] = {"direction", "vector", "probe", "dictionary", "patch"};
    const char *key;
    json_t *member;
    size_t i;
    int status = FATHOM_OK;
    json_array_foreach (value, i, member) {
        if (!status) status = check_document(member);
    }
    json_object_foreach (value, key, member) {
        for (i = 0; i < sizeof members / sizeof members[0] && !status; i++)
            if (strcmp(key, members[i]) == 0)
                status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "steer: \"%s\" cannot be used in a request", key);
        if (!status) status = check_document(member);
    }
    return status;
}

static int read_text(struct fathom__inside *out, struct fathom__exchange *exchange, const char *text) {
    const fathom_server *server = exchange->server;
    struct fathom_steer_context context = {.dictionary = server->options.dictionary};
    char *translated = NULL;
    json_t *document = NULL;
    int status = fathom_steer_translate(&translated, text, strlen(text), "steer");
    if (!status) status = fathom__json_parse(&document, translated, strlen(translated), "steer");
    if (!status) status = check_document(document);
    if (!status) {
        status = fathom__labels_take(&context.catalogue, server->labels);
        if (!status) {
            status = fathom_steer_read(out->plan, translated, strlen(translated), "steer", &context);
            fathom__labels_give(server->labels);
        }
        exchange->unavailable = status == FATHOM_ERROR_LIMIT;
    }
    json_decref(document);
    fathom_free(translated);
    return status;
}

static int read_steer(struct fathom__inside *out, struct fathom__exchange *exchange, const json_t *edits) {
    const fathom_server *server = exchange->server;
    char *text = NULL;
    if (!edits || json_is_null(edits) || (json_is_array(edits) && json_array_size(edits) == 0)) return FATHOM_OK;
    if (!json_is_array(edits) && !json_is_object(edits) && !json_is_string(edits))
        return fathom__fail(FATHOM_ERROR_FORMAT, "steer: a list of edits, an expression or a plan is expected");
    int status = fathom__inside_need_dictionary(server, "steer");
    if (!status) status = fathom_steer_open(&out->plan, server->options.model);
    if (!status && json_is_array(edits)) return read_list(out, server, edits);
    if (!status && json_is_object(edits)) status = fathom__json_text(&text, edits, false);
    if (!status) status = read_text(out, exchange, text ? text : json_string_value(edits));
    fathom_free(text);
    return status;
}

int fathom__inside_read(struct fathom__inside *out, struct fathom__exchange *exchange) {
    const fathom_server *server = exchange->server;
    const json_t *request = exchange->request;
    int64_t n_features = 0;
    *out = (struct fathom__inside){0};
    int status = read_steer(out, exchange, json_object_get(request, "steer"));
    if (!status) status = fathom__inside_read_watches(out, server, json_object_get(request, "watch"));
    if (!status)
        status = fathom__json_get_integer(&n_features, request, "features", 0, FATHOM__MOST_FEATURES, false, "request");
    if (!status) status = fathom__json_get_bool(&out->whole_prompt, request, "watch_prompt", false, "request");
    if (!status && n_features > 0) status = fathom__inside_need_dictionary(server, "features");
    out->n_features = (uint32_t)n_features;
    out->whole_prompt = out->whole_prompt && fathom__inside_tells(out);
    return status;
}

void fathom__inside_ask(struct fathom__job_request *job, const struct fathom__inside *inside,
                        const fathom_server *server) {
    job->plan = inside->plan;
    job->watches = inside->watches;
    job->n_watches = inside->n_watches;
    job->dictionary = server->options.dictionary;
    job->n_features = inside->n_features;
    job->whole_prompt = inside->whole_prompt;
}

bool fathom__inside_tells(const struct fathom__inside *inside) {
    return inside->n_watches > 0 || inside->n_features > 0;
}

void fathom__inside_free(struct fathom__inside *inside) {
    for (size_t i = 0; i < inside->n_watches; i++)
        fathom_probe_close(inside->probes[i]);
    fathom_steer_close(inside->plan);
}
