/* Every route of the server, in one table: what finds the handler, what is counted, and what /openapi.json tells. */
#ifndef FATHOM_SERVER_ROUTES_H
#define FATHOM_SERVER_ROUTES_H

#include "base/buffer.h"
#include <stdbool.h>
#include <stddef.h>

struct fathom__exchange;

struct fathom__route {
    const char *method; /* "GET", "POST", "PUT" or "DELETE"; of POST and PUT the body is a JSON object */
    const char *path;   /* one segment may be "{name}" */
    /* Sets the exchange's reply; an error status becomes a reply by its class, with the thread's message. */
    int (*handle)(struct fathom__exchange *exchange);
    const char *summary;
    const char *request;    /* JSON Schema of the body, or NULL */
    const char *reply;      /* JSON Schema of the reply's body; NULL: text */
    const char *parameters; /* JSON: OpenAPI's parameters, or NULL */
    bool open;              /* asks for no token */
    bool changes;           /* refused by a server that is read-only */
    bool streams;           /* may answer with events */
};

extern const struct fathom__route fathom__routes[];
extern const size_t fathom__n_routes;

/* The route of a request; NULL, and whether another method has the path. `argument` gets what its "{name}" stands for
 * (in `path`, to its next '/' or end). */
const struct fathom__route *fathom__route_find(const char **argument, size_t *argument_length, bool *other_method,
                                               const char *method, const char *path);
/* Appends the methods by which a path is to be had, with commas between them. */
int fathom__route_methods(struct fathom__buffer *out, const char *path);

#endif
