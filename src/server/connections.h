/* Connections and their patience: a client that sends or takes bytes too slowly, or is silent, is cut off. */
#ifndef FATHOM_SERVER_CONNECTIONS_H
#define FATHOM_SERVER_CONNECTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct fathom__connections fathom__connections;
typedef struct fathom__connection fathom__connection;

int fathom__connections_open(fathom__connections **out);
/* All connections must have been removed. */
void fathom__connections_close(fathom__connections *connections);

/* A connection that must do something within `seconds`. NULL when memory is exhausted. */
fathom__connection *fathom__connection_add(fathom__connections *connections, int socket, uint64_t number,
                                           double seconds);
void fathom__connection_remove(fathom__connections *connections, fathom__connection *connection);
/* Something was done: the next thing must be within `seconds`; 0: it is the server's turn. */
void fathom__connection_expect(fathom__connections *connections, fathom__connection *connection, double seconds);
uint64_t fathom__connection_number(const fathom__connection *connection);
/* Whether the other side has closed. */
bool fathom__connection_gone(const fathom__connection *connection);
/* Cuts all off. */
void fathom__connections_cut(fathom__connections *connections);

#endif
