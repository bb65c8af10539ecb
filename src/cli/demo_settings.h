/* What a model's demonstration shows: demo.json beside its dictionary, read and checked whole before anything runs. */
#ifndef FATHOM_CLI_DEMO_SETTINGS_H
#define FATHOM_CLI_DEMO_SETTINGS_H

#include <fathom/detect.h>
#include <fathom/dictionary.h>
#include <fathom/steer.h>
#include <jansson.h>

enum { DEMO_MOST_TEXTS = 32, DEMO_MOST_FEATURES = 4 };

struct demo_texts {
    const char *texts[DEMO_MOST_TEXTS];
    size_t n;
};

struct demo_settings {
    json_t *document; /* owns the strings; paths are owned by themselves, relative ones start at the settings' folder */
    struct demo_texts understand;
    struct {
        uint32_t feature;
        double above;
        char *path;
    } watch;
    struct {
        const char *about, *hook;
        enum fathom_pool pool;
        char *train_path, *test_path;
    } probe;
    struct {
        struct {
            uint32_t feature;
            double strength; /* in multiples of the feature's maximum */
        } held[DEMO_MOST_FEATURES];
        size_t n_held;
        struct fathom_steer_feature place; /* layers and rows alone */
        struct fathom_prompt_style style;
        struct demo_texts questions, concept;
        struct {
            char *path; /* texts with labels; NULL: no vector is shown */
            int32_t first_layer, last_layer;
            double strength;
        } vector;
    } steer;
    struct {
        const char *prompt, *answer, *corrupt;
    } explain;
};
#define DEMO_SETTINGS_INIT                                                                                             \
    { 0 }

/* Returns a fathom_status; messages name the file, the key and what was expected. */
int demo_settings_read(struct demo_settings *out, const char *folder, const fathom_model *model,
                       const fathom_dictionary *dictionary);
void demo_settings_free(struct demo_settings *settings);

#endif
