/* What texts, lists, objects and choices become. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/schema_writer.h"
#include <fathom/error.h>
#include <string.h>

enum { MOST_RULES = 2000, MOST_REPEATED = 1000 };

int fathom__schema_name(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer) {
    if (writer->n_rules == MOST_RULES)
        return fathom__fail(FATHOM_ERROR_LIMIT, "schema: it has more than %d parts", MOST_RULES);
    snprintf(name, FATHOM__RULE_NAME, "r%u", writer->n_rules++);
    return FATHOM_OK;
}

int fathom__schema_rule(struct fathom__schema_writer *writer, const char *name, struct fathom__buffer *body,
                        int status) {
    if (!status) status = fathom__buffer_format(&writer->text, "%s ::= %s\n", name, body->bytes ? body->bytes : "\"\"");
    fathom__buffer_free(body);
    return status;
}

/* A text as a literal. */
static int put_literal(struct fathom__buffer *out, const char *text) {
    int status = fathom__buffer_text(out, "\"");
    for (const char *c = text; *c && !status; c++)
        status = *c == '"' || *c == '\\' ? fathom__buffer_format(out, "\\%c", *c) : fathom__buffer_append(out, c, 1);
    return status ? status : fathom__buffer_text(out, "\" ");
}

static int put_value(struct fathom__buffer *out, const json_t *value) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    const int status = text ? put_literal(out, text) : fathom__fail_memory(1);
    free(text);
    return status;
}

int fathom__schema_members(const json_t *schema, const char *const *known) {
    static const char *const notes[] = {"type",    "title", "description", "default",  "examples",
                                        "$schema", "$id",   "$comment",    "$defs",    "definitions",
                                        "enum",    "const", "deprecated",  "readOnly", "writeOnly"};
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)schema, key, value) {
        bool found = false;
        for (size_t i = 0; i < sizeof notes / sizeof notes[0] && !found; i++)
            found = strcmp(key, notes[i]) == 0;
        for (size_t i = 0; known[i] && !found; i++)
            found = strcmp(key, known[i]) == 0;
        if (!found) return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "schema: \"%.100s\" is not supported here", key);
    }
    return FATHOM_OK;
}

static int read_bounds(int64_t *least, int64_t *most, const json_t *schema, const char *least_key,
                       const char *most_key) {
    *least = 0;
    *most = -1;
    int status = fathom__json_get_integer(least, schema, least_key, 0, MOST_REPEATED, false, "schema");
    if (!status) status = fathom__json_get_integer(most, schema, most_key, 0, MOST_REPEATED, false, "schema");
    if (!status && *most >= 0 && *most < *least)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"%s\" is less than \"%s\"", most_key, least_key);
    return status;
}

/* "{least,most}" */
static int put_times(struct fathom__buffer *out, int64_t least, int64_t most) {
    return most < 0 ? fathom__buffer_format(out, "{%lld,} ", (long long)least)
                    : fathom__buffer_format(out, "{%lld,%lld} ", (long long)least, (long long)most);
}

int fathom__schema_string(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema) {
    static const char *const known[] = {"minLength", "maxLength", NULL};
    struct fathom__buffer body = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    int64_t least = 0, most = -1;
    int status = fathom__schema_members(schema, known);
    if (!status) status = read_bounds(&least, &most, schema, "minLength", "maxLength");
    if (!status) status = fathom__schema_name(name, writer);
    if (!status) status = fathom__buffer_text(&body, "\"\\\"\" char");
    if (!status) status = put_times(&body, least, most);
    if (!status) status = fathom__buffer_text(&body, "\"\\\"\"");
    return fathom__schema_rule(writer, name, &body, status);
}

int fathom__schema_array(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                         unsigned depth) {
    static const char *const known[] = {"items", "minItems", "maxItems", NULL};
    struct fathom__buffer body = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    const json_t *items = json_object_get(schema, "items");
    char item[FATHOM__RULE_NAME] = "value";
    int64_t least = 0, most = -1;
    int status = fathom__schema_members(schema, known);
    if (!status) status = read_bounds(&least, &most, schema, "minItems", "maxItems");
    if (!status && items) status = fathom__schema_any(item, writer, items, depth);
    if (!status) status = fathom__schema_name(name, writer);
    if (!status) status = fathom__buffer_text(&body, "\"[\" space ");
    if (!status && most != 0) {
        status = fathom__buffer_format(&body, "(%s (\",\" space %s)", item, item);
        if (!status) status = put_times(&body, least > 0 ? least - 1 : 0, most < 0 ? -1 : most - 1);
        if (!status) status = fathom__buffer_text(&body, least > 0 ? ") " : ")? ");
    }
    if (!status) status = fathom__buffer_text(&body, "\"]\"");
    return fathom__schema_rule(writer, name, &body, status);
}

static bool is_required(const json_t *schema, const char *key) {
    const json_t *required = json_object_get(schema, "required"), *entry;
    size_t i;
    json_array_foreach ((json_t *)(uintptr_t)required, i, entry)
        if (json_is_string(entry) && strcmp(json_string_value(entry), key) == 0) return true;
    return false;
}

static int check_required(const json_t *schema, const json_t *properties) {
    const json_t *required = json_object_get(schema, "required"), *entry;
    size_t i;
    if (required && !json_is_array(required))
        return fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"required\": a list is expected");
    json_array_foreach ((json_t *)(uintptr_t)required, i, entry)
        if (!json_is_string(entry) || !json_object_get(properties, json_string_value(entry)))
            return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                "schema: \"required\" names what is not among \"properties\"");
    return FATHOM_OK;
}

/* One property, and what may follow it: after something was written each begins with a comma. Written from the last one
 * back. */
static int write_property(char first[FATHOM__RULE_NAME], char rest[FATHOM__RULE_NAME],
                          struct fathom__schema_writer *writer, const char *key, const char *value, bool required) {
    struct fathom__buffer first_body = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR),
                          rest_body = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    char new_first[FATHOM__RULE_NAME], new_rest[FATHOM__RULE_NAME], pair[FATHOM__RULE_NAME];
    struct fathom__buffer pair_body = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    json_t *text = json_string(key);
    int status = text ? fathom__schema_name(pair, writer) : fathom__fail_memory(1);
    if (!status) status = put_value(&pair_body, text);
    if (!status) status = fathom__buffer_format(&pair_body, "\":\" space %s", value);
    status = fathom__schema_rule(writer, pair, &pair_body, status);
    if (!status) status = fathom__schema_name(new_first, writer);
    if (!status)
        status = required ? fathom__buffer_format(&first_body, "%s %s", pair, rest)
                          : fathom__buffer_format(&first_body, "%s %s | %s", pair, rest, first);
    status = fathom__schema_rule(writer, new_first, &first_body, status);
    if (!status) status = fathom__schema_name(new_rest, writer);
    if (!status) status = fathom__buffer_format(&rest_body, "(\",\" space %s)%s %s", pair, required ? "" : "?", rest);
    status = fathom__schema_rule(writer, new_rest, &rest_body, status);
    json_decref(text);
    if (status) return status;
    memcpy(first, new_first, FATHOM__RULE_NAME);
    memcpy(rest, new_rest, FATHOM__RULE_NAME);
    return FATHOM_OK;
}

static int write_properties(char first[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                            const json_t *properties, unsigned depth) {
    struct fathom__buffer empty = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    const size_t n = json_object_size(properties);
    const char **keys = NULL;
    char rest[FATHOM__RULE_NAME];
    size_t at = 0;
    const char *key;
    json_t *value;
    int status = fathom__alloc(&keys, n, sizeof *keys);
    if (!status) status = fathom__schema_name(rest, writer);
    status = fathom__schema_rule(writer, rest, &empty, status);
    if (!status) memcpy(first, rest, FATHOM__RULE_NAME);
    if (!status)
        json_object_foreach ((json_t *)(uintptr_t)properties, key, value)
            keys[at++] = key;
    while (at > 0 && !status) {
        char name[FATHOM__RULE_NAME];
        key = keys[--at];
        status = fathom__schema_any(name, writer, json_object_get(properties, key), depth);
        if (!status) status = write_property(first, rest, writer, key, name, is_required(schema, key));
    }
    fathom_free(keys);
    return status;
}

int fathom__schema_object(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                          unsigned depth) {
    static const char *const known[] = {"properties", "required", "additionalProperties", NULL};
    const json_t *properties = json_object_get(schema, "properties"),
                 *additional = json_object_get(schema, "additionalProperties");
    struct fathom__buffer body = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    char part[FATHOM__RULE_NAME] = "value";
    int status = fathom__schema_members(schema, known);
    if (!status && properties && !json_is_object(properties))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"properties\": an object is expected");
    if (!status) status = check_required(schema, properties);
    if (status) return status;
    const bool closed = json_object_size(properties) > 0 || json_is_false(additional);
    if (closed)
        status = write_properties(part, writer, schema, properties, depth);
    else if (additional)
        status = fathom__schema_any(part, writer, additional, depth);
    if (!status) status = fathom__schema_name(name, writer);
    if (!status)
        status = closed ? fathom__buffer_format(&body, "\"{\" space %s \"}\"", part)
                        : fathom__buffer_format(
                              &body, "\"{\" space (string \":\" space %s (\",\" space string \":\" space %s)*)? \"}\"",
                              part, part);
    return fathom__schema_rule(writer, name, &body, status);
}

int fathom__schema_choice(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *values) {
    struct fathom__buffer body = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    int status = json_is_array(values) && json_array_size(values) > 0
                     ? fathom__schema_name(name, writer)
                     : fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"enum\": a list of values is expected");
    for (size_t i = 0; i < json_array_size(values) && !status; i++) {
        if (i > 0) status = fathom__buffer_text(&body, "| ");
        if (!status) status = put_value(&body, json_array_get(values, i));
    }
    return fathom__schema_rule(writer, name, &body, status);
}
