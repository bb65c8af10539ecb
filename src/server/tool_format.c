#include "server/tool_format.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/chat_render.h"
#include <string.h>

/* Words that no template has by itself. The called tool is none of the offered ones, which templates list. */
#define OFFERED "zqoffered"
#define CALLED "zqcalled"
#define KEY "zqkey"
#define VALUE "zqvalue"
#define WORDS "zqwords"
/* Some templates want just so many letters and digits. */
#define ID "zqcall001"
#define BLANKS " \t\r\n"

enum { MESSAGE_BYTES = 1024 };

struct renderings {
    char *words;     /* an assistant who says WORDS */
    char *call;      /* who calls */
    char *offered;   /* the question, with a tool */
    char *unoffered; /* without */
};

bool fathom__tool_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static json_t *make_call(bool as_text) {
    json_t *arguments = as_text ? json_string("{\"" KEY "\": \"" VALUE "\"}") : json_pack("{s:s}", KEY, VALUE);
    return json_pack("{s:s, s:s, s:[{s:s, s:s, s:{s:s, s:o}}]}", "role", "assistant", "content", "", "tool_calls", "id",
                     ID, "type", "function", "function", "name", CALLED, "arguments", arguments);
}

static json_t *make_tools(void) {
    return json_pack("[{s:s, s:{s:s, s:s, s:{s:s, s:{s:{s:s, s:s}}, s:[s]}}}]", "type", "function", "function", "name",
                     OFFERED, "description", "A tool.", "parameters", "type", "object", "properties", KEY, "type",
                     "string", "description", "A text.", "required", KEY);
}

/* The question alone (answer NULL), or answered. The answer is taken. */
static int render(char **out, const fathom_model *model, const char *chat_template, json_t *answer,
                  const json_t *tools) {
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "Hello.");
    int status = messages && (!answer || !json_array_append(messages, answer)) ? FATHOM_OK : fathom__fail_memory(1);
    if (!status) status = fathom__chat_render(out, model, messages, tools, !answer, chat_template);
    json_decref(messages);
    json_decref(answer);
    return status;
}

static int render_all(struct renderings *out, const fathom_model *model, const char *chat_template,
                      const json_t *tools) {
    int status = render(&out->unoffered, model, chat_template, NULL, NULL);
    if (!status) status = render(&out->offered, model, chat_template, NULL, tools);
    if (!status && strcmp(out->offered, out->unoffered) == 0)
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                              "tools: the model's chat template has none: it writes the same with and without them");
    return status ? status
                  : render(&out->words, model, chat_template,
                           json_pack("{s:s, s:s}", "role", "assistant", "content", WORDS), tools);
}

static int not_understood(void) {
    return fathom__fail(
        FATHOM_ERROR_UNSUPPORTED,
        "tools: the model's chat template writes calls in a form that is not understood here: a name and "
        "after it the arguments as a JSON object are expected");
}

/* Where the arguments begin and end; NULL where they are not the JSON object that was given. */
static const char *find_arguments(const char **end, const char *text) {
    const char *key = strstr(text, KEY), *value = key ? strstr(key, VALUE) : NULL, *begin = key;
    *end = value ? strchr(value, '}') : NULL;
    while (begin && begin > text && *begin != '{')
        begin--;
    if (!*end || *begin != '{') return NULL;
    ++*end;
    json_t *arguments = json_loadb(begin, (size_t)(*end - begin), 0, NULL);
    const char *given = json_string_value(json_object_get(arguments, KEY));
    const bool good = json_object_size(arguments) == 1 && given && strcmp(given, VALUE) == 0;
    json_decref(arguments);
    return good ? begin : NULL;
}

/* What is the same at the end of both belongs to the turn, and not to the call. */
static size_t without_end(const char *rest, const char *end) {
    size_t n = strlen(rest), n_end = strlen(end);
    while (n > 0 && n_end > 0 && rest[n - 1] == end[n_end - 1]) {
        n--;
        n_end--;
    }
    if (n_end > 0) return SIZE_MAX;
    while (n > 0 && strchr(BLANKS, rest[n - 1]))
        n--;
    return n;
}

static int take_apart(struct fathom__tool_format *out, const struct renderings *renderings) {
    const char *begin = renderings->call, *words = renderings->words, *end = NULL;
    while (*begin && *begin == *words) {
        begin++;
        words++;
    }
    begin += strspn(begin, BLANKS);
    words = strstr(renderings->words, WORDS);
    const char *name = strstr(begin, CALLED), *after = name ? name + strlen(CALLED) : NULL;
    const char *arguments = after ? find_arguments(&end, after) : NULL;
    if (!name && !strstr(renderings->call, CALLED))
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                            "tools: the model's chat template takes them, but does not write their calls");
    const size_t n_closing = arguments && words ? without_end(end, words + strlen(WORDS)) : SIZE_MAX;
    if (n_closing == SIZE_MAX || name == begin || arguments == after || fathom__tool_name_character(*after))
        return not_understood();
    int status = fathom__copy_bytes(&out->opening, begin, (size_t)(name - begin));
    if (!status) status = fathom__copy_bytes(&out->between, after, (size_t)(arguments - after));
    if (!status) status = fathom__copy_bytes(&out->closing, end, n_closing);
    return status;
}

static int try_call(struct fathom__tool_format *out, struct renderings *renderings, const fathom_model *model,
                    const char *chat_template, const json_t *tools, bool as_text) {
    *out = (struct fathom__tool_format){.arguments_as_text = as_text};
    int status = render(&renderings->call, model, chat_template, make_call(as_text), tools);
    if (!status) status = take_apart(out, renderings);
    fathom_free(renderings->call);
    renderings->call = NULL;
    if (status) fathom__tool_format_free(out);
    return status;
}

int fathom__tool_format_find(struct fathom__tool_format *out, const fathom_model *model, const char *chat_template) {
    struct renderings renderings = {0};
    json_t *tools = make_tools();
    char message[MESSAGE_BYTES];
    *out = (struct fathom__tool_format){0};
    int status = tools ? render_all(&renderings, model, chat_template, tools) : fathom__fail_memory(1);
    if (!status) {
        status = try_call(out, &renderings, model, chat_template, tools, false);
        snprintf(message, sizeof message, "%s", status ? fathom_error_message() : "");
        if (status == FATHOM_ERROR_FORMAT || status == FATHOM_ERROR_UNSUPPORTED)
            status = try_call(out, &renderings, model, chat_template, tools, true) ? fathom__fail(status, "%s", message)
                                                                                   : FATHOM_OK;
    }
    json_decref(tools);
    fathom_free(renderings.words);
    fathom_free(renderings.offered);
    fathom_free(renderings.unoffered);
    return status;
}

void fathom__tool_format_free(struct fathom__tool_format *format) {
    fathom_free(format->opening);
    fathom_free(format->between);
    fathom_free(format->closing);
    *format = (struct fathom__tool_format){0};
}
