/* The parts of a judge: what it is asked, and one request. */
#ifndef FATHOM_STEER_JUDGE_H
#define FATHOM_STEER_JUDGE_H

#include "base/buffer.h"
#include <fathom/judge.h>
#include <stdbool.h>

/* The points in what a judge says: the last [[0]], [[1]] or [[2]], or a text that is nothing but the digit. -1: none. */
int fathom__judge_parse(const char *text);

struct fathom__post {
    const char *url, *key; /* key NULL: none */
    const char *body;      /* JSON */
    double seconds;
};

/* Posts, and has the reply's body and HTTP status. Errors: IO (what curl says), LIMIT, STOPPED; *again tells whether
 * the error may pass. */
int fathom__post(struct fathom__buffer *reply, long *status, bool *again, const struct fathom__post *post);

#endif
