/* A request and its reply. */
#ifndef FATHOM_SERVER_EXCHANGE_H
#define FATHOM_SERVER_EXCHANGE_H

#include "base/buffer.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include <jansson.h>

/* What a client may take for a piece of a reply. */
#define FATHOM__SEND_SECONDS 60.0

/* Appends the next bytes of a reply to `out`, waiting for them; *end with the last. Anything but OK breaks the
 * reply off. */
typedef int (*fathom__stream_fn)(struct fathom__buffer *out, bool *end, void *payload);

struct fathom__exchange {
    fathom_server *server;
    struct MHD_Connection *connection;
    fathom__connection *patience;
    const struct fathom__route *route; /* NULL: there is none */
    char *method, *path, *argument;
    bool head_only; /* the method is HEAD: as GET, and without its body */
    struct fathom__buffer body;
    bool too_long;
    json_t *request; /* the body */
    double begun;
    bool unavailable; /* what failed is a file that cannot be read just now */

    struct MHD_Response *response;
    unsigned http_status;
    uint64_t sent;
    bool complete; /* the last byte was handed over */
    struct fathom__buffer pending;
    size_t pending_sent;
    bool ended;
    fathom__stream_fn stream;
    void *payload; /* of the stream */
    void (*release)(void *payload);
};

/* Replies. Each returns FATHOM_OK, or a status when there was no memory for one. */
int fathom__reply_json(struct fathom__exchange *exchange, unsigned http_status, json_t *value); /* takes the value */
int fathom__reply_text(struct fathom__exchange *exchange, unsigned http_status, const char *type, const char *text,
                       size_t length);
/* Of bytes that stay where they are as long as the program runs. */
int fathom__reply_static(struct fathom__exchange *exchange, const char *type, const void *bytes, size_t length);
/* Takes the payload whatever it returns, and releases it when the reply has ended. */
int fathom__reply_stream(struct fathom__exchange *exchange, const char *type, fathom__stream_fn fn, void *payload,
                         void (*release)(void *payload));
/* An error in OpenAI's shape. `parameter` (NULL allowed) names the member of the request. */
int fathom__refuse(struct fathom__exchange *exchange, unsigned http_status, const char *code, const char *parameter,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same of an error status with the thread's message; work that was stopped because the request's time was up is 504, and
 * where the exchange is `unavailable` fathom__refuse_unavailable replies. */
int fathom__refuse_status(struct fathom__exchange *exchange, int status);
/* The same where a job found no place: 429 with Retry-After, or 503 where the server is stopping. */
int fathom__refuse_full(struct fathom__exchange *exchange);
/* The same where a file cannot be read or written just now (another process has locked it, the disk is full): 503 with
 * Retry-After. */
int fathom__refuse_unavailable(struct fathom__exchange *exchange);
unsigned fathom__http_status(int status);
/* {"error": …} */
json_t *fathom__error_json(unsigned http_status, const char *code, const char *parameter, const char *message);

/* Whether the request's time is up. */
bool fathom__exchange_late(const struct fathom__exchange *exchange);
/* Whether the client has gone, so that nobody waits for the reply. */
bool fathom__exchange_gone(const struct fathom__exchange *exchange);
const char *fathom__exchange_query(const struct fathom__exchange *exchange, const char *name);
const char *fathom__exchange_header(const struct fathom__exchange *exchange, const char *name);

#endif
