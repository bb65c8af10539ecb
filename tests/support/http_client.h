/* A client of HTTP/1.1 over a socket, for tests of the server: it can also send what no real client would. */
#ifndef FATHOM_TESTS_HTTP_CLIENT_H
#define FATHOM_TESTS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_reply {
    int status; /* 0: the other side closed without a reply */
    char *head; /* status line and headers */
    char *body; /* of a chunked reply the pieces together; zero-terminated */
    size_t length;
    bool whole; /* came to its end */
};

/* A connection to 127.0.0.1; -1 when there is none. */
int http_connect(uint16_t port);
void http_close(int client);
/* Sends bytes as they are; false when the other side closed. */
bool http_send(int client, const void *bytes, size_t length);
/* Reads one reply. */
void http_receive(struct http_reply *reply, int client);
/* Reads until `text` has come, and gives whether it did. */
bool http_receive_until(int client, const char *text);
void http_reply_free(struct http_reply *reply);

/* One request on a connection of its own. `headers` are lines that end with CR LF, or NULL; a body is sent as
 * application/json unless they name another type. Host is 127.0.0.1. */
void http_ask(struct http_reply *reply, uint16_t port, const char *method, const char *path, const char *headers,
              const char *body);
/* The value of a header (case told apart), copied to `out`; false where it is missing. */
bool http_header(char *out, size_t size, const struct http_reply *reply, const char *name);

#endif
