/* A grammar that holds an answer to text and calls of tools. */
#ifndef FATHOM_SERVER_TOOL_GRAMMAR_H
#define FATHOM_SERVER_TOOL_GRAMMAR_H

#include "server/tool_format.h"
#include <jansson.h>

/* tools: a list as a request has it, checked. only: the name of the one that may be called; NULL: any. `must`: the answer is a
 * call; else it is any text, and wherever the text has the format's opening the rest of it is a call. Its arguments fit the
 * tool's "parameters", as schema_grammar.h says; without, they are an empty object. *out is new. Errors: those of
 * fathom__schema_grammar, which name the tool. */
int fathom__tool_grammar(char **out, const json_t *tools, const char *only, bool must,
                         const struct fathom__tool_format *format);

#endif
