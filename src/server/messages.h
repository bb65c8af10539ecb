/* A conversation as a request has it, and as chat templates take it. */
#ifndef FATHOM_SERVER_MESSAGES_H
#define FATHOM_SERVER_MESSAGES_H

#include <jansson.h>
#include <stdbool.h>

/* Whether a message calls a tool. */
bool fathom__messages_call(const json_t *messages);
/* *out: messages with "role", "content" as one text, and "tool_calls", "tool_call_id" and "name" where they have them. The arguments
 * of calls are a JSON object, or with `arguments_as_text` the text that requests have. New. Errors: FORMAT, UNSUPPORTED (parts of
 * a content that are no text), MEMORY. */
int fathom__messages_read(json_t **out, const json_t *messages, bool arguments_as_text);

#endif
