/* What several seeds have in common, after their training. */
#ifndef FATHOM_CLI_SEED_REPORT_H
#define FATHOM_CLI_SEED_REPORT_H

#include "train_request.h"

/* Matches the dictionaries of each group of seeds, and writes a file "NAME.stability.json" beside every one of them,
 * with each feature's figure. *out: new JSON, an array with an object a dictionary. */
int seed_report(json_t **out, const struct train_request *request);
void seed_report_print(const json_t *report);

#endif
