/* Plans out of JSON documents. docs/plan.schema.json describes the form. */
#include "steer/plan_json.h"
#include "base/error.h"
#include "base/memory.h"
#include <string.h>

enum { MOST_EDITS = 1024 };

int fathom__plan_check_keys(json_t *object, const char *const *known, const char *where) {
    const char *key;
    json_t *value;
    if (!json_is_object(object)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: an object is expected", where);
    }
    json_object_foreach (object, key, value) {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], key) != 0) {
            i++;
        }
        if (known[i] == NULL) {
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: there is no key \"%.64s\" here", where, key);
        }
    }
    return FATHOM_OK;
}

int fathom__plan_get_word(int *out, const json_t *object, const char *key, const char *const *words,
                          const char *where) {
    const char *text = NULL;
    int status = fathom__json_get_string(&text, object, key, false, where);
    if (status != FATHOM_OK || text == NULL) {
        return status;
    }
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return FATHOM_OK;
        }
    }
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\" is \"%.32s\", expected one such as \"%s\" or \"%s\"", where,
                        key, text, words[0], words[1]);
}

int fathom__plan_get_range(bool *has, int32_t *first, int32_t *last, const json_t *object, const char *key,
                           const char *where) {
    const json_t *value = json_object_get(object, key);
    json_int_t both[2] = {0, 0};
    *has = value != NULL;
    if (value == NULL) {
        return FATHOM_OK;
    }
    bool pair = json_is_array(value) && json_array_size(value) == 2 && json_is_integer(json_array_get(value, 0)) &&
                json_is_integer(json_array_get(value, 1));
    both[0] = json_integer_value(pair ? json_array_get(value, 0) : value);
    both[1] = json_integer_value(pair ? json_array_get(value, 1) : value);
    bool fits = both[0] > INT32_MIN && both[0] < INT32_MAX && both[1] > INT32_MIN && both[1] < INT32_MAX;
    if (!(pair || json_is_integer(value)) || !fits) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\": an integer or a pair of integers is expected", where,
                            key);
    }
    *first = (int32_t)both[0];
    *last = (int32_t)both[1];
    return FATHOM_OK;
}

int fathom__plan_get_float(float *out, const json_t *object, const char *key, bool required, const char *where) {
    double value = (double)*out;
    int status = fathom__json_get_number(&value, object, key, required, where);
    *out = (float)value;
    return status;
}

int fathom__plan_what_key(const json_t *object, const char *const *keys, const char *where) {
    int found = -1;
    for (int i = 0; keys[i] != NULL; i++) {
        if (json_object_get(object, keys[i]) != NULL) {
            if (found >= 0) {
                fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"%s\" and \"%s\" exclude each other", where, keys[found],
                             keys[i]);
                return -1;
            }
            found = i;
        }
    }
    if (found < 0) {
        fathom__fail(FATHOM_ERROR_FORMAT, "%s: one of \"%s\", \"%s\", … says what is meant", where, keys[0], keys[1]);
    }
    return found;
}

static int check_document(json_t *document, const char *name) {
    static const char *const known[] = {"fathom_plan", "edits", NULL};
    int64_t version = 0;
    int status = fathom__plan_check_keys(document, known, name);
    if (status == FATHOM_OK) {
        status = fathom__json_get_integer(&version, document, "fathom_plan", 1, 1, true, name);
    }
    const json_t *edits = json_object_get(document, "edits");
    if (status == FATHOM_OK && (!json_is_array(edits) || json_array_size(edits) > MOST_EDITS)) {
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"edits\": an array of at most %d edits is expected", name,
                            MOST_EDITS);
    }
    return status;
}

/* A document is told from an expression by how it begins. */
static int parse(json_t **out, const char *text, size_t length, const char *name) {
    size_t start = 0;
    while (start < length && strchr(" \t\r\n", text[start]) != NULL) {
        start++;
    }
    int status = start < length && text[start] == '{' ? fathom__json_parse(out, text, length, name)
                                                      : fathom__expression_parse(out, text, length, name);
    return status == FATHOM_OK ? check_document(*out, name) : status;
}

int fathom_steer_translate(char **out, const char *text, size_t length, const char *name) {
    json_t *document = NULL;
    int status = parse(&document, text, length, name);
    if (status == FATHOM_OK) {
        status = fathom__json_text(out, document, true);
    }
    json_decref(document);
    return status;
}

int fathom_steer_read(fathom_steer *plan, const char *text, size_t length, const char *name,
                      const struct fathom_steer_context *context) {
    static const struct fathom_steer_context nothing = {NULL, NULL};
    struct fathom__plan_names names = {.plan = plan, .context = context != NULL ? context : &nothing};
    size_t before = plan->n;
    size_t conditions = plan->n_conditions;
    json_t *document = NULL;
    int status = parse(&document, text, length, name);
    const json_t *edits = json_object_get(document, "edits");
    for (size_t i = 0; status == FATHOM_OK && i < json_array_size(edits); i++) {
        status = fathom__plan_read_edit(&names, json_array_get(edits, i), name, i + 1);
    }
    if (status != FATHOM_OK) {
        fathom__plan_cut(plan, before, conditions);
    }
    fathom__plan_names_free(&names);
    json_decref(document);
    return status;
}
