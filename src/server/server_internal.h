/* The server as its own files see it. */
#ifndef FATHOM_SERVER_SERVER_INTERNAL_H
#define FATHOM_SERVER_SERVER_INTERNAL_H

#include "base/random.h"
#include "server/batcher.h"
#include "server/connections.h"
#include "server/labels.h"
#include "server/map.h"
#include "server/metrics.h"
#include "server/tasks.h"
#include "server/tool_format.h"
#include <fathom/server.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

struct fathom_server {
    struct fathom_server_options options; /* with every default filled in; what it points to is owned below */
    char *host, *token, **names, **origins;
    struct fathom_hook dictionary_hook;
    fathom__batcher *batcher;
    fathom__labels *labels;
    fathom__tasks *tasks;
    atomic_flag explaining; /* one explanation is made at a time */
    pthread_mutex_t map_lock;
    struct fathom__map map; /* n 0: not made yet; never changes then */
    pthread_mutex_t tool_lock;
    struct fathom__tool_format tool_format; /* opening NULL: not looked for yet; never changes then */
    struct MHD_Daemon *daemon;
    uint16_t port;
    atomic_bool stopping, stopped;
    atomic_int in_progress; /* requests whose reply has not ended */
    atomic_ullong next_connection, next_reply;
    fathom__connections *connections;
    fathom__metrics metrics;
    double started;  /* fathom__seconds */
    long long since; /* Unix time */
    pthread_mutex_t log_lock;
    pthread_mutex_t random_lock;
    struct fathom__random random; /* seeds of requests that name none */
};

/* MHD's side: listener.c. */
int fathom__listener_open(fathom_server *server);
void fathom__listener_close(fathom_server *server);

uint64_t fathom__server_seed(fathom_server *server);

#endif
