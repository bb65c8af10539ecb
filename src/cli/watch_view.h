/* What `fathom watch` holds, and how it shows what it read. */
#ifndef FATHOM_CLI_WATCH_VIEW_H
#define FATHOM_CLI_WATCH_VIEW_H

#include "feature_view.h"
#include <fathom/detect.h>

struct watching {
    const struct cli_arguments *arguments;
    struct feature_view view; /* dictionary and catalogue only where features are watched */
    fathom_probe **probes;
    size_t n_probes;
    fathom_monitor *monitor;
    struct fathom_texts texts;
    /* Results. */
    double *levels;    /* scratch for development: [watches, texts] */
    double *documents; /* what alerts are counted by: 1 for an alert, 0 for none; [texts] */
    size_t n_alerts;
    int output; /* exit status of printing */
};

/* A fathom_reading_fn whose payload is a struct watching: prints a text with its levels and counts its alert. */
int watch_print_reading(const struct fathom_reading *reading, void *payload);
/* How many alerts, and with labels how many were right. An exit status. */
int watch_print_summary(const struct watching *watching);

#endif
