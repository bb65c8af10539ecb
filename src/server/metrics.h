/* What the server counts, in Prometheus' text format. */
#ifndef FATHOM_SERVER_METRICS_H
#define FATHOM_SERVER_METRICS_H

#include "base/buffer.h"
#include "server/batcher.h"
#include <stdatomic.h>

enum { FATHOM__MOST_ROUTES = 48, FATHOM__STATUS_CLASSES = 5 };

typedef struct {
    /* By route, the last one for paths that are none, and by the first digit of the status. */
    atomic_ullong requests[FATHOM__MOST_ROUTES + 1][FATHOM__STATUS_CLASSES];
    atomic_ullong bytes, microseconds, broken_off, refused_full;
    atomic_int connections;
} fathom__metrics;

void fathom__metrics_count(fathom__metrics *metrics, size_t route, unsigned http_status, uint64_t bytes, double seconds,
                           bool broken_off);
int fathom__metrics_text(struct fathom__buffer *out, fathom__metrics *metrics,
                         const struct fathom__batcher_figures *figures, double uptime);

#endif
