/* What a request asks of the model's inside: what is steered, and what is told of each token. */
#ifndef FATHOM_SERVER_INSIDE_H
#define FATHOM_SERVER_INSIDE_H

#include "server/exchange.h"

struct fathom__inside {
    fathom_steer *plan; /* NULL: nothing is steered */
    struct fathom_watch watches[FATHOM__MOST_WATCHES];
    fathom_probe *probes[FATHOM__MOST_WATCHES];    /* those that are watched, at their place; else NULL */
    const char *probe_names[FATHOM__MOST_WATCHES]; /* as the request has them, and borrowed from it */
    size_t n_watches;
    uint32_t n_features;
    bool whole_prompt;
};

/* "steer" is a list of edits of features, a plan as an expression (docs/steering.md) or as a document
 * (docs/plan.schema.json). Of these two no file is opened for a request, and no other text is run. "watch" is a list of features
 * and of probes in the data folder, by their names.
 *
 * Reads the members "steer", "watch", "features" and "watch_prompt" of a request. Errors: FORMAT, NOT_FOUND, UNSUPPORTED
 * (the server has no dictionary), those of plans and of fathom__probe_named, and of a catalogue that cannot be read just now, which the
 * exchange is told (`unavailable`). `out` is to be freed also then. */
int fathom__inside_read(struct fathom__inside *out, struct fathom__exchange *exchange);
void fathom__inside_ask(struct fathom__job_request *job, const struct fathom__inside *inside,
                        const fathom_server *server);
/* Watches one probe alone, by its name, which is borrowed. `out` is to be freed also after an error: as fathom__probe_named. */
int fathom__inside_watch_probe(struct fathom__inside *out, const fathom_server *server, const char *name);
bool fathom__inside_tells(const struct fathom__inside *inside);
/* What is watched, as the reply names it. */
json_t *fathom__inside_watches_json(const struct fathom__inside *inside, const fathom_server *server);
/* {"levels": […], "features": […]} of token `index`, added to an object. */
void fathom__inside_token_json(json_t *object, const struct fathom__inside *inside, const float *levels,
                               const struct fathom__feature_level *features, size_t index);
/* The parts of fathom__inside_read. `where` stands in messages. */
int fathom__inside_need_dictionary(const fathom_server *server, const char *member);
int fathom__inside_feature(uint32_t *out, const fathom_server *server, const json_t *object, const char *where);
int fathom__inside_read_watches(struct fathom__inside *out, const fathom_server *server, const json_t *watches);
void fathom__inside_free(struct fathom__inside *inside);

#endif
