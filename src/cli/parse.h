/* Parsing of a command's arguments by its table. */
#ifndef FATHOM_CLI_PARSE_H
#define FATHOM_CLI_PARSE_H

#include "cli.h"

/* Parses argv (after the command's name). On CLI_OK *out is new (cli_arguments_free). `*help` is set when --help was
 * among them; then nothing was checked. Prints usage errors. */
int cli_parse(struct cli_arguments **out, bool *help, const struct cli_command *command, int argc, char *const *argv);
void cli_arguments_free(struct cli_arguments *arguments);
const struct cli_command *cli_arguments_command(const struct cli_arguments *arguments);
/* What followed the command's name, as it was given. */
char *const *cli_arguments_words(size_t *n, const struct cli_arguments *arguments);

/* An option of the command by its long name; NULL where it has none. */
const struct cli_option *cli_command_option(const struct cli_arguments *arguments, const char *name);
/* Whether text is one of the choices of a CLI_CHOICE, or of a CLI_CHOICES one or more with commas between. */
bool cli_is_choice(const struct cli_option *option, const char *text);
/* Adds a value, which is copied, as if it had been given; what it may be is not checked. A fathom_status. */
int cli_arguments_add(struct cli_arguments *arguments, const struct cli_option *option, const char *text);

/* The longest command of the table that argv begins with; *used gets the number of words. NULL: none. */
const struct cli_command *cli_find(int *used, int argc, char *const *argv);

/* Options that every command has. Ended by a NULL name. */
extern const struct cli_option cli_common_options[];

#endif
