/* What a document is asked for with. */
#include "base/memory.h"
#include "engine/write_parts.h"
#include <stdlib.h>
#include <string.h>

static const char *const instructions[] = {
    "Write a short encyclopedia article about %s.",
    "Tell a short story in which %s matters.",
    "Explain to a curious reader: %s.",
    "Write a news report about %s.",
    "What are the most interesting facts about %s?",
    "Write a conversation between two friends about %s.",
    "Write a page of a school textbook about %s.",
    "Write a letter to a friend about %s.",
    "Write two paragraphs on why %s matters.",
    "Write a review of a book about %s.",
    "Compare %s with something similar.",
    "Describe a day that someone spends with %s.",
};

static const char *const titles[] = {
    "%s\n\n%s is",  "An introduction to %s\n\n", "The history of %s\n\nThe",
    "News: %s\n\n", "A story about %s\n\nOnce",  "Ten facts about %s\n\n1.",
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* A frame with the topic in every place that is marked. */
static int fill_frame(char **out, const char *frame, const char *topic) {
    const size_t length = strlen(topic);
    size_t size = strlen(frame) + 1;
    char *text = NULL;
    for (const char *mark = strstr(frame, "%s"); mark; mark = strstr(mark + 2, "%s"))
        size += length;
    const int status = fathom__alloc(&text, size, 1);
    if (status) return status;
    *out = text;
    for (const char *mark; (mark = strstr(frame, "%s")) != NULL; frame = mark + 2) {
        memcpy(text, frame, (size_t)(mark - frame));
        text += mark - frame;
        memcpy(text, topic, length);
        text += length;
    }
    memcpy(text, frame, strlen(frame));
    return FATHOM_OK;
}

static bool chats(const fathom_model *model, enum fathom_write_frame frame) {
    return frame == FATHOM_WRITE_CHAT || (frame == FATHOM_WRITE_AUTO && fathom_model_describe(model)->chat_template);
}

int fathom__write_prompt(struct fathom__write_prompt *out, const fathom_model *model,
                         const struct fathom_write_options *options, uint64_t number) {
    const bool chat = chats(model, options->frame);
    const uint64_t topic = number % options->n_topics, pass = number / options->n_topics;
    const char *const *frames = chat ? instructions : titles;
    const size_t n_frames = chat ? COUNT(instructions) : COUNT(titles);
    struct fathom__write_prompt prompt = {0};
    char *framed = NULL, *rendered = NULL;
    int status = fill_frame(&framed, frames[(topic + pass) % n_frames], options->topics[topic]);
    if (!status && chat) {
        const struct fathom_chat_message message = {"user", framed};
        status = fathom_chat_render(&rendered, model, &message, 1, true, NULL);
    }
    const char *text = chat ? rendered : framed;
    if (!status) status = fathom_tokenize(&prompt.tokens, &prompt.n, model, text, strlen(text), !chat, chat);
    if (!status) status = fathom__copy_string(&prompt.opening, chat ? "" : framed);
    fathom_free(rendered);
    fathom_free(framed);
    if (status) {
        fathom__write_prompt_free(&prompt);
        return status;
    }
    *out = prompt;
    return FATHOM_OK;
}

void fathom__write_prompt_free(struct fathom__write_prompt *prompt) {
    fathom_free(prompt->tokens);
    fathom_free(prompt->opening);
    *prompt = (struct fathom__write_prompt){0};
}
