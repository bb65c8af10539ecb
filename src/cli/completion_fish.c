#include "completion.h"
#include "parse.h"
#include <string.h>

/* The condition under which a command's options are offered: a command of one word is not meant where another one's
 * second word follows. */
static void condition(const struct cli_command *command) {
    bool group = strchr(command->name, ' ') == NULL && cli_has_second_words(command->name);
    printf("complete -c fathom -n '__fathom_is %s", command->name);
    if (group) {
        fputs("; and not __fathom_second ", stdout);
        cli_print_second_words(command->name);
    }
    putchar('\'');
}

static void option(const struct cli_option *o) {
    printf(" -l %s", o->name);
    if (o->letter) {
        printf(" -s %c", o->letter);
    }
    switch (o->kind) {
    case CLI_FLAG: break;
    case CLI_CHOICE:
    case CLI_CHOICES:
        fputs(" -x -a '", stdout);
        cli_print_choices(o);
        putchar('\'');
        break;
    case CLI_MODEL: fputs(" -r -F -a 'smollm2 gemma3'", stdout); break;
    case CLI_HOOK:
        fputs(" -x -a '", stdout);
        cli_print_hooks();
        putchar('\'');
        break;
    case CLI_FILE:
    case CLI_OUTPUT: fputs(" -r -F", stdout); break;
    case CLI_FOLDER: fputs(" -x -a '(__fish_complete_directories)'", stdout); break;
    default: fputs(" -x", stdout); break;
    }
    fputs(" -d '", stdout);
    cli_print_quoted(o->help, "\\");
    fputs("'\n", stdout);
}

void cli_complete_fish(void) {
    fputs("function __fathom_is\n    set -l words (commandline -opc)\n    set -l last (math 1 + (count $argv))\n"
          "    test \"$words[2..$last]\" = \"$argv\"\nend\n"
          "function __fathom_at\n    set -l words (commandline -opc)\n    test \"$words[2..]\" = \"$argv\"\nend\n"
          "function __fathom_second\n    set -l words (commandline -opc)\n    contains -- \"$words[3]\" $argv\nend\n"
          "complete -c fathom -n __fathom_at -f -a help -d 'show the help of a command'\n",
          stdout);
    for (const struct cli_option *o = cli_common_options; o->name != NULL; o++) {
        fputs("complete -c fathom -n 'not __fathom_at'", stdout);
        option(o);
    }
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const struct cli_command *command = cli_commands[i];
        int length = cli_first_word(command->name);
        if (cli_begins_group(i)) {
            printf("complete -c fathom -n '__fathom_at' -f -a %.*s -d '", length, command->name);
            if (command->name[length] == '\0') {
                cli_print_quoted(command->summary, "\\");
            } else {
                cli_print_second_words(command->name);
            }
            fputs("'\n", stdout);
        }
        if (command->name[length] == ' ') {
            printf("complete -c fathom -n '__fathom_at %.*s' -f -a %s -d '", length, command->name,
                   command->name + length + 1);
            cli_print_quoted(command->summary, "\\");
            fputs("'\n", stdout);
        }
        for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++) {
            condition(command);
            option(o);
        }
    }
}
