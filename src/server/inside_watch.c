/* What a request watches: features, and probes in the data folder. */
#include "base/error.h"
#include "base/json.h"
#include "server/inside.h"
#include "server/probes.h"
#include <float.h>
#include <math.h>

static int add_probe(struct fathom__inside *out, const fathom_server *server, const char *name) {
    const size_t at = out->n_watches;
    const int status = fathom__probe_named(&out->probes[at], server, name);
    if (status) return status;
    out->probe_names[at] = name;
    out->watches[at] =
        (struct fathom_watch){.probe = out->probes[at], .above = fathom_probe_describe(out->probes[at])->threshold};
    out->n_watches++;
    return FATHOM_OK;
}

int fathom__inside_watch_probe(struct fathom__inside *out, const fathom_server *server, const char *name) {
    *out = (struct fathom__inside){0};
    return add_probe(out, server, name);
}

static int add_feature(struct fathom__inside *out, const fathom_server *server, const json_t *value,
                       const char *where) {
    struct fathom_watch *watch = &out->watches[out->n_watches];
    json_t *object = json_is_integer(value) ? json_pack("{s:I}", "feature", json_integer_value(value)) : NULL;
    *watch = (struct fathom_watch){.dictionary = server->options.dictionary, .above = DBL_MAX};
    int status = fathom__inside_need_dictionary(server, "watch");
    if (!status) status = fathom__inside_feature(&watch->feature, server, object ? object : value, where);
    json_decref(object);
    out->n_watches += status == FATHOM_OK;
    return status;
}

/* A feature's number, {"feature": N, "above": X} or {"probe": NAME, "above": X}. */
static int read_watch(struct fathom__inside *out, const fathom_server *server, const json_t *value, const char *where) {
    const size_t at = out->n_watches;
    const char *name = NULL;
    int status = json_is_object(value) ? fathom__json_get_string(&name, value, "probe", false, where) : FATHOM_OK;
    if (!status && name && json_object_get(value, "feature"))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: one of \"feature\" and \"probe\" is expected", where);
    if (!status) status = name ? add_probe(out, server, name) : add_feature(out, server, value, where);
    if (!status && json_is_object(value))
        status = fathom__json_get_number(&out->watches[at].above, value, "above", false, where);
    return status;
}

int fathom__inside_read_watches(struct fathom__inside *out, const fathom_server *server, const json_t *watches) {
    if (!watches || json_is_null(watches)) return FATHOM_OK;
    if (!json_is_array(watches) || json_array_size(watches) > FATHOM__MOST_WATCHES)
        return fathom__fail(FATHOM_ERROR_FORMAT, "watch: a list of at most %d features and probes is expected",
                            FATHOM__MOST_WATCHES);
    int status = FATHOM_OK;
    for (size_t i = 0; i < json_array_size(watches) && !status; i++) {
        char where[32];
        snprintf(where, sizeof where, "watch[%zu]", i);
        status = read_watch(out, server, json_array_get(watches, i), where);
    }
    return status;
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *feature_watch_json(const struct fathom_watch *watch, const fathom_server *server) {
    const struct fathom_feature *known = fathom__labels_feature(server->labels, watch->feature);
    return json_pack("{s:I, s:s?, s:o}", "feature", (json_int_t)watch->feature, "label", known ? known->label : NULL,
                     "max_activation", known ? number((double)known->max_activation) : json_null());
}

json_t *fathom__inside_watches_json(const struct fathom__inside *inside, const fathom_server *server) {
    json_t *list = json_array();
    for (size_t i = 0; i < inside->n_watches; i++) {
        const struct fathom_watch *watch = &inside->watches[i];
        json_t *entry = watch->probe ? json_pack("{s:s, s:s}", "probe", inside->probe_names[i], "hook",
                                                 fathom_probe_describe(watch->probe)->hook)
                                     : feature_watch_json(watch, server);
        if (watch->above < DBL_MAX) json_object_set_new(entry, "above", json_real(watch->above));
        json_array_append_new(list, entry);
    }
    return list;
}

void fathom__inside_token_json(json_t *object, const struct fathom__inside *inside, const float *levels,
                               const struct fathom__feature_level *features, size_t index) {
    if (inside->n_watches) {
        json_t *list = json_array();
        for (size_t i = 0; i < inside->n_watches; i++)
            json_array_append_new(list, number((double)levels[index * inside->n_watches + i]));
        json_object_set_new(object, "levels", list);
    }
    if (inside->n_features) {
        json_t *list = json_array();
        for (size_t i = 0; i < inside->n_features; i++) {
            const struct fathom__feature_level *feature = &features[index * inside->n_features + i];
            if (feature->value > 0)
                json_array_append_new(list, json_pack("{s:I, s:f}", "feature", (json_int_t)feature->feature, "value",
                                                      (double)feature->value));
        }
        json_object_set_new(object, "features", list);
    }
}
