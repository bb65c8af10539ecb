/* Chats as tokens, and whose words each token is. */
#ifndef FATHOM_CHAT_H
#define FATHOM_CHAT_H

#include <fathom/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whose words a token is. */
enum fathom_chat_role {
    FATHOM_ROLE_NONE, /* text that is no chat, and what the template writes around the messages */
    FATHOM_ROLE_SYSTEM,
    FATHOM_ROLE_USER,
    FATHOM_ROLE_ASSISTANT,
    FATHOM_ROLE_OTHER
};
FATHOM_API enum fathom_chat_role fathom_chat_role(const char *name);

/* The tokens of a chat by the model's own template, with the template's own bos, and the role of each
 * (enum fathom_chat_role): that of the message in whose words its first byte lies. `messages` is JSON, an array of
 * objects with "role" and "content". *tokens and *roles [*n] are new (fathom_free).
 * Errors: as fathom_chat_render; FORMAT (no such JSON); UNSUPPORTED (a template that changes a message's words beyond
 * trimming them, or a tokenizer whose tokens do not give the text back). */
FATHOM_API int fathom_chat_tokenize(int32_t **tokens, uint8_t **roles, size_t *n, const fathom_model *model,
                                    const char *messages, size_t length);

#ifdef __cplusplus
}
#endif
#endif
