#include "server/messages.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include <stdio.h>
#include <string.h>

enum { MOST_MESSAGES = 4096, MESSAGE_BYTES_LIMIT = 1 << 26, WHERE_BYTES = 128 };

bool fathom__messages_call(const json_t *messages) {
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (json_array_size(json_object_get(json_array_get(messages, i), "tool_calls")) > 0) return true;
    return false;
}

/* The text of a message's content: a string, or parts of which all are text. */
static int read_content(struct fathom__buffer *text, const json_t *content, const char *where) {
    int status = FATHOM_OK;
    if (json_is_string(content)) return fathom__buffer_text(text, json_string_value(content));
    if (!json_is_array(content))
        return fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"content\": a text or a list of parts is expected", where);
    for (size_t i = 0; i < json_array_size(content) && !status; i++) {
        const json_t *part = json_array_get(content, i);
        const char *type = json_string_value(json_object_get(part, "type")),
                   *words = json_string_value(json_object_get(part, "text"));
        status = type && strcmp(type, "text") == 0 && words
                     ? fathom__buffer_text(text, words)
                     : fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                    "%s: only parts of text are supported: {\"type\": \"text\", \"text\": …}", where);
    }
    return status;
}

static int read_call(json_t *list, const json_t *call, bool as_text, const char *where) {
    const json_t *function = json_object_get(call, "function");
    const char *id = NULL, *name = NULL, *text = NULL;
    json_t *arguments = NULL;
    int status = fathom__json_get_string(&id, call, "id", true, where);
    if (!status && !json_is_object(function))
        status =
            fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"function\": {\"name\": …, \"arguments\": …} is expected", where);
    if (!status) status = fathom__json_get_string(&name, function, "name", true, where);
    if (!status) status = fathom__json_get_string(&text, function, "arguments", true, where);
    if (!status && as_text)
        arguments = json_string(text);
    else if (!status)
        arguments = json_loads(text, 0, NULL);
    if (!status && !as_text && !json_is_object(arguments)) {
        json_decref(arguments);
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"arguments\": a JSON object, as a text, is expected", where);
    }
    if (status) return status;
    json_t *out = json_pack("{s:s, s:s, s:{s:s, s:o}}", "id", id, "type", "function", "function", "name", name,
                            "arguments", arguments);
    return out && !json_array_append_new(list, out) ? FATHOM_OK : fathom__fail_memory(1);
}

static int read_calls(json_t *out, const json_t *calls, bool as_text, const char *where) {
    json_t *list = json_array();
    int status = list ? FATHOM_OK : fathom__fail_memory(1);
    if (!status && !json_is_array(calls))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"tool_calls\": a list is expected", where);
    for (size_t i = 0; i < json_array_size(calls) && !status; i++) {
        char at[WHERE_BYTES];
        snprintf(at, sizeof at, "%s.tool_calls[%zu]", where, i);
        status = read_call(list, json_array_get(calls, i), as_text, at);
    }
    if (!status && json_object_set(out, "tool_calls", list)) status = fathom__fail_memory(1);
    json_decref(list);
    return status;
}

static int read_message(json_t *out, const json_t *message, bool as_text, const char *where) {
    static const char *const others[] = {"tool_call_id", "name"};
    struct fathom__buffer text = FATHOM__BUFFER_INIT(MESSAGE_BYTES_LIMIT);
    const json_t *calls = json_object_get(message, "tool_calls"), *content = json_object_get(message, "content");
    const char *role = NULL;
    if (json_is_null(calls) || (json_is_array(calls) && json_array_size(calls) == 0)) calls = NULL;
    int status = fathom__json_get_string(&role, message, "role", true, where);
    /* A message that calls need say nothing. */
    if (!status && !(calls && (!content || json_is_null(content)))) status = read_content(&text, content, where);
    /* The name that newer clients have for what templates call the system. */
    if (!status && strcmp(role, "developer") == 0) role = "system";
    if (!status && (json_object_set_new(out, "role", json_string(role)) ||
                    json_object_set_new(out, "content", json_string(text.bytes ? text.bytes : ""))))
        status = fathom__fail_memory(text.length);
    if (!status && calls) status = read_calls(out, calls, as_text, where);
    for (size_t i = 0; i < sizeof others / sizeof others[0] && !status; i++) {
        const char *value = NULL;
        if (json_is_null(json_object_get(message, others[i]))) continue;
        status = fathom__json_get_string(&value, message, others[i], false, where);
        if (!status && value && json_object_set_new(out, others[i], json_string(value)))
            status = fathom__fail_memory(1);
    }
    fathom__buffer_free(&text);
    return status;
}

int fathom__messages_read(json_t **out, const json_t *messages, bool arguments_as_text) {
    const size_t n = json_array_size(messages);
    if (n == 0 || n > MOST_MESSAGES)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"messages\": a list of 1 to %d messages is expected",
                            MOST_MESSAGES);
    json_t *list = json_array();
    int status = list ? FATHOM_OK : fathom__fail_memory(n);
    for (size_t i = 0; i < n && !status; i++) {
        char where[WHERE_BYTES / 4];
        json_t *message = json_object();
        snprintf(where, sizeof where, "messages[%zu]", i);
        status = message ? read_message(message, json_array_get(messages, i), arguments_as_text, where)
                         : fathom__fail_memory(1);
        if (!status && json_array_append(list, message)) status = fathom__fail_memory(n);
        json_decref(message);
    }
    if (status)
        json_decref(list);
    else
        *out = list;
    return status;
}
