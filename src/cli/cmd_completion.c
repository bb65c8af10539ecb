#include "cli.h"
#include "parse.h"
#include <string.h>

/* Command names may have two words ("probe train"); a shell function's name may not have a space. */
static void print_identifier(const char *name) {
    for (; *name != '\0'; name++) {
        putchar(*name == ' ' || *name == '-' ? '_' : *name);
    }
}

static void print_first_words(void) {
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        int length = (int)strcspn(name, " ");
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) {
            const char *other = cli_commands[j]->name;
            seen = (int)strcspn(other, " ") == length && strncmp(other, name, (size_t)length) == 0;
        }
        if (!seen) {
            printf(" %.*s", length, name);
        }
    }
}

static void print_second_words(const char *first, int length) {
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        if (strncmp(name, first, (size_t)length) == 0 && name[length] == ' ') {
            printf(" %s", name + length + 1);
        }
    }
}

static const char *bash_values(const struct cli_option *option) {
    switch (option->kind) {
    case CLI_FILE:
    case CLI_MODEL: return "-f";
    case CLI_FOLDER: return "-d";
    default: return NULL;
    }
}

static void bash_option_values(const struct cli_option *option) {
    const char *action = bash_values(option);
    if (option->kind == CLI_CHOICE) {
        printf("        --%s) COMPREPLY=($(compgen -W \"", option->name);
        for (const char *c = option->value; *c != '\0'; c++) {
            putchar(*c == '|' ? ' ' : *c);
        }
        fputs("\" -- \"$word\")); return;;\n", stdout);
    } else if (option->kind == CLI_MODEL) {
        printf(
            "        --%s|-%c) COMPREPLY=($(compgen -W \"smollm2 gemma3\" -- \"$word\") $(compgen -f -- \"$word\")); "
            "return;;\n",
            option->name, option->letter);
    } else if (action != NULL) {
        printf("        --%s) COMPREPLY=($(compgen %s -- \"$word\")); return;;\n", option->name, action);
    }
}

static void bash(void) {
    fputs("_fathom() {\n    local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]} "
          "command=${COMP_WORDS[1]}\n"
          "    COMPREPLY=()\n    if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W \"",
          stdout);
    print_first_words();
    fputs("\" -- \"$word\")); return; fi\n    case \"$command ${COMP_WORDS[2]}\" in\n", stdout);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const struct cli_command *command = cli_commands[i];
        const char *space = strchr(command->name, ' ');
        if (space != NULL) {
            printf("    \"%s\") _fathom_", command->name);
            print_identifier(command->name);
            fputs(" \"$word\" \"$last\"; return;;\n", stdout);
        }
    }
    fputs("    esac\n    case \"$command\" in\n", stdout);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        int length = (int)strcspn(name, " ");
        if (name[length] == '\0') {
            printf("    %s) _fathom_", name);
            print_identifier(name);
            fputs(" \"$word\" \"$last\";;\n", stdout);
        } else {
            printf("    %.*s) COMPREPLY=($(compgen -W \"", length, name);
            print_second_words(name, length);
            fputs("\" -- \"$word\"));;\n", stdout);
        }
    }
    fputs("    esac\n}\n", stdout);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        fputs("_fathom_", stdout);
        print_identifier(cli_commands[i]->name);
        fputs("() {\n    local word=$1\n    case \"$2\" in\n", stdout);
        for (const struct cli_option *o = cli_commands[i]->options; o != NULL && o->name != NULL; o++) {
            bash_option_values(o);
        }
        fputs("    esac\n    case \"$word\" in\n        -*) COMPREPLY=($(compgen -W \"", stdout);
        for (const struct cli_option *o = cli_commands[i]->options; o != NULL && o->name != NULL; o++) {
            printf(" --%s", o->name);
        }
        fputs(" --help --quiet\" -- \"$word\"));;\n        *) COMPREPLY=($(compgen -f -- \"$word\"));;\n    esac\n}\n",
              stdout);
    }
    fputs("complete -o filenames -F _fathom fathom\n", stdout);
}

/* Zsh and fish quote by single quotes; the table's sentences hold none but apostrophes, which are doubled out. */
static void print_quoted(const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else if (*text == '[' || *text == ']' || *text == ':') {
            putchar(' ');
        } else {
            putchar(*text);
        }
    }
}

static void zsh_action(const struct cli_option *option) {
    if (option->kind == CLI_CHOICE) {
        fputs(":value:(", stdout);
        for (const char *c = option->value; *c != '\0'; c++) {
            putchar(*c == '|' ? ' ' : *c);
        }
        putchar(')');
    } else if (option->kind == CLI_FILE || option->kind == CLI_MODEL) {
        fputs(":file:_files", stdout);
    } else if (option->kind == CLI_FOLDER) {
        fputs(":folder:_files -/", stdout);
    } else if (option->kind != CLI_FLAG) {
        fputs(":value:", stdout);
    }
}

static void zsh(void) {
    fputs("#compdef fathom\n_fathom() {\n    local -a commands\n    commands=(\n", stdout);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        printf("        '%s:", cli_commands[i]->name);
        print_quoted(cli_commands[i]->summary);
        fputs("'\n", stdout);
    }
    fputs("    )\n    if (( CURRENT == 2 )); then _describe command commands; return; fi\n    case "
          "\"$words[2] $words[3]\" in\n",
          stdout);
    for (int two_words = 1; two_words >= 0; two_words--) {
        for (size_t i = 0; cli_commands[i] != NULL; i++) {
            const struct cli_command *command = cli_commands[i];
            bool has_space = strchr(command->name, ' ') != NULL;
            if (has_space != (two_words == 1)) {
                continue;
            }
            printf("    \"%s%s) _arguments", command->name, has_space ? "\"" : " \"*");
            for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++) {
                printf(" '%s--%s[", o->repeats ? "*" : "", o->name);
                print_quoted(o->help);
                putchar(']');
                zsh_action(o);
                putchar('\'');
            }
            fputs(" '--help[show this help]' '--quiet[show no progress]' '*:file:_files';;\n", stdout);
        }
    }
    fputs("    esac\n}\ncompdef _fathom fathom\n", stdout);
}

static void fish_condition(const char *name) {
    int length = (int)strcspn(name, " ");
    printf("__fish_seen_subcommand_from %.*s", length, name);
    if (name[length] == ' ') {
        printf("; and __fish_seen_subcommand_from %s", name + length + 1);
    }
}

static void fish(void) {
    fputs("complete -c fathom -n __fish_use_subcommand -f -a '", stdout);
    print_first_words();
    fputs("'\n", stdout);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const struct cli_command *command = cli_commands[i];
        int length = (int)strcspn(command->name, " ");
        if (command->name[length] == ' ') {
            printf("complete -c fathom -n '__fish_seen_subcommand_from %.*s' -f -a '%s' -d '", length, command->name,
                   command->name + length + 1);
            print_quoted(command->summary);
            fputs("'\n", stdout);
        }
        for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++) {
            fputs("complete -c fathom -n '", stdout);
            fish_condition(command->name);
            printf("' -l %s", o->name);
            if (o->letter) {
                printf(" -s %c", o->letter);
            }
            if (o->kind == CLI_CHOICE) {
                fputs(" -x -a '", stdout);
                for (const char *c = o->value; *c != '\0'; c++) {
                    putchar(*c == '|' ? ' ' : *c);
                }
                putchar('\'');
            } else if (o->kind != CLI_FLAG) {
                fputs(o->kind == CLI_TEXT || o->kind == CLI_INTEGER || o->kind == CLI_NUMBER ? " -x" : " -r", stdout);
            }
            fputs(" -d '", stdout);
            print_quoted(o->help);
            fputs("'\n", stdout);
        }
    }
}

static int run(struct cli_arguments *arguments) {
    size_t n = 0;
    const char *shell = cli_operands(&n, arguments)[0];
    if (strcmp(shell, "bash") == 0) {
        bash();
    } else if (strcmp(shell, "zsh") == 0) {
        zsh();
    } else if (strcmp(shell, "fish") == 0) {
        fish();
    } else {
        return cli_usage(arguments, "bash, zsh or fish is expected, not \"%s\"", shell);
    }
    return CLI_OK;
}

static const struct cli_option options[] = {CLI_OPTION_END};

const struct cli_command cli_command_completion = {
    .name = "completion",
    .summary = "print a completion script for bash, zsh or fish",
    .operands = "SHELL",
    .least = 1,
    .most = 1,
    .description = "Prints a script that completes commands, options, choices and file names.",
    .examples = "source <(fathom completion bash)\nfathom completion fish > ~/.config/fish/completions/fathom.fish",
    .options = options,
    .run = run,
};
