/* Explanations as JSON, for `fathom explain --json` and the demo. */
#ifndef FATHOM_CLI_EXPLAIN_JSON_H
#define FATHOM_CLI_EXPLAIN_JSON_H

#include <fathom/explain.h>
#include <jansson.h>

/* A new reference, NULL without memory. catalogue and patching may be NULL. */
json_t *cli_explanation_json(const fathom_explanation *explanation, const fathom_model *model,
                             const fathom_catalogue *catalogue, const struct fathom_patching *patching);

#endif
