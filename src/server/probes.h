/* Probes in the data folder, probes/NAME.gguf. */
#ifndef FATHOM_SERVER_PROBES_H
#define FATHOM_SERVER_PROBES_H

#include "server/exchange.h"
#include <fathom/detect.h>

/* A probe by its name; the caller closes it. Errors: FORMAT (no name), NOT_FOUND, UNSUPPORTED (there is no data folder), MISMATCH (made
 * on another model), those of files. */
int fathom__probe_named(fathom_probe **out, const fathom_server *server, const char *name);

#endif
