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
    /* --strongest: only so many texts are told, once all were read; the strongest first. */
    struct watch_kept *strongest;
    size_t most_strongest, n_strongest;
    double began;
};

struct watch_kept {
    double strength; /* how far the text is above the level, in parts of what the watch can reach */
    size_t text;
    bool alert;
    double *levels; /* [watches] */
    json_t *json;   /* the reading, or NULL for people */
};

/* A fathom_reading_fn whose payload is a struct watching: prints a text with its levels and counts its alert. */
int watch_print_reading(const struct fathom_reading *reading, void *payload);
/* The same that keeps the strongest and tells how far it is. */
int watch_keep_reading(const struct fathom_reading *reading, void *payload);
void watch_print_kept(const struct watching *watching);
json_t *watch_kept_json(const struct watching *watching);
void watch_free_kept(struct watching *watching);
/* How many alerts, with labels how many were right, and the strongest where they were kept. An exit status. */
int watch_print_summary(const struct watching *watching);

/* For watch_strongest.c: the level at which a token is drawn at full strength; a reading; a watch's level beside its own. */
double watch_full_level(const struct watching *watching, size_t w);
json_t *watch_reading_json(const struct watching *watching, const struct fathom_reading *reading);
void watch_print_verdict(const struct watching *watching, size_t text, bool alert);
void watch_print_levels(const struct watching *watching, const double *levels);

#endif
