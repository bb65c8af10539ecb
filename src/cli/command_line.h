/* The command as it was given. */
#ifndef FATHOM_CLI_COMMAND_LINE_H
#define FATHOM_CLI_COMMAND_LINE_H

#include "cli.h"

/* "fathom NAME …" with every word as a shell takes it; new. A fathom_status. */
int command_line(char **out, const struct cli_arguments *arguments);

#endif
