/* The server: a model that programs and people talk with over HTTP, and look into and steer while they do.
 *
 * Routes under /v1 have the requests and replies of OpenAI's API; those under /api are Fathom's own; /openapi.json
 * describes all of them, /healthz and /metrics (Prometheus) are for whoever runs it. docs/server.md tells what each
 * takes and gives. All conversations share one session: they are decoded in one batch, each steered and watched by
 * itself.
 *
 * What it lets in: requests whose Host is an address, "localhost" or a name that was allowed, so that no web page can
 * reach it by a name that it makes point here; and where there is an Origin, only the server's own or an allowed one. An
 * address that others can reach needs a token. Requests, headers, nesting, connections, waiting jobs and times have
 * limits. No path from a request is opened: files are
 * named, and lie in the user's data folder.
 */
#ifndef FATHOM_SERVER_H
#define FATHOM_SERVER_H

#include <fathom/catalogue.h>
#include <fathom/dictionary.h>
#include <fathom/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fathom_server fathom_server;

/* One line of JSON without a line break, for each request that was answered or broken off. Called from several threads,
 * one at a time. */
typedef void (*fathom_server_log_fn)(const char *line, void *payload);

struct fathom_server_options {
    /* All borrowed while the server lives. Without a dictionary nothing is steered or watched; without a catalogue
     * features have no names. While the server lives the catalogue is its own. */
    const fathom_model *model;
    const fathom_dictionary *dictionary;
    fathom_catalogue *catalogue;
    /* Whether the catalogue was named by a person. Else, where it is one that came with Fathom, labels are written into a
     * copy in the user's own data folder, which is then read instead. */
    bool catalogue_named;

    const char *host; /* the address to listen on, IPv4 or IPv6; NULL: 127.0.0.1 */
    uint16_t port;    /* 0: a free one */
    /* What "Authorization: Bearer …" must give for everything but /healthz; NULL: nobody is asked. */
    const char *token;
    /* Names besides addresses and "localhost" that Host may give, and origins such as "https://example.org". */
    const char *const *names, *const *origins;
    size_t n_names, n_origins;
    bool read_only; /* refuses what changes files */
    /* The command's own file, for training, indexing and evaluations under /api/jobs; NULL: these are refused. They read
     * and write in the folder `data` only: corpora/, dictionaries/ and jobs/ (and, as the command does, the user's own
     * catalogue, checkpoints beside outputs and the ledger of runs). NULL: $XDG_DATA_HOME/fathom. */
    const char *program, *data;

    uint32_t n_parallel;     /* conversations in one batch; 0: 4 */
    uint32_t n_context;      /* most tokens of one, its answer included; 0: min(trained context, 4096) */
    uint32_t n_batch;        /* rows of a decode; 0: 256 */
    uint32_t n_threads;      /* 0: all cores */
    uint32_t n_queue;        /* requests that may wait; 0: 64 */
    uint32_t n_connections;  /* at once; 0: 256 */
    bool no_flash_attention; /* flash attention is as of sessions, and on */
    double request_seconds;  /* most from a request's arrival to its last token; 0: 600 */
    double read_seconds;     /* most that a client may take to send a request; 0: 30 */
    size_t body_bytes;       /* longest request; 0: 4 MiB */

    fathom_server_log_fn log; /* NULL: none */
    void *payload;
};
#define FATHOM_SERVER_OPTIONS_INIT                                                                                     \
    { 0 }

/* Listens and answers, on threads of its own, until it is closed. Errors: ARGUMENT (no model, an address without a token
 * that others can reach, values), IO (the address cannot be listened on), MISMATCH (a dictionary of another model),
 * those of sessions. */
FATHOM_API int fathom_server_open(fathom_server **out, const struct fathom_server_options *options);
FATHOM_API uint16_t fathom_server_port(const fathom_server *server);
/* Takes no more requests and lets the texts that are in the batch or wait for it finish for at most `seconds`; the rest, and
 * an explanation at once, is broken off. */
FATHOM_API void fathom_server_stop(fathom_server *server, double seconds);
/* Stops at once where it was not stopped before. NULL is allowed. */
FATHOM_API void fathom_server_close(fathom_server *server);

#ifdef __cplusplus
}
#endif
#endif
