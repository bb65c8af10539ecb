/* `fathom eval` of a transcoder, or of a cross-layer one. */
#ifndef FATHOM_CLI_EVAL_LAYERS_H
#define FATHOM_CLI_EVAL_LAYERS_H

#include "cli.h"
#include <fathom/layers.h>

/* An exit status. */
int eval_layers(const struct cli_arguments *arguments, const fathom_dictionary *dictionary, const fathom_model *model,
                const struct fathom_evaluate_options *options);

#endif
