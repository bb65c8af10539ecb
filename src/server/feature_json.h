/* Features as the routes tell them. */
#ifndef FATHOM_SERVER_FEATURE_JSON_H
#define FATHOM_SERVER_FEATURE_JSON_H

#include "server/server_internal.h"
#include <fathom/labels.h>
#include <jansson.h>

/* Number, label and the short figures. */
json_t *fathom__feature_short_json(const fathom_server *server, uint32_t feature);
/* All there is, under the names that Neuronpedia's feature pages read, and the figures of its labels beside them. */
json_t *fathom__feature_details_json(const fathom_server *server, const struct fathom_feature_details *details,
                                     size_t n_examples);
/* What people's labels of it were, the latest first. */
json_t *fathom__label_changes_json(const struct fathom_label_change *changes, size_t n);
/* {"id", "token"} */
json_t *fathom__feature_token_json(const fathom_server *server, int32_t token);

#endif
