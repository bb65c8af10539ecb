#include "server/connections.h"
#include "base/condition.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

/* How often the clock is looked at. */
#define LOOK_SECONDS 0.25

struct fathom__connection {
    int socket;
    uint64_t number;
    double due; /* 0: not waited for */
    fathom__connection *next, **link;
};

struct fathom__connections {
    fathom__connection *first;
    pthread_mutex_t lock;
    pthread_cond_t closing;
    bool ending, started;
    pthread_t thread;
};

static void *watch(void *payload) {
    fathom__connections *connections = payload;
    pthread_mutex_lock(&connections->lock);
    while (!connections->ending) {
        (void)fathom__condition_wait(&connections->closing, &connections->lock, fathom__seconds() + LOOK_SECONDS);
        const double now = fathom__seconds();
        for (fathom__connection *at = connections->first; at; at = at->next)
            if (at->due > 0 && now >= at->due) {
                at->due = 0;
                (void)shutdown(at->socket, SHUT_RDWR);
            }
    }
    pthread_mutex_unlock(&connections->lock);
    return NULL;
}

int fathom__connections_open(fathom__connections **out) {
    fathom__connections *connections = NULL;
    int status = fathom__alloc(&connections, 1, sizeof *connections);
    if (!status) status = fathom__condition_open(&connections->closing);
    if (status) {
        fathom_free(connections);
        return status;
    }
    pthread_mutex_init(&connections->lock, NULL);
    connections->started = pthread_create(&connections->thread, NULL, watch, connections) == 0;
    if (!connections->started) {
        fathom__connections_close(connections);
        return fathom__fail(FATHOM_ERROR_MEMORY, "the thread that watches connections cannot be started");
    }
    *out = connections;
    return FATHOM_OK;
}

void fathom__connections_close(fathom__connections *connections) {
    if (!connections) return;
    pthread_mutex_lock(&connections->lock);
    connections->ending = true;
    pthread_cond_signal(&connections->closing);
    pthread_mutex_unlock(&connections->lock);
    if (connections->started) pthread_join(connections->thread, NULL);
    pthread_cond_destroy(&connections->closing);
    pthread_mutex_destroy(&connections->lock);
    fathom_free(connections);
}

fathom__connection *fathom__connection_add(fathom__connections *connections, int socket, uint64_t number,
                                           double seconds) {
    fathom__connection *connection = NULL;
    if (fathom__alloc(&connection, 1, sizeof *connection)) return NULL;
    connection->socket = socket;
    connection->number = number;
    connection->due = fathom__seconds() + seconds;
    pthread_mutex_lock(&connections->lock);
    connection->next = connections->first;
    connection->link = &connections->first;
    if (connection->next) connection->next->link = &connection->next;
    connections->first = connection;
    pthread_mutex_unlock(&connections->lock);
    return connection;
}

void fathom__connection_remove(fathom__connections *connections, fathom__connection *connection) {
    if (!connection) return;
    pthread_mutex_lock(&connections->lock);
    *connection->link = connection->next;
    if (connection->next) connection->next->link = connection->link;
    pthread_mutex_unlock(&connections->lock);
    fathom_free(connection);
}

void fathom__connection_expect(fathom__connections *connections, fathom__connection *connection, double seconds) {
    pthread_mutex_lock(&connections->lock);
    connection->due = seconds > 0 ? fathom__seconds() + seconds : 0;
    pthread_mutex_unlock(&connections->lock);
}

uint64_t fathom__connection_number(const fathom__connection *connection) {
    return connection->number;
}

bool fathom__connection_gone(const fathom__connection *connection) {
#ifdef POLLRDHUP
    struct pollfd look = {.fd = connection->socket, .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
#else
    /* Elsewhere the end is seen once there is nothing left to read before it. */
    char byte;
    return recv(connection->socket, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == 0;
#endif
}

void fathom__connections_cut(fathom__connections *connections) {
    pthread_mutex_lock(&connections->lock);
    for (fathom__connection *at = connections->first; at; at = at->next)
        (void)shutdown(at->socket, SHUT_RDWR);
    pthread_mutex_unlock(&connections->lock);
}
