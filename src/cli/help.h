/* Help, man pages and shell completion, all out of the command table. */
#ifndef FATHOM_CLI_HELP_H
#define FATHOM_CLI_HELP_H

#include "cli.h"

void cli_help_program(FILE *stream);
void cli_help_command(FILE *stream, const struct cli_command *command);
/* The nearest command to a mistyped word, or NULL. */
const char *cli_nearest_command(const char *word);
/* Starts signal handling and progress (output.c). */
void cli_output_start(bool quiet);

#endif
