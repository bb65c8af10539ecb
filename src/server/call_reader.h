/* An answer taken apart, as it comes, into what is said and the call of a tool. */
#ifndef FATHOM_SERVER_CALL_READER_H
#define FATHOM_SERVER_CALL_READER_H

#include "base/buffer.h"
#include "server/tool_format.h"
#include <stddef.h>

enum fathom__call_state {
    FATHOM__CALL_NONE, /* so far it is text */
    FATHOM__CALL_NAME,
    FATHOM__CALL_BETWEEN,
    FATHOM__CALL_ARGUMENTS,
    FATHOM__CALL_WHOLE
};

struct fathom__call_reader {
    const struct fathom__tool_format *format; /* borrowed */
    enum fathom__call_state state;
    struct fathom__buffer held; /* text that may be the beginning of a call */
    struct fathom__buffer name;
    size_t n_between;
    unsigned depth; /* of braces and brackets in the arguments */
    bool in_string, escaped;
    /* What the last piece brought. */
    struct fathom__buffer text, arguments;
    bool named; /* the name became whole */
};

void fathom__call_reader_open(struct fathom__call_reader *out, const struct fathom__tool_format *format);
/* A further piece of the answer, or its end (then what was held back is text). What pieces bring is whole characters where they
 * are. Errors: MEMORY. */
int fathom__call_reader_add(struct fathom__call_reader *reader, const char *bytes, size_t n, bool end);
void fathom__call_reader_close(struct fathom__call_reader *reader);

#endif
