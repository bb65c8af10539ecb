/* What `fathom eval` prints of the reconstruction's figures. */
#ifndef FATHOM_CLI_EVAL_VIEW_H
#define FATHOM_CLI_EVAL_VIEW_H

#include "cli.h"
#include <fathom/evaluate.h>
#include <fathom/monosemanticity.h>

void eval_print(const struct fathom_evaluation *evaluation, bool shuffled);

/* A new object. features: [n_features] of the dictionary, or NULL where they are not wanted. */
json_t *eval_json(const struct fathom_evaluation *evaluation, const struct fathom_dictionary_info *info,
                  const struct fathom_feature_quality *features, bool shuffled);

/* How well the features' own labels tell them. */
void eval_labels_print(const struct fathom_monosemanticity *labels);
json_t *eval_labels_json(const struct fathom_monosemanticity *labels);

#endif
