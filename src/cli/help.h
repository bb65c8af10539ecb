/* Help, man pages and shell completion, all out of the command table. */
#ifndef FATHOM_CLI_HELP_H
#define FATHOM_CLI_HELP_H

#include "cli.h"

void cli_help_program(FILE *stream);
void cli_help_command(FILE *stream, const struct cli_command *command);
/* The nearest command to a mistyped word, or NULL. */
const char *cli_nearest_command(const char *word);
/* The same for an option, whose name may not be zero-terminated. */
const char *cli_nearest_option(const struct cli_command *command, const char *name, size_t length);
/* Whether a word begins commands of two words, such as "bench"; prints the second words, with commas, when stream is
 * not NULL. */
bool cli_is_group(FILE *stream, const char *word);
/* Starts signal handling and progress (output.c). */
void cli_output_start(bool quiet);
/* Whether a write met a pipe that nobody reads any more. */
bool cli_pipe_closed(void);

#endif
