/* /v1/chat/completions and /v1/completions. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "engine/chat_render.h"
#include "server/generation.h"
#include "server/handlers.h"
#include "server/messages.h"
#include <string.h>

enum { MOST_PROMPTS = 64 };

/* Messages ----------------------------------------------------------------------------------------------- */

static int add_chat(struct fathom__generation *generation, const json_t *messages) {
    const fathom_model *model = generation->server->options.model;
    const struct fathom__tool_format *format = generation->tools.format;
    json_t *list = NULL;
    char *text = NULL;
    int32_t *tokens = NULL;
    size_t n = 0;
    int status = !format && fathom__messages_call(messages) ? fathom__server_tool_format(&format, generation->server)
                                                            : FATHOM_OK;
    if (!status) status = fathom__messages_read(&list, messages, format && format->arguments_as_text);
    if (!status) status = fathom__chat_render(&text, model, list, generation->tools.list, true, NULL);
    if (!status) status = fathom_tokenize(&tokens, &n, model, text, strlen(text), false, true);
    fathom_free(text);
    json_decref(list);
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
