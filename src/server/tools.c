#include "server/tools.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/tool_grammar.h"
#include <string.h>

enum { MOST_TOOLS = 128, LONGEST_NAME = 64 };

int fathom__server_tool_format(const struct fathom__tool_format **out, fathom_server *server) {
    pthread_mutex_lock(&server->tool_lock);
    const int status = server->tool_format.opening
                           ? FATHOM_OK
                           : fathom__tool_format_find(&server->tool_format, server->options.model, NULL);
    pthread_mutex_unlock(&server->tool_lock);
    *out = status ? NULL : &server->tool_format;
    return status;
}

static const char *name_of(const json_t *tool) {
    return json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
}

static int check_tool(const json_t *tools, size_t index) {
    const json_t *tool = json_array_get(tools, index);
    const char *type = json_string_value(json_object_get(tool, "type")), *name = name_of(tool);
    size_t length = 0;
    if (!type || strcmp(type, "function") != 0 || !json_is_object(json_object_get(tool, "function")))
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "tools[%zu]: {\"type\": \"function\", \"function\": {\"name\": …}} is expected", index);
    while (name && fathom__tool_name_character(name[length]))
        length++;
    if (length == 0 || name[length] || length > LONGEST_NAME)
        return fathom__fail(FATHOM_ERROR_FORMAT, "tools[%zu]: \"name\": 1 to %d letters, digits, - and _ are expected",
                            index, LONGEST_NAME);
    for (size_t i = 0; i < index; i++)
        if (strcmp(name_of(json_array_get(tools, i)), name) == 0)
            return fathom__fail(FATHOM_ERROR_FORMAT, "tools[%zu]: \"%s\" is tools[%zu] already", index, name, i);
    return FATHOM_OK;
}

static int check_tools(const json_t *tools) {
    int status = FATHOM_OK;
    if (!json_is_array(tools) || json_array_size(tools) > MOST_TOOLS)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"tools\": a list of at most %d tools is expected",
                            MOST_TOOLS);
    for (size_t i = 0; i < json_array_size(tools) && !status; i++)
        status = check_tool(tools, i);
    return status;
}

/* "none", "auto", "required" or {"type": "function", "function": {"name": …}}. */
static int read_choice(bool *may, bool *must, const char **only, const json_t *request, const json_t *tools) {
    const json_t *choice = json_object_get(request, "tool_choice");
    const char *word = json_string_value(choice);
    *may = tools != NULL && !(word && strcmp(word, "none") == 0);
    *must = json_is_object(choice) || (word && strcmp(word, "required") == 0);
    if (!choice || json_is_null(choice) || (word && (strcmp(word, "none") == 0 || strcmp(word, "auto") == 0)))
        return FATHOM_OK;
    if (*must && !tools)
        return fathom__fail(FATHOM_ERROR_FORMAT,
                            "request: \"tool_choice\" asks for a call, and there are no \"tools\"");
    if (word && *must) return FATHOM_OK;
    *only = name_of(choice);
    for (size_t i = 0; *only && i < json_array_size(tools); i++)
        if (strcmp(name_of(json_array_get(tools, i)), *only) == 0) return FATHOM_OK;
    if (*only) return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"tool_choice\": there is no tool \"%.100s\"", *only);
    return fathom__fail(FATHOM_ERROR_FORMAT,
                        "request: \"tool_choice\": \"none\", \"auto\", \"required\" or {\"type\": \"function\", "
                        "\"function\": {\"name\": …}} is expected");
}

int fathom__tools_read(struct fathom__tools *out, fathom_server *server, const json_t *request) {
    const json_t *tools = json_object_get(request, "tools"),
                 *parallel = json_object_get(request, "parallel_tool_calls");
    const char *only = NULL;
    bool may = false, must = false;
    int status = FATHOM_OK;
    *out = (struct fathom__tools){0};
    if (tools && (json_is_null(tools) || (json_is_array(tools) && json_array_size(tools) == 0))) tools = NULL;
    if (tools) status = check_tools(tools);
    if (!status && parallel && !json_is_null(parallel) && !json_is_boolean(parallel))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"parallel_tool_calls\": true or false is expected");
    if (!status) status = read_choice(&may, &must, &only, request, tools);
    if (status || !may) return status;
    out->list = tools;
    status = fathom__server_tool_format(&out->format, server);
    return status ? status : fathom__tool_grammar(&out->grammar, tools, only, must, out->format);
}

void fathom__tools_free(struct fathom__tools *tools) {
    fathom_free(tools->grammar);
}
