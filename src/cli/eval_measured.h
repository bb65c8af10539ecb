/* Everything that one run of `fathom eval` measured. */
#ifndef FATHOM_CLI_EVAL_MEASURED_H
#define FATHOM_CLI_EVAL_MEASURED_H

#include "eval_probe.h"
#include <fathom/absorption.h>
#include <fathom/evaluate.h>
#include <fathom/monosemanticity.h>

struct eval_measured {
    const struct fathom_dictionary_info *dictionary;
    const char *model_name, *corpus; /* corpus: what was named first */
    uint32_t context;
    uint64_t seed;
    struct fathom_evaluation evaluation;
    struct fathom_feature_quality *features; /* [n_features], or NULL */
    struct eval_probe *probes;
    size_t n_probes;
    bool has_control, has_shuffled, has_absorption, has_labels;
    struct fathom_absorption_report absorption, control_absorption;
    struct fathom_monosemanticity labels;
};

#endif
