/* The demonstration: the four stages once, on a real model, with everything written to demo.json as well. */
#ifndef FATHOM_CLI_DEMO_H
#define FATHOM_CLI_DEMO_H

#include "cli.h"
#include "demo_settings.h"
#include <fathom/catalogue.h>

struct demo {
    const struct cli_arguments *arguments;
    fathom_model *model;
    fathom_dictionary *dictionary;
    fathom_catalogue *catalogue;
    struct demo_settings settings;
    FILE *out;          /* what people read: standard output, or nowhere with --json */
    const char *folder; /* where results go */
    const char *text;   /* the user's own text, or NULL */
    uint64_t seed;
    json_t *results;
};

/* Each stage prints itself, adds its member to demo->results, and returns a fathom_status. */
int demo_understand(struct demo *demo);
int demo_detect(struct demo *demo);
int demo_steer(struct demo *demo);
int demo_explain(struct demo *demo);

/* Shared by the stages. */
void demo_heading(const struct demo *demo, const char *title, const char *what);
/* "feature 304 “athletes” (label 0.91)" */
void demo_print_feature(const struct demo *demo, uint32_t feature);
json_t *demo_feature_json(const struct demo *demo, uint32_t feature);
/* Text of one token as a JSON string. */
json_t *demo_token_json(const struct demo *demo, int32_t token);
void demo_print_token(const struct demo *demo, int32_t token);
/* Sets the thread's message and returns the status. */
int demo_error(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
