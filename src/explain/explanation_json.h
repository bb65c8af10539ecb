/* Explanations as JSON, as every command and route tells them. */
#ifndef FATHOM_EXPLAIN_EXPLANATION_JSON_H
#define FATHOM_EXPLAIN_EXPLANATION_JSON_H

#include <fathom/explain.h>
#include <jansson.h>

/* A new reference, NULL without memory. catalogue and patching may be NULL. */
json_t *fathom__explanation_json(const fathom_explanation *explanation, const fathom_model *model,
                                 const fathom_catalogue *catalogue, const struct fathom_patching *patching);

#endif
