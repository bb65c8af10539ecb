/* Plans as texts: expressions, JSON documents, and what they name. */
#ifndef FATHOM_STEER_PLAN_TEXT_H
#define FATHOM_STEER_PLAN_TEXT_H

#include "base/json.h"
#include "steer/plan.h"

/* An expression as a JSON document, new (json_decref). Errors: FORMAT with the place. */
int fathom__expression_parse(json_t **out, const char *text, size_t length, const char *name);

/* A dictionary that a text names, with what strengths of its features are measured by. */
struct fathom__named_dictionary {
    const char *path; /* borrowed from the document; NULL: the default one */
    const fathom_dictionary *dictionary;
    fathom_catalogue *catalogue; /* NULL: none */
    bool owns_catalogue;
    bool looked;                             /* for a catalogue */
    struct fathom_feature_measure *measures; /* without a catalogue, once they are needed. Owned */
};

/* What reading one document needs. */
struct fathom__plan_names {
    fathom_steer *plan;
    const struct fathom_steer_context *context;
    struct fathom__named_dictionary *dictionaries;
    size_t n, capacity;
};
void fathom__plan_names_free(struct fathom__plan_names *names);

/* Finds or opens. path NULL: the context's dictionary or the model's own. *out is valid until the next one. */
int fathom__name_dictionary(struct fathom__named_dictionary **out, struct fathom__plan_names *names, const char *path);
/* The feature whose label fits the words best. NOT_FOUND where there is none. */
int fathom__name_feature(uint32_t *out, struct fathom__plan_names *names, struct fathom__named_dictionary *dictionary,
                         const char *words);
/* Its largest activation; NOT_FOUND for one that never fired. */
int fathom__name_maximum(float *out, struct fathom__plan_names *names, struct fathom__named_dictionary *dictionary,
                         uint32_t feature);
/* Opens a probe, which the plan owns. */
int fathom__name_probe(const fathom_probe **out, struct fathom__plan_names *names, const char *path);
/* Opens a direction's file. first < 0: the layers that the file itself names. Free *out. */
int fathom__name_direction(struct fathom_direction *out, const struct fathom__plan_names *names, const char *path,
                           int32_t first, int32_t last);

/* What edits are called in documents: arrays by enum, ended by NULL. */
extern const char *const fathom__how_words[], *const fathom__part_words[], *const fathom__over_words[],
                                                                               *const fathom__measure_words[];

#endif
