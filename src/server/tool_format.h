/* How a model writes the call of a tool, as its own chat template tells it. */
#ifndef FATHOM_SERVER_TOOL_FORMAT_H
#define FATHOM_SERVER_TOOL_FORMAT_H

#include <fathom/model.h>
#include <stdbool.h>

/* A call is opening, name, between, arguments as a JSON object, closing: such as
 * <tool_call>\n{"name": " … ", "arguments": … }\n</tool_call> */
struct fathom__tool_format {
    char *opening, *between; /* neither empty; `between` begins with what is no part of a name */
    char *closing;           /* may be empty */
    bool arguments_as_text;  /* the template wants the arguments of earlier calls as a text, not as an object */
};

/* Found by having the template write a call that is known: what it writes around name and arguments is the form. chat_template
 * NULL: the model's own. Errors: UNSUPPORTED (the template takes no tools, writes no calls, or writes them in another form than
 * this), those of fathom_chat_render. Nothing is to be freed then. */
int fathom__tool_format_find(struct fathom__tool_format *out, const fathom_model *model, const char *chat_template);
void fathom__tool_format_free(struct fathom__tool_format *format);

/* Characters that a tool's name may have. */
bool fathom__tool_name_character(char c);

#endif
