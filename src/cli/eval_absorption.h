/* First-letter absorption for `fathom eval`. */
#ifndef FATHOM_CLI_EVAL_ABSORPTION_H
#define FATHOM_CLI_EVAL_ABSORPTION_H

#include "cli.h"
#include <fathom/absorption.h>

/* control: NULL where none was named. */
void eval_absorption_print(const struct fathom_absorption_report *own, const struct fathom_absorption_report *control);
json_t *eval_absorption_json(const struct fathom_absorption_report *own,
                             const struct fathom_absorption_report *control);

#endif
