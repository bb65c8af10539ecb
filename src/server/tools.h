/* "tools", "tool_choice" and "parallel_tool_calls" of a request, as OpenAI has them. */
#ifndef FATHOM_SERVER_TOOLS_H
#define FATHOM_SERVER_TOOLS_H

#include "server/server_internal.h"
#include "server/tool_format.h"
#include <jansson.h>

struct fathom__tools {
    const json_t *list;                       /* what the template is given, borrowed from the request; NULL: none */
    const struct fathom__tool_format *format; /* the server's; NULL where no tool may be called */
    char *grammar;                            /* that answers are held to; NULL: none */
};

/* With "tool_choice": "none" the tools are left out, as if none were given. Errors: FORMAT, UNSUPPORTED (the template has no tools,
 * a schema that is not understood), LIMIT. `out` is to be freed also then. */
int fathom__tools_read(struct fathom__tools *out, fathom_server *server, const json_t *request);
void fathom__tools_free(struct fathom__tools *tools);

/* How the model's template writes calls: found once, and kept. Errors: as fathom__tool_format_find. */
int fathom__server_tool_format(const struct fathom__tool_format **out, fathom_server *server);

#endif
