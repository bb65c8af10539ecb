/* What `fathom steer` turns: learned features, a direction, or what a plan says. */
#ifndef FATHOM_CLI_STEER_SUBJECT_H
#define FATHOM_CLI_STEER_SUBJECT_H

#include "concept_file.h"
#include "feature_view.h"
#include <fathom/steer.h>

enum { STEER_MOST_FEATURES = FATHOM_STEER_MOST_FEATURES };

struct steer_subject {
    struct feature_view view; /* model; dictionary and catalogue where features are turned */
    bool is_feature;
    /* Features, turned together, and by how much of the strength each. */
    uint32_t features[STEER_MOST_FEATURES];
    float weights[STEER_MOST_FEATURES];
    size_t n_features;
    enum fathom_steer_mode mode;
    struct fathom_feature_measure *measures; /* [features]: from the catalogue, else measured */
    const char *measured_on;
    /* A direction over all layers that may be tried. */
    struct fathom_direction direction;
    const char *made_of; /* "contrast of …" */
    /* Or a whole plan, which settings do not change. */
    fathom_steer *plan;
    json_t *document;
};

struct steer_setting {
    struct fathom_layer_range range; /* -1 … -1: the dictionary's own layer */
    float strength;
    enum fathom_steer_rows rows;
};

/* Opens what the options name; `whole` is the range a direction is made for, and concept's texts are its contrast where
 * no file is named. Prints what went wrong; false: leave with *exit. */
bool steer_subject_open(struct steer_subject *out, int *exit, const struct cli_arguments *arguments,
                        struct fathom_layer_range whole, const struct concept_file *concept);
void steer_subject_close(struct steer_subject *subject);

/* The control of the same kind, by seed: features as active, a random direction, or a plan of both. *out borrows the
 * view; free
 * with steer_control_close. */
int steer_subject_control(struct steer_subject *out, const struct steer_subject *subject, uint64_t seed);
void steer_control_close(struct steer_subject *control);

/* The plan of a subject at a setting; *owned tells whether it is new (fathom_steer_close) or the subject's. */
int steer_subject_plan(fathom_steer **out, bool *owned, const struct steer_subject *subject,
                       const struct steer_setting *setting);

/* How questions are asked by --chat, --raw, --prefix, --suffix and --stop; the model decides where nobody does. */
struct fathom_prompt_style steer_style(const struct cli_arguments *arguments, const fathom_model *model);

json_t *steer_subject_json(const struct steer_subject *subject);
void steer_subject_print(const struct steer_subject *subject);
json_t *steer_score_json(const struct fathom_steer_score *score);

/* "6-14" or "10". A fathom_status; `option` stands in the message. */
int steer_range_parse(struct fathom_layer_range *out, const char *text, const char *option);
/* What --rows says; all where it says nothing. */
enum fathom_steer_rows steer_rows(const struct cli_arguments *arguments);

#endif
