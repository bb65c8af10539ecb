/* The trainer's options, as `fathom train` takes them. */
#ifndef FATHOM_CLI_TRAINER_ARGUMENTS_H
#define FATHOM_CLI_TRAINER_ARGUMENTS_H

#include "cli.h"
#include <fathom/trainer.h>

/* Everything but d_in, n_features and k. 0, or an exit status after printing what is wrong. */
int trainer_arguments_read(struct fathom_trainer_options *out, const struct cli_arguments *arguments);

#endif
