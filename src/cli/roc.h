/* The ROC curve of scores. */
#ifndef FATHOM_CLI_ROC_H
#define FATHOM_CLI_ROC_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* [[false-positive rate, recall], …] from [0, 0] to [1, 1], the highest threshold first; of many points a few hundred are kept.
 * labels[i] is 1 or 0; texts with another label or a score that is not a number are left out. NULL where memory or one of the two
 * classes is missing. */
json_t *roc_json(const double *scores, const int8_t *labels, size_t n);

#endif
