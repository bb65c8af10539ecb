/* Chat templates, given what only JSON can say: tools, and calls of them. */
#ifndef FATHOM_ENGINE_CHAT_RENDER_H
#define FATHOM_ENGINE_CHAT_RENDER_H

#include <fathom/model.h>
#include <jansson.h>

/* As fathom_chat_render. messages: a list of objects, each with "role" and "content" and whatever else the template looks
 * at, such as "tool_calls"; tools: a list, or NULL for none. Both are the template's variables of these names, as transformers'
 * apply_chat_template passes them. */
int fathom__chat_render(char **out, const fathom_model *model, const json_t *messages, const json_t *tools,
                        bool add_generation_prompt, const char *chat_template);

#endif
