#include "tests/support/http_client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A server that does not answer for so long is broken. */
enum { PATIENCE_SECONDS = 120, BLOCK = 4096 };

/* Where there is no such flag a server that closed ends the test by SIGPIPE, which is a failure too. */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

int http_connect(uint16_t port) {
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0) return -1;
    (void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(client, (const struct sockaddr *)&address, sizeof address) == 0) return client;
    close(client);
    return -1;
}

void http_close(int client) {
    if (client >= 0) close(client);
}

bool http_send(int client, const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        const ssize_t n = send(client, at, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

/* Everything that came so far. */
struct received {
    int client;
    char *bytes;
    size_t length, capacity;
};

static bool receive_more(struct received *received) {
    if (received->length + BLOCK + 1 > received->capacity) {
        const size_t capacity = 2 * (received->capacity + BLOCK) + 1;
        char *bytes = realloc(received->bytes, capacity);
        if (!bytes) return false;
        received->bytes = bytes;
        received->capacity = capacity;
    }
    ssize_t n;
    do { /* with a time limit it does not go on by itself after the signal of a child's end */
        n = recv(received->client, received->bytes + received->length, BLOCK, 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) return false;
    received->length += (size_t)n;
    received->bytes[received->length] = '\0';
    return true;
}

/* Makes sure that `n` bytes are there from `at` on. */
static bool need(struct received *received, size_t at, size_t n) {
    while (received->length < at + n)
        if (!receive_more(received)) return false;
    return true;
}

static bool need_line(struct received *received, size_t at) {
    while (received->length <= at || !strstr(received->bytes + at, "\r\n"))
        if (!receive_more(received)) return false;
    return true;
}

static void add(struct http_reply *reply, const char *bytes, size_t length) {
    char *body = realloc(reply->body, reply->length + length + 1);
    if (!body) return;
    memcpy(body + reply->length, bytes, length);
    reply->body = body;
    reply->length += length;
    reply->body[reply->length] = '\0';
}

static void receive_chunks(struct http_reply *reply, struct received *received, size_t at) {
    for (;;) {
        if (!need_line(received, at)) return;
        const size_t size = strtoul(received->bytes + at, NULL, 16);
        at += (size_t)(strstr(received->bytes + at, "\r\n") - (received->bytes + at)) + 2;
        if (!need(received, at, size + 2)) return;
        if (size == 0) break;
        add(reply, received->bytes + at, size);
        at += size + 2;
    }
    reply->whole = true;
}

bool http_header(char *out, size_t size, const struct http_reply *reply, const char *name) {
    char line[128];
    snprintf(line, sizeof line, "\r\n%s: ", name);
    const char *at = reply->head ? strstr(reply->head, line) : NULL;
    if (!at) return false;
    at += strlen(line);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\r"), at);
    return true;
}

void http_receive(struct http_reply *reply, int client) {
    struct received received = {.client = client};
    char value[64];
    *reply = (struct http_reply){0};
    add(reply, "", 0);
    while (!received.bytes || !strstr(received.bytes, "\r\n\r\n"))
        if (!receive_more(&received)) break;
    const char *end = received.bytes ? strstr(received.bytes, "\r\n\r\n") : NULL;
    if (end && sscanf(received.bytes, "HTTP/1.%*d %d", &reply->status) == 1) {
        const size_t at = (size_t)(end - received.bytes) + 4;
        reply->head = strndup(received.bytes, at);
        if (http_header(value, sizeof value, reply, "Transfer-Encoding") && strcmp(value, "chunked") == 0) {
            receive_chunks(reply, &received, at);
        } else if (http_header(value, sizeof value, reply, "Content-Length")) {
            const size_t length = strtoul(value, NULL, 10);
            reply->whole = need(&received, at, length);
            add(reply, received.bytes + at, reply->whole ? length : received.length - at);
        } else {
            reply->whole = reply->status == 204;
        }
    }
    free(received.bytes);
}

bool http_receive_until(int client, const char *text) {
    struct received received = {.client = client};
    bool found = false;
    while (!found && receive_more(&received))
        found = strstr(received.bytes, text) != NULL;
    free(received.bytes);
    return found;
}

void http_reply_free(struct http_reply *reply) {
    free(reply->head);
    free(reply->body);
    *reply = (struct http_reply){0};
}

void http_ask(struct http_reply *reply, uint16_t port, const char *method, const char *path, const char *headers,
              const char *body) {
    const int client = http_connect(port);
    char *text = NULL;
    *reply = (struct http_reply){0};
    if (client < 0) return;
    const bool typed = headers && strstr(headers, "Content-Type:");
    const int length =
        asprintf(&text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%sContent-Length: %zu\r\n\r\n%s", method, path,
                 headers ? headers : "", body && !typed ? "Content-Type: application/json\r\n" : "",
                 body ? strlen(body) : 0, body ? body : "");
    if (length > 0) {
        (void)http_send(client, text, (size_t)length);
        http_receive(reply, client);
    }
    free(text);
    http_close(client);
}
