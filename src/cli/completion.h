/* Completion scripts, printed out of the command table: one file a shell. */
#ifndef FATHOM_CLI_COMPLETION_H
#define FATHOM_CLI_COMPLETION_H

#include "cli.h"

void cli_complete_bash(void);
void cli_complete_zsh(void);
void cli_complete_fish(void);

/* Command names have one or two words: "bench train". The first one's length. */
int cli_first_word(const char *name);
/* Whether command i is the first in the table that begins with its first word. */
bool cli_begins_group(size_t i);
bool cli_has_second_words(const char *name);
/* The second words of all commands that begin with the first word of `name`, with blanks between them. */
void cli_print_second_words(const char *name);
/* A choice's "a|b|c" with blanks. */
void cli_print_choices(const struct cli_option *option);
/* What names of hook points begin with, "resid_post." and the like, with blanks between them; a layer follows a dot. */
void cli_print_hooks(void);
/* Text inside single quotes; characters of `escaped` get a backslash. */
void cli_print_quoted(const char *text, const char *escaped);

#endif
