#include "server/tool_grammar.h"
#include "base/error.h"
#include "base/memory.h"
#include "server/schema_writer.h"
#include <string.h>

enum { MOST_OPENING = 256 };

/* As a literal of the grammar. */
static int put_text(struct fathom__buffer *out, const char *text) {
    int status = fathom__buffer_text(out, " \"");
    for (const unsigned char *c = (const unsigned char *)text; *c && !status; c++)
        status = *c < ' ' || *c == '"' || *c == '\\' ? fathom__buffer_format(out, "\\x%02X", *c)
                                                     : fathom__buffer_append(out, c, 1);
    return status ? status : fathom__buffer_text(out, "\"");
}

/* The characters of valid UTF-8; SIZE_MAX where they are more than MOST_OPENING. */
static size_t read_characters(uint32_t *out, const char *text) {
    size_t n = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; n++) {
        const unsigned more = *c >= 0xf0 ? 3 : *c >= 0xe0 ? 2 : *c >= 0xc0 ? 1 : 0;
        uint32_t character = more ? *c & (0x3fu >> more) : *c;
        c++;
        for (unsigned i = 0; i < more && *c; i++, c++)
            character = character << 6 | (*c & 0x3fu);
        if (n == MOST_OPENING) return SIZE_MAX;
        out[n] = character;
    }
    return n;
}

/* How much of `opening` a text ends with that ended with its first `state` characters before this one came. */
static size_t advance(const uint32_t *opening, const size_t *fallback, size_t state, uint32_t character) {
    while (state > 0 && opening[state] != character)
        state = fallback[state];
    return opening[state] == character ? state + 1 : 0;
}

/* What may follow a text that ends with the opening's first `state` characters: nothing, any other character, or the next one
 * of the opening, after which a call follows. Rule t0 is any text. */
static int put_state(struct fathom__buffer *out, const uint32_t *opening, size_t n, const size_t *fallback,
                     size_t state) {
    struct fathom__buffer others = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    int status = fathom__buffer_format(out, "t%zu ::= \"\"", state);
    for (size_t i = 0; i < n && !status; i++) {
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen = seen || opening[k] == opening[i];
        const size_t next = seen ? 0 : advance(opening, fallback, state, opening[i]);
        if (next == 0) continue;
        status = fathom__buffer_format(&others, "\\U%08X", opening[i]);
        if (!status)
            status = next == n ? fathom__buffer_format(out, " | [\\U%08X] calls", opening[i])
                               : fathom__buffer_format(out, " | [\\U%08X] t%zu", opening[i], next);
    }
    if (!status) status = fathom__buffer_format(out, " | [^%s] t0\n", others.bytes);
    fathom__buffer_free(&others);
    return status;
}

/* Text in which the opening does not stand but before a call. */
static int put_any_text(struct fathom__buffer *out, const char *text) {
    uint32_t opening[MOST_OPENING];
    size_t fallback[MOST_OPENING + 1] = {0};
    const size_t n = read_characters(opening, text);
    if (n == SIZE_MAX)
        return fathom__fail(FATHOM_ERROR_LIMIT, "tools: a call begins with more than %d characters", MOST_OPENING);
    for (size_t i = 1; i < n; i++)
        fallback[i + 1] = advance(opening, fallback, fallback[i], opening[i]);
    int status = FATHOM_OK;
    for (size_t i = 0; i < n && !status; i++)
        status = put_state(out, opening, n, fallback, i);
    return status;
}

/* A rule for the calls of one tool, by its number. */
static int put_call(struct fathom__schema_writer *writer, const json_t *tool, size_t number,
                    const struct fathom__tool_format *format) {
    const json_t *function = json_object_get(tool, "function"), *schema = json_object_get(function, "parameters");
    struct fathom__buffer body = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    json_t *nothing = json_pack("{s:s, s:b}", "type", "object", "additionalProperties", 0);
    char name[2 * FATHOM__RULE_NAME], arguments[FATHOM__RULE_NAME];
    snprintf(name, sizeof name, "call-%zu", number);
    int status = nothing ? fathom__schema_whole(arguments, writer, schema && !json_is_null(schema) ? schema : nothing)
                         : fathom__fail_memory(1);
    if (status && status != FATHOM_ERROR_MEMORY) status = fathom__wrap(status, "tools[%zu]", number);
    if (!status) status = put_text(&body, json_string_value(json_object_get(function, "name")));
    if (!status) status = put_text(&body, format->between);
    if (!status) status = fathom__buffer_format(&body, " %s", arguments);
    if (!status) status = put_text(&body, format->closing);
    json_decref(nothing);
    return fathom__schema_rule(writer, name, &body, status);
}

int fathom__tool_grammar(char **out, const json_t *tools, const char *only, bool must,
                         const struct fathom__tool_format *format) {
    struct fathom__schema_writer writer;
    struct fathom__buffer calls = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR),
                          root = FATHOM__BUFFER_INIT(FATHOM__MOST_GRAMMAR);
    int status = fathom__schema_open(&writer);
    for (size_t i = 0; i < json_array_size(tools) && !status; i++) {
        const json_t *tool = json_array_get(tools, i);
        const char *name = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
        if (only && strcmp(only, name) != 0) continue;
        status = put_call(&writer, tool, i, format);
        if (!status) status = fathom__buffer_format(&calls, "%scall-%zu", calls.length ? " | " : "", i);
    }
    status = fathom__schema_rule(&writer, "calls", &calls, status);
    if (!status && !must) status = put_any_text(&writer.text, format->opening);
    if (!status) status = must ? put_text(&root, format->opening) : fathom__buffer_text(&root, "t0");
    if (!status && must) status = fathom__buffer_text(&root, " calls");
    status = fathom__schema_rule(&writer, "root", &root, status);
    if (!status) status = fathom__buffer_take(out, &writer.text);
    fathom__schema_close(&writer);
    return status;
}
