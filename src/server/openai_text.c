/* /v1/chat/completions and /v1/completions. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/generation.h"
#include "server/handlers.h"
#include <string.h>

enum { MOST_MESSAGES = 4096, MOST_PROMPTS = 64, MESSAGE_BYTES_LIMIT = 1 << 26 };

/* Messages ----------------------------------------------------------------------------------------------- */

/* The text of a message's content: a string, or parts of which all are text. */
static int read_content(char **out, const json_t *content, const char *where) {
    struct fathom__buffer text = FATHOM__BUFFER_INIT(MESSAGE_BYTES_LIMIT);
    int status = FATHOM_OK;
    if (json_is_string(content)) {
        status = fathom__buffer_text(&text, json_string_value(content));
    } else if (json_is_array(content)) {
        status = fathom__buffer_text(&text, "");
        for (size_t i = 0; i < json_array_size(content) && !status; i++) {
            const json_t *part = json_array_get(content, i);
            const char *type = json_string_value(json_object_get(part, "type")),
                       *words = json_string_value(json_object_get(part, "text"));
            status =
                type && strcmp(type, "text") == 0 && words
                    ? fathom__buffer_text(&text, words)
                    : fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                                   "%s: only parts of text are supported: {\"type\": \"text\", \"text\": …}", where);
        }
    } else {
        status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: \"content\": a text or a list of parts is expected", where);
    }
    if (!status) status = fathom__buffer_take(out, &text);
    fathom__buffer_free(&text);
    return status;
}

static int read_message(struct fathom_chat_message *out, char **content, const json_t *message, size_t index) {
    char where[32];
    snprintf(where, sizeof where, "messages[%zu]", index);
    int status = fathom__json_get_string(&out->role, message, "role", true, where);
    if (!status && json_object_get(message, "tool_calls"))
        status = fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: \"tool_calls\" are not supported by this server", where);
    if (!status) status = read_content(content, json_object_get(message, "content"), where);
    if (status) return status;
    /* The name that newer clients have for what templates call the system. */
    if (strcmp(out->role, "developer") == 0) out->role = "system";
    out->content = *content;
    return FATHOM_OK;
}

int fathom__chat_tokens(int32_t **tokens, size_t *n, const fathom_model *model, const json_t *messages) {
    const size_t n_messages = json_array_size(messages);
    struct fathom_chat_message *list = NULL;
    char **contents = NULL, *text = NULL;
    if (n_messages == 0 || n_messages > MOST_MESSAGES)
        return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"messages\": a list of 1 to %d messages is expected",
                            MOST_MESSAGES);
    int status = fathom__alloc(&list, n_messages, sizeof *list);
    if (!status) status = fathom__alloc(&contents, n_messages, sizeof *contents);
    for (size_t i = 0; i < n_messages && !status; i++)
        status = read_message(&list[i], &contents[i], json_array_get(messages, i), i);
    if (!status) status = fathom_chat_render(&text, model, list, n_messages, true, NULL);
    if (!status) status = fathom_tokenize(tokens, n, model, text, strlen(text), false, true);
    for (size_t i = 0; contents && i < n_messages; i++)
        fathom_free(contents[i]);
    fathom_free(contents);
    fathom_free(list);
    fathom_free(text);
    return status;
}

static int add_chat(struct fathom__generation *generation, const json_t *messages) {
    int32_t *tokens = NULL;
    size_t n = 0;
    const int status = fathom__chat_tokens(&tokens, &n, generation->server->options.model, messages);
    return status ? status : fathom__generation_add_prompt(generation, tokens, n);
}

int fathom__handle_chat(struct fathom__exchange *exchange) {
    struct fathom__generation *generation = NULL;
    int status = fathom__generation_open(&generation, exchange, true);
    if (!status) status = add_chat(generation, json_object_get(exchange->request, "messages"));
    if (!status) return fathom__generation_reply(generation);
    fathom__generation_close(generation);
    return status;
}

/* Prompts ------------------------------------------------------------------------------------------------ */

int fathom__tokens_of_json(int32_t **tokens, size_t *n, const fathom_model *model, const json_t *value,
                           const char *name) {
    const uint32_t n_vocab = fathom_model_describe(model)->n_vocab;
    int32_t *out = NULL;
    if (json_is_string(value))
        return fathom_tokenize(tokens, n, model, json_string_value(value), json_string_length(value), true, false);
    int status = fathom__alloc(&out, json_array_size(value), sizeof *out);
    for (size_t i = 0; i < json_array_size(value) && !status; i++) {
        const json_t *number = json_array_get(value, i);
        if (!json_is_integer(number) || json_integer_value(number) < 0 || json_integer_value(number) >= n_vocab)
            status = fathom__fail(FATHOM_ERROR_FORMAT, "%s: token %zu: a number of 0 to %u is expected", name, i,
                                  n_vocab - 1);
        else
            out[i] = (int32_t)json_integer_value(number);
    }
    if (status) {
        fathom_free(out);
        return status;
    }
    *tokens = out;
    *n = json_array_size(value);
    return FATHOM_OK;
}

size_t fathom__count_texts(const json_t *value) {
    const json_t *first = json_array_get(value, 0);
    return json_is_array(value) && (json_is_string(first) || json_is_array(first)) ? json_array_size(value) : 1;
}

const json_t *fathom__text_at(const json_t *value, size_t index) {
    const json_t *first = json_array_get(value, 0);
    return json_is_string(first) || json_is_array(first) ? json_array_get(value, index) : value;
}

int fathom__check_text(const json_t *value, const char *name) {
    if (json_is_string(value) || (json_is_array(value) && json_array_size(value) > 0)) return FATHOM_OK;
    return fathom__fail(FATHOM_ERROR_FORMAT, "request: \"%s\": a text, tokens, or a list of either is expected", name);
}

/* Adds the prompts of a request: a text, tokens, or a list of either. */
static int add_prompts(struct fathom__generation *generation, const json_t *prompt) {
    int status = FATHOM_OK;
    for (size_t i = 0; i < fathom__count_texts(prompt) && !status; i++) {
        const json_t *text = fathom__text_at(prompt, i);
        int32_t *tokens = NULL;
        size_t n = 0;
        status = fathom__check_text(text, "prompt");
        if (!status) status = fathom__tokens_of_json(&tokens, &n, generation->server->options.model, text, "prompt");
        if (!status) status = fathom__generation_add_prompt(generation, tokens, n);
    }
    return status;
}

int fathom__handle_completions(struct fathom__exchange *exchange) {
    const json_t *prompt = json_object_get(exchange->request, "prompt");
    struct fathom__generation *generation = NULL;
    int status = fathom__check_text(prompt, "prompt");
    if (!status && fathom__count_texts(prompt) > MOST_PROMPTS)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"prompt\": at most %d texts", MOST_PROMPTS);
    if (!status) status = fathom__generation_open(&generation, exchange, false);
    if (!status) status = add_prompts(generation, prompt);
    if (!status) return fathom__generation_reply(generation);
    fathom__generation_close(generation);
    return status;
}

/* Plain and steered -------------------------------------------------------------------------------------- */

int fathom__handle_steer(struct fathom__exchange *exchange) {
    const json_t *messages = json_object_get(exchange->request, "messages"),
                 *prompt = json_object_get(exchange->request, "prompt");
    struct fathom__generation *generation = NULL;
    int status = FATHOM_OK;
    if ((messages != NULL) == (prompt != NULL))
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: one of \"messages\" and \"prompt\" is expected");
    if (!status && prompt) status = fathom__check_text(prompt, "prompt");
    if (!status) status = fathom__generation_open(&generation, exchange, messages != NULL);
    if (!status && !generation->inside.plan)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"steer\": at least one edit is expected");
    if (!status && generation->n != 1)
        status = fathom__fail(FATHOM_ERROR_FORMAT, "request: \"n\": each answer is given once plain and once steered");
    if (!status) {
        generation->compares = true;
        generation->n = 2;
        status = messages ? add_chat(generation, messages) : add_prompts(generation, prompt);
    }
    if (!status) return fathom__generation_reply(generation);
    fathom__generation_close(generation);
    return status;
}
