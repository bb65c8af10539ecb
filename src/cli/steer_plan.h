/* --plan of the commands that generate: a plan in a file or typed. */
#ifndef FATHOM_CLI_STEER_PLAN_H
#define FATHOM_CLI_STEER_PLAN_H

#include "cli.h"
#include <fathom/plan.h>

#define CLI_OPTION_PLAN                                                                                                \
    {                                                                                                                  \
        "plan", 0, CLI_TEXT, "FILE|EXPRESSION", "steer by a plan: a JSON file, or such as '\"golden gate\" +8'",       \
            false, false                                                                                               \
    }

/* The plan that --plan names, and its JSON document; both NULL without the option. A fathom_status. Close and decref
 * them. context may be NULL. */
int steer_plan_open(fathom_steer **out, json_t **document, const struct cli_arguments *arguments,
                    const fathom_model *model, const struct fathom_steer_context *context);

#endif
