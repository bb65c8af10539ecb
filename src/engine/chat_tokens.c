/* A chat as tokens, and whose words each token is.
 *
 * Where a message's words lie in the rendered text is found by rendering the chat twice: as it is, and with a mark in the
 * place of every message's content. What stands between the marks is the template's own; the words are what is left.
 * Looking for the words themselves would find those of a template's default system message.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "engine/model_internal.h"
#include <fathom/chat.h>
#include <string.h>

enum { MARK_SIZE = 32 };
/* A character that no text has a use for, on both sides of a number. */
#define MARK "\xee\x80\x80"

struct chat {
    json_t *json; /* holds the strings */
    struct fathom_chat_message *messages;
    size_t n;
};

struct span {
    size_t begin, end;
};

enum fathom_chat_role fathom_chat_role(const char *name) {
    return strcmp(name, "system") == 0      ? FATHOM_ROLE_SYSTEM
           : strcmp(name, "user") == 0      ? FATHOM_ROLE_USER
           : strcmp(name, "assistant") == 0 ? FATHOM_ROLE_ASSISTANT
                                            : FATHOM_ROLE_OTHER;
}

static void close_chat(struct chat *chat) {
    json_decref(chat->json);
    fathom_free(chat->messages);
}

static int open_chat(struct chat *chat, const char *text, size_t length) {
    int status = fathom__json_parse(&chat->json, text, length, "messages");
    if (status) return status;
    chat->n = json_array_size(chat->json);
    if (chat->n == 0) return fathom__fail(FATHOM_ERROR_FORMAT, "messages: an array with a message or more is expected");
    status = fathom__alloc(&chat->messages, chat->n, sizeof *chat->messages);
    for (size_t i = 0; i < chat->n && !status; i++) {
        const json_t *message = json_array_get(chat->json, i);
        chat->messages[i] = (struct fathom_chat_message){json_string_value(json_object_get(message, "role")),
                                                         json_string_value(json_object_get(message, "content"))};
        if (!chat->messages[i].role || !chat->messages[i].content)
            status =
                fathom__fail(FATHOM_ERROR_FORMAT, "messages: message %zu needs a role and a content, both text", i);
    }
    return status;
}

static int render_marked(char **out, const fathom_model *model, const struct chat *chat) {
    struct fathom_chat_message *messages = NULL;
    char *marks = NULL;
    int status = fathom__alloc(&messages, chat->n, sizeof *messages);
    if (!status) status = fathom__alloc(&marks, chat->n, MARK_SIZE);
    for (size_t i = 0; i < chat->n && !status; i++) {
        snprintf(marks + i * MARK_SIZE, MARK_SIZE, MARK "%zu" MARK, i);
        messages[i] = (struct fathom_chat_message){chat->messages[i].role, marks + i * MARK_SIZE};
    }
    if (!status) status = fathom_chat_render(out, model, messages, chat->n, false, NULL);
    fathom_free(marks);
    fathom_free(messages);
    return status;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int not_found(size_t i) {
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED,
                        "messages: where the words of message %zu are cannot be told: the chat template changes them",
                        i);
}

/* Goes through both texts together: what the template wrote is the same in both, and where one has a mark the other has
 * the words, which templates may trim. */
static int find_spans(struct span *spans, const struct chat *chat, const char *text, const char *marked) {
    const char *at = text;
    for (size_t i = 0; i < chat->n; i++) {
        char mark[MARK_SIZE];
        snprintf(mark, sizeof mark, MARK "%zu" MARK, i);
        const char *found = strstr(marked, mark);
        if (!found || strncmp(at, marked, (size_t)(found - marked)) != 0) return not_found(i);
        at += found - marked;
        marked = found + strlen(mark);
        const char *words = chat->messages[i].content, *end = words + strlen(words);
        if (strncmp(at, words, (size_t)(end - words)) != 0) {
            while (words < end && is_blank(*words))
                words++;
            while (end > words && is_blank(end[-1]))
                end--;
            if (strncmp(at, words, (size_t)(end - words)) != 0) return not_found(i);
        }
        spans[i].begin = (size_t)(at - text);
        at += end - words;
        spans[i].end = (size_t)(at - text);
    }
    return strcmp(at, marked) == 0 ? FATHOM_OK : not_found(chat->n - 1);
}

/* A token is of the message in which its first byte lies. */
static int assign(uint8_t *roles, const fathom_model *model, const int32_t *tokens, size_t n, const struct chat *chat,
                  const struct span *spans, const char *text) {
    const size_t length = strlen(text);
    size_t at = 0, message = 0;
    for (size_t i = 0; i < n; i++) {
        const char *bytes = NULL;
        size_t size = 0;
        const int status = fathom_token_bytes(&bytes, &size, model, tokens[i]);
        if (status) return status;
        if (at == 0 && size > 0 && bytes[0] == ' ' && text[0] != ' ') { /* some tokenizers put one before the text */
            bytes++;
            size--;
        }
        if (at + size > length || memcmp(text + at, bytes, size) != 0)
            return fathom__fail(
                FATHOM_ERROR_UNSUPPORTED,
                "messages: the tokens do not give the text back at byte %zu: whose they are cannot be told", at);
        while (message < chat->n && spans[message].end <= at)
            message++;
        const bool inside = message < chat->n && spans[message].begin <= at;
        roles[i] = (uint8_t)(inside ? fathom_chat_role(chat->messages[message].role) : FATHOM_ROLE_NONE);
        at += size;
    }
    return FATHOM_OK;
}

int fathom_chat_tokenize(int32_t **tokens, uint8_t **roles, size_t *n, const fathom_model *model, const char *messages,
                         size_t length) {
    struct chat chat = {0};
    struct span *spans = NULL;
    char *text = NULL, *marked = NULL;
    int32_t *ids = NULL;
    uint8_t *found = NULL;
    size_t count = 0;
    int status = open_chat(&chat, messages, length);
    if (!status) status = fathom_chat_render(&text, model, chat.messages, chat.n, false, NULL);
    if (!status) status = render_marked(&marked, model, &chat);
    if (!status) status = fathom__alloc(&spans, chat.n, sizeof *spans);
    if (!status) status = find_spans(spans, &chat, text, marked);
    if (!status) status = fathom_tokenize(&ids, &count, model, text, strlen(text), false, true);
    if (!status) status = fathom__alloc(&found, count, sizeof *found);
    if (!status) status = assign(found, model, ids, count, &chat, spans, text);
    if (!status) {
        *tokens = ids;
        *roles = found;
        *n = count;
    } else {
        fathom_free(ids);
        fathom_free(found);
    }
    fathom_free(spans);
    fathom_free(text);
    fathom_free(marked);
    close_chat(&chat);
    return status;
}
