#include "server/schema_grammar.h"
#include "base/error.h"
#include "base/memory.h"
#include "server/schema_writer.h"
#include <fathom/error.h>
#include <string.h>

enum { MOST_DEPTH = 32 };

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

static int write_alternatives(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *list,
                              unsigned depth) {
    struct fathom__buffer body = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    int status = json_is_array(list) && json_array_size(list) > 0
                     ? FATHOM_OK
                     : fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"anyOf\": a list of schemas is expected");
    for (size_t i = 0; i < json_array_size(list) && !status; i++) {
        char part[FATHOM__RULE_NAME];
        status = fathom__schema_any(part, writer, json_array_get(list, i), depth);
        if (!status) status = fathom__buffer_format(&body, "%s%s", i ? " | " : "", part);
    }
    if (!status) status = fathom__schema_name(name, writer);
    return fathom__schema_rule(writer, name, &body, status);
}

/* What "#" or "#/a/b" points to. */
static int find_target(const json_t **out, const json_t *root, const char *reference) {
    char *path = NULL, *rest = NULL;
    int status = reference[0] == '#' && (!reference[1] || reference[1] == '/')
                     ? fathom__copy_string(&path, reference + 1)
                     : fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                    "schema: \"$ref\": \"%.100s\" does not point into the schema", reference);
    if (status) return status;
    *out = root;
    for (const char *key = strtok_r(path, "/", &rest); key && *out; key = strtok_r(NULL, "/", &rest))
        *out = json_object_get(*out, key);
    fathom_free(path);
    return *out ? FATHOM_OK : fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"$ref\": there is no \"%.100s\"", reference);
}

/* A schema may hold itself in an object or a list; one that is itself, by way of "$ref" and "anyOf" alone, says nothing. `seen`: false
 * for references on the way here, true for those that are known to be good. */
static int check_circle(json_t *seen, const json_t *root, const json_t *schema, unsigned depth) {
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    const json_t *list = json_object_get(schema, "anyOf"), *known = reference ? json_object_get(seen, reference) : NULL,
                 *target = NULL;
    int status = FATHOM_OK;
    if (json_is_true(known)) return FATHOM_OK;
    if (json_is_false(known))
        return fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"$ref\": \"%.100s\" points to itself, and so to nothing",
                            reference);
    if (depth == MOST_DEPTH) return fathom__fail(FATHOM_ERROR_LIMIT, "schema: it nests more than %d deep", MOST_DEPTH);
    if (reference) {
        status = find_target(&target, root, reference);
        if (!status && json_object_set_new(seen, reference, json_false())) status = fathom__fail_memory(1);
        if (!status) status = check_circle(seen, root, target, depth + 1);
        if (!status && json_object_set_new(seen, reference, json_true())) status = fathom__fail_memory(1);
    }
    for (size_t i = 0; i < json_array_size(list) && !status; i++)
        status = check_circle(seen, root, json_array_get(list, i), depth + 1);
    return status;
}

/* Each rule is written once, also where a schema holds itself. */
static int write_reference(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                           const char *reference, unsigned depth) {
    const json_t *target = NULL, *written = json_object_get(writer->named, reference);
    char part[FATHOM__RULE_NAME];
    if (written) {
        snprintf(name, FATHOM__RULE_NAME, "%s", json_string_value(written));
        return FATHOM_OK;
    }
    json_t *seen = json_object();
    int status = seen ? check_circle(seen, writer->root, schema, 0) : fathom__fail_memory(1);
    json_decref(seen);
    if (!status) status = find_target(&target, writer->root, reference);
    if (!status) status = fathom__schema_name(name, writer);
    if (!status && json_object_set_new(writer->named, reference, json_string(name))) status = fathom__fail_memory(1);
    if (!status) status = fathom__schema_any(part, writer, target, depth);
    return status ? status : fathom__buffer_format(&writer->text, "%s ::= %s\n", name, part);
}

static int write_type(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                      const char *type, unsigned depth) {
    static const char *const plain[] = {"integer", "number", "boolean", "null"}, *const none[] = {NULL};
    if (strcmp(type, "object") == 0) return fathom__schema_object(name, writer, schema, depth);
    if (strcmp(type, "array") == 0) return fathom__schema_array(name, writer, schema, depth);
    if (strcmp(type, "string") == 0) return fathom__schema_string(name, writer, schema);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strcmp(type, plain[i]) == 0) {
            snprintf(name, FATHOM__RULE_NAME, "%s", type);
            return fathom__schema_members(schema, none);
        }
    return fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"type\": \"%.100s\" is none", type);
}

/* A list of types: each is written as if it stood alone, with the members that are its own. */
static int write_types(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                       const json_t *types, unsigned depth) {
    static const char *const known[] = {"minLength", "maxLength",  "items",    "minItems",
                                        "maxItems",  "properties", "required", "additionalProperties",
                                        NULL};
    json_t *list = json_array(), *type;
    size_t i;
    int status = fathom__schema_members(schema, known);
    json_array_foreach ((json_t *)(uintptr_t)types, i, type) {
        const char *text = json_string_value(type);
        const bool whole =
            text && (strcmp(text, "object") == 0 || strcmp(text, "array") == 0 || strcmp(text, "string") == 0);
        json_t *one = whole ? json_copy((json_t *)(uintptr_t)schema) : json_object();
        json_object_set(one, "type", type);
        json_array_append_new(list, one);
    }
    if (!status) status = write_alternatives(name, writer, list, depth);
    json_decref(list);
    return status;
}

int fathom__schema_any(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema,
                       unsigned depth) {
    static const char *const reference_only[] = {"$ref", NULL}, *const alternatives_only[] = {"anyOf", NULL},
                             *const none[] = {NULL};
    const json_t *type = json_object_get(schema, "type"), *constant = json_object_get(schema, "const");
    int status = FATHOM_OK;
    if (depth == MOST_DEPTH) return fathom__fail(FATHOM_ERROR_LIMIT, "schema: it nests more than %d deep", MOST_DEPTH);
    if (json_is_true(schema) || (json_is_object(schema) && json_object_size(schema) == 0)) {
        snprintf(name, FATHOM__RULE_NAME, "value");
        return FATHOM_OK;
    }
    if (!json_is_object(schema)) return fathom__fail(FATHOM_ERROR_FORMAT, "schema: an object is expected");
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    if (type && (reference || json_object_get(schema, "anyOf")))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "schema: \"type\" beside \"%s\" is not supported here",
                            reference ? "$ref" : "anyOf");
    if (reference) {
        status = fathom__schema_members(schema, reference_only);
        return status ? status : write_reference(name, writer, schema, reference, depth + 1);
    }
    if (json_object_get(schema, "anyOf")) {
        status = fathom__schema_members(schema, alternatives_only);
        return status ? status : write_alternatives(name, writer, json_object_get(schema, "anyOf"), depth + 1);
    }
    if (constant || json_object_get(schema, "enum")) {
        json_t *values = constant ? json_pack("[O]", constant) : json_incref(json_object_get(schema, "enum"));
        status = fathom__schema_members(schema, none);
        if (!status) status = fathom__schema_choice(name, writer, values);
        json_decref(values);
        return status;
    }
    if (json_is_array(type)) return write_types(name, writer, schema, type, depth + 1);
    const char *text = json_string_value(type);
    if (!text && json_object_get(schema, "properties")) text = "object";
    if (!text && json_object_get(schema, "items")) text = "array";
    if (text) return write_type(name, writer, schema, text, depth + 1);
    snprintf(name, FATHOM__RULE_NAME, "value");
    return type ? fathom__fail(FATHOM_ERROR_FORMAT, "schema: \"type\": a text or a list of them is expected")
                : fathom__schema_members(schema, none);
}

int fathom__schema_open(struct fathom__schema_writer *out) {
    *out = (struct fathom__schema_writer){.text = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR), .named = json_object()};
    return out->named ? fathom__buffer_text(&out->text, basics) : fathom__fail_memory(1);
}

void fathom__schema_close(struct fathom__schema_writer *writer) {
    fathom__buffer_free(&writer->text);
    json_decref(writer->named);
}

int fathom__schema_whole(char name[FATHOM__RULE_NAME], struct fathom__schema_writer *writer, const json_t *schema) {
    writer->root = schema;
    json_object_clear(writer->named);
    return fathom__schema_any(name, writer, schema, 0);
}

int fathom__schema_grammar(char **out, const json_t *schema) {
    struct fathom__schema_writer writer;
    char name[FATHOM__RULE_NAME] = "object";
    int status = fathom__schema_open(&writer);
    if (!status && schema) status = fathom__schema_whole(name, &writer, schema);
    if (!status) status = fathom__buffer_format(&writer.text, "root ::= %s\n", name);
    if (!status) status = fathom__buffer_take(out, &writer.text);
    fathom__schema_close(&writer);
    return status;
}
