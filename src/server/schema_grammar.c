#include "server/schema_grammar.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include <fathom/error.h>
#include <string.h>

enum { MOST_DEPTH = 32, MOST_RULES = 2000, MOST_REPEATED = 1000, MOST_BYTES = 1 << 20, NAME_SIZE = 16 };

/* What every grammar may need. A number stays within what a double holds. */
static const char basics[] = "space ::= \" \"?\n"
                             "char ::= [^\"\\\\\\x00-\\x1F\\x7F] | \"\\\\\" [\"\\\\/bfnrt]\n"
                             "string ::= \"\\\"\" char* \"\\\"\"\n"
                             "integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,14})\n"
                             "number ::= integer (\".\" [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?\n"
                             "boolean ::= \"true\" | \"false\"\n"
                             "null ::= \"null\"\n"
                             "pair ::= string \":\" space value\n"
                             "object ::= \"{\" space (pair (\",\" space pair)*)? \"}\"\n"
                             "array ::= \"[\" space (value (\",\" space value)*)? \"]\"\n"
                             "value ::= object | array | string | number | boolean | null\n";

struct writer {
    struct fathom__buffer text;
    const json_t *root;
    json_t *named; /* rules of what "$ref" points to, by its text */
    unsigned n_rules;
};

static int write_schema(char name[NAME_SIZE], struct writer *writer, const json_t *schema, unsigned depth);

static int new_name(char name[NAME_SIZE], struct writer *writer) {
    if (writer->n_rules == MOST_RULES)
        return fathom__fail(FATHOM_ERROR_LIMIT, "schema: it has more than %d parts", MOST_RULES);
    snprintf(name, NAME_SIZE, "r%u", writer->n_rules++);
    return FATHOM_OK;
}

/* "name ::= body"; the body is freed whatever the status was. */
static int write_rule(struct writer *writer, const char *name, struct fathom__buffer *body, int status) {
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

/* Members that this kind of schema may have; the list ends with NULL. */
static int check_members(const json_t *schema, const char *const *known) {
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

static int write_string(char name[NAME_SIZE], struct writer *writer, const json_t *schema) {
    static const char *const known[] = {"minLength", "maxLength", NULL};
    struct fathom__buffer body = FATHOM__BUFFER_INIT(MOST_BYTES);
    int64_t least = 0, most = -1;
    int status = check_members(schema, known);
    if (!status) status = read_bounds(&least, &most, schema, "minLength", "maxLength");
    if (!status) status = new_name(name, writer);
    if (!status) status = fathom__buffer_text(&body, "\"\\\"\" char");
    if (!status) status = put_times(&body, least, most);
    if (!status) status = fathom__buffer_text(&body, "\"\\\"\"");
    return write_rule(writer, name, &body, status);
}

static int write_array(char name[NAME_SIZE], struct writer *writer, const json_t *schema, unsigned depth) {
    static const char *const known[] = {"items", "minItems", "maxItems", NULL};
    struct fathom__buffer body = FATHOM__BUFFER_INIT(MOST_BYTES);
    const json_t *items = json_object_get(schema, "items");
    char item[NAME_SIZE] = "value";
    int64_t least = 0, most = -1;
    int status = check_members(schema, known);
    if (!status) status = read_bounds(&least, &most, schema, "minItems", "maxItems");
    if (!status && items) status = write_schema(item, writer, items, depth);
    if (!status) status = new_name(name, writer);
    if (!status) status = fathom__buffer_text(&body, "\"[\" space ");
    if (!status && most != 0) {
        status = fathom__buffer_format(&body, "(%s (\",\" space %s)", item, item);
        if (!status) status = put_times(&body, least > 0 ? least - 1 : 0, most < 0 ? -1 : most - 1);
        if (!status) status = fathom__buffer_text(&body, least > 0 ? ") " : ")? ");
    }
    if (!status) status = fathom__buffer_text(&body, "\"]\"");
    return write_rule(writer, name, &body, status);
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
static int write_property(char first[NAME_SIZE], char rest[NAME_SIZE], struct writer *writer, const char *key,
                          const char *value, bool required) {
    struct fathom__buffer first_body = FATHOM__BUFFER_INIT(MOST_BYTES), rest_body = FATHOM__BUFFER_INIT(MOST_BYTES);
    char new_first[NAME_SIZE], new_rest[NAME_SIZE], pair[NAME_SIZE];
    struct fathom__buffer pair_body = FATHOM__BUFFER_INIT(MOST_BYTES);
    json_t *text = json_string(key);
    int status = text ? new_name(pair, writer) : fathom__fail_memory(1);
    if (!status) status = put_value(&pair_body, text);
    if (!status) status = fathom__buffer_format(&pair_body, "\":\" space %s", value);
    status = write_rule(writer, pair, &pair_body, status);
    if (!status) status = new_name(new_first, writer);
    if (!status)
        status = required ? fathom__buffer_format(&first_body, "%s %s", pair, rest)
                          : fathom__buffer_format(&first_body, "%s %s | %s", pair, rest, first);
    status = write_rule(writer, new_first, &first_body, status);
    if (!status) status = new_name(new_rest, writer);
    if (!status) status = fathom__buffer_format(&rest_body, "(\",\" space %s)%s %s", pair, required ? "" : "?", rest);
    status = write_rule(writer, new_rest, &rest_body, status);
    json_decref(text);
    if (status) return status;
    memcpy(first, new_first, NAME_SIZE);
    memcpy(rest, new_rest, NAME_SIZE);
    return FATHOM_OK;
}

static int write_properties(char first[NAME_SIZE], struct writer *writer, const json_t *schema,
                            const json_t *properties, unsigned depth) {
    struct fathom__buffer empty = FATHOM__BUFFER_INIT(MOST_BYTES);
    const size_t n = json_object_size(properties);
    const char **keys = NULL;
    char rest[NAME_SIZE];
    size_t at = 0;
    const char *key;
    json_t *value;
    int status = fathom__alloc(&keys, n, sizeof *keys);
    if (!status) status = new_name(rest, writer);
    status = write_rule(writer, rest, &empty, status);
    if (!status) memcpy(first, rest, NAME_SIZE);
    if (!status)
        json_object_foreach ((json_t *)(uintptr_t)properties, key, value)
            keys[at++] = key;
    while (at > 0 && !status) {
        char name[NAME_SIZE];
        key = keys[--at];
        status = write_schema(name, writer, json_object_get(properties, key), depth);
        if (!status) status = write_property(first, rest, writer, key, name, is_required(schema, key));
    }
    fathom_free(keys);
    return status;
}

static int write_object(char name[NAME_SIZE], struct writer *writer, const json_t *schema, unsigned depth) {
    static const char *const known[] = {"properties", "required", "additionalProperties", NULL};
    const json_t *properties = json_object_get(schema, "properties"),
                 *additional = json_object_get(schema, "additionalProperties");
    struct fathom__buffer body = FATHOM__BUFFER_INIT(MOST_BYTES);
    char part[NAME_SIZE] = "value";
    int status = check_members(schema, known);
    if (!status && properties && !json_is_object(properties))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"properties\": an object is expected");
    if (!status) status = check_required(schema, properties);
    if (status) return status;
    const bool closed = json_object_size(properties) > 0 || json_is_false(additional);
    if (closed)
        status = write_properties(part, writer, schema, properties, depth);
    else if (additional)
        status = write_schema(part, writer, additional, depth);
    if (!status) status = new_name(name, writer);
    if (!status)
        status = closed ? fathom__buffer_format(&body, "\"{\" space %s \"}\"", part)
                        : fathom__buffer_format(
                              &body, "\"{\" space (string \":\" space %s (\",\" space string \":\" space %s)*)? \"}\"",
                              part, part);
    return write_rule(writer, name, &body, status);
}

static int write_choice(char name[NAME_SIZE], struct writer *writer, const json_t *values) {
    struct fathom__buffer body = FATHOM__BUFFER_INIT(MOST_BYTES);
    int status = json_is_array(values) && json_array_size(values) > 0
                     ? new_name(name, writer)
                     : fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"enum\": a list of values is expected");
    for (size_t i = 0; i < json_array_size(values) && !status; i++) {
        if (i > 0) status = fathom__buffer_text(&body, "| ");
        if (!status) status = put_value(&body, json_array_get(values, i));
    }
    return write_rule(writer, name, &body, status);
}

static int write_alternatives(char name[NAME_SIZE], struct writer *writer, const json_t *list, unsigned depth) {
    struct fathom__buffer body = FATHOM__BUFFER_INIT(MOST_BYTES);
    int status = json_is_array(list) && json_array_size(list) > 0
                     ? FATHOM_OK
                     : fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"anyOf\": a list of schemas is expected");
    for (size_t i = 0; i < json_array_size(list) && !status; i++) {
        char part[NAME_SIZE];
        status = write_schema(part, writer, json_array_get(list, i), depth);
        if (!status) status = fathom__buffer_format(&body, "%s%s", i ? " | " : "", part);
    }
    if (!status) status = new_name(name, writer);
    return write_rule(writer, name, &body, status);
}

/* "#", or "#/a/b": each rule is written once, also where a schema holds itself. */
static int write_reference(char name[NAME_SIZE], struct writer *writer, const char *reference, unsigned depth) {
    const json_t *target = writer->root, *written = json_object_get(writer->named, reference);
    char *path = NULL, part[NAME_SIZE];
    if (written) {
        snprintf(name, NAME_SIZE, "%s", json_string_value(written));
        return FATHOM_OK;
    }
    int status = reference[0] == '#' && (!reference[1] || reference[1] == '/')
                     ? fathom__copy_string(&path, reference + 1)
                     : fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                    "schema: \"$ref\": \"%.100s\" does not point into the schema", reference);
    if (status) return status;
    char *rest = NULL;
    for (const char *key = strtok_r(path, "/", &rest); key && target; key = strtok_r(NULL, "/", &rest))
        target = json_object_get(target, key);
    fathom_free(path);
    if (!target) return fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"$ref\": there is no \"%.100s\"", reference);
    if ((status = new_name(name, writer))) return status;
    if (json_object_set_new(writer->named, reference, json_string(name))) return fathom__fail_memory(1);
    status = write_schema(part, writer, target, depth);
    return status ? status : fathom__buffer_format(&writer->text, "%s ::= %s\n", name, part);
}

static int write_type(char name[NAME_SIZE], struct writer *writer, const json_t *schema, const char *type,
                      unsigned depth) {
    static const char *const plain[] = {"integer", "number", "boolean", "null"}, *const none[] = {NULL};
    if (strcmp(type, "object") == 0) return write_object(name, writer, schema, depth);
    if (strcmp(type, "array") == 0) return write_array(name, writer, schema, depth);
    if (strcmp(type, "string") == 0) return write_string(name, writer, schema);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strcmp(type, plain[i]) == 0) {
            snprintf(name, NAME_SIZE, "%s", type);
            return check_members(schema, none);
        }
    return fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"type\": \"%.100s\" is none", type);
}

/* A list of types: each is written as if it stood alone, with the members that are its own. */
static int write_types(char name[NAME_SIZE], struct writer *writer, const json_t *schema, const json_t *types,
                       unsigned depth) {
    json_t *list = json_array(), *type;
    size_t i;
    json_array_foreach ((json_t *)(uintptr_t)types, i, type) {
        const char *text = json_string_value(type);
        const bool whole =
            text && (strcmp(text, "object") == 0 || strcmp(text, "array") == 0 || strcmp(text, "string") == 0);
        json_t *one = whole ? json_copy((json_t *)(uintptr_t)schema) : json_object();
        json_object_set(one, "type", type);
        json_array_append_new(list, one);
    }
    const int status = write_alternatives(name, writer, list, depth);
    json_decref(list);
    return status;
}

static int write_schema(char name[NAME_SIZE], struct writer *writer, const json_t *schema, unsigned depth) {
    static const char *const reference_only[] = {"$ref", NULL}, *const alternatives_only[] = {"anyOf", NULL},
                             *const none[] = {NULL};
    const json_t *type = json_object_get(schema, "type"), *constant = json_object_get(schema, "const");
    int status = FATHOM_OK;
    if (depth == MOST_DEPTH) return fathom__fail(FATHOM_ERROR_LIMIT, "schema: it nests more than %d deep", MOST_DEPTH);
    if (json_is_true(schema) || (json_is_object(schema) && json_object_size(schema) == 0)) {
        snprintf(name, NAME_SIZE, "value");
        return FATHOM_OK;
    }
    if (!json_is_object(schema)) return fathom__fail(FATHOM_ERROR_FORMAT, "schema: an object is expected");
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    if (type && (reference || json_object_get(schema, "anyOf")))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "schema: \"type\" beside \"%s\" is not supported here",
                            reference ? "$ref" : "anyOf");
    if (reference) {
        status = check_members(schema, reference_only);
        return status ? status : write_reference(name, writer, reference, depth + 1);
    }
    if (json_object_get(schema, "anyOf")) {
        status = check_members(schema, alternatives_only);
        return status ? status : write_alternatives(name, writer, json_object_get(schema, "anyOf"), depth + 1);
    }
    if (constant || json_object_get(schema, "enum")) {
        json_t *values = constant ? json_pack("[O]", constant) : json_incref(json_object_get(schema, "enum"));
        status = check_members(schema, none);
        if (!status) status = write_choice(name, writer, values);
        json_decref(values);
        return status;
    }
    if (json_is_array(type)) return write_types(name, writer, schema, type, depth + 1);
    const char *text = json_string_value(type);
    if (!text && json_object_get(schema, "properties")) text = "object";
    if (!text && json_object_get(schema, "items")) text = "array";
    if (text) return write_type(name, writer, schema, text, depth + 1);
    snprintf(name, NAME_SIZE, "value");
    return type ? fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"type\": a text or a list of them is expected")
                : check_members(schema, none);
}

int fathom__schema_grammar(char **out, const json_t *schema) {
    struct writer writer = {.text = FATHOM__BUFFER_INIT(MOST_BYTES), .root = schema, .named = json_object()};
    char name[NAME_SIZE] = "object";
    int status = writer.named ? fathom__buffer_text(&writer.text, basics) : fathom__fail_memory(1);
    if (!status && schema) status = write_schema(name, &writer, schema, 0);
    if (!status) status = fathom__buffer_format(&writer.text, "root ::= %s\n", name);
    if (!status) status = fathom__buffer_take(out, &writer.text);
    fathom__buffer_free(&writer.text);
    json_decref(writer.named);
    return status;
}
