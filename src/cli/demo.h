/* The demonstration: the four stages once, on a real model, with everything written to demo.json as well. */
#ifndef FATHOM_CLI_DEMO_H
#define FATHOM_CLI_DEMO_H

#include "cli.h"
#include <fathom/catalogue.h>
#include <fathom/detect.h>
#include <fathom/dictionary.h>
#include <fathom/steer.h>

struct demo {
    const struct cli_arguments *arguments;
    fathom_model *model;
    fathom_dictionary *dictionary;
    fathom_catalogue *catalogue;
    json_t *settings;   /* the model's demo.json beside its dictionary: which features, texts and strengths */
    const char *share;  /* folder of the settings, where texts are named relative to it */
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
void demo_heading(const char *title, const char *what);
/* "feature 304 “athletes” (label 0.91)" */
void demo_print_feature(const struct demo *demo, uint32_t feature);
json_t *demo_feature_json(const struct demo *demo, uint32_t feature);
/* Text of one token as a JSON string. */
json_t *demo_token_json(const struct demo *demo, int32_t token);
void demo_print_token(const struct demo *demo, int32_t token);
/* Settings, with errors that name the file and the key; the pointers are borrowed from the settings. */
int demo_setting(json_t **out, const struct demo *demo, const char *stage, const char *key, json_type type);
/* A file named in the settings, relative to the share folder: new (fathom_free). */
int demo_file(char **out, const struct demo *demo, const char *name);
/* Sets the thread's message and returns the status. */
int demo_error(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
