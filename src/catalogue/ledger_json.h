/* Training runs as every command and route tells them. */
#ifndef FATHOM_CATALOGUE_LEDGER_JSON_H
#define FATHOM_CATALOGUE_LEDGER_JSON_H

#include <fathom/ledger.h>
#include <jansson.h>

/* A new reference, NULL without memory. "points" is empty where the run was read without them. */
json_t *fathom__ledger_run_json(const struct fathom_ledger_run *run);

#endif
