#include "completion.h"
#include "parse.h"
#include <string.h>

/* What _arguments takes for more than itself inside "[…]", and _describe before its first colon. */
#define EXPLANATION "[]:\\"

static void action(const struct cli_option *option) {
    switch (option->kind) {
    case CLI_FLAG: return;
    case CLI_CHOICE:
    case CLI_CHOICES:
        fputs(":value:(", stdout);
        cli_print_choices(option);
        putchar(')');
        return;
    case CLI_MODEL: fputs(":model:{ compadd smollm2 gemma3; _files }", stdout); return;
    case CLI_HOOK:
        fputs(":hook point:{ compadd -S \"\" -- ", stdout);
        cli_print_hooks();
        fputs(" }", stdout);
        return;
    case CLI_FILE:
    case CLI_OUTPUT: fputs(":file:_files", stdout); return;
    case CLI_FOLDER: fputs(":folder:_files -/", stdout); return;
    default: fputs(":value: ", stdout); return;
    }
}

static void specification(const struct cli_option *option, const char *dashes, const char *name) {
    const char *sign = option->kind == CLI_FLAG ? "" : option->name == name ? "=" : "+";
    printf(" '%s%s%s%s[", option->repeats ? "*" : "", dashes, name, sign);
    cli_print_quoted(option->help, EXPLANATION);
    putchar(']');
    action(option);
    putchar('\'');
}

static void command_case(const struct cli_command *command) {
    bool two_words = strchr(command->name, ' ') != NULL;
    printf(two_words ? "    \"%s\") _arguments" : "    \"%s \"*) _arguments", command->name);
    for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++) {
        const char letter[2] = {o->letter, '\0'};
        specification(o, "--", o->name);
        if (o->letter) {
            specification(o, "-", letter);
        }
    }
    for (const struct cli_option *o = cli_common_options; o->name != NULL; o++) {
        specification(o, "--", o->name);
    }
    fputs(" '*:file:_files';;\n", stdout);
}

static void first_words(void) {
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        int length = cli_first_word(name);
        if (!cli_begins_group(i)) {
            continue;
        }
        printf("            '%.*s:", length, name);
        if (name[length] == '\0') {
            cli_print_quoted(cli_commands[i]->summary, "");
        } else {
            cli_print_second_words(name);
        }
        fputs("'\n", stdout);
    }
}

static void second_words(void) {
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        if (cli_begins_group(i) && cli_has_second_words(name)) {
            printf("        %.*s) compadd -- ", cli_first_word(name), name);
            cli_print_second_words(name);
            fputs(";;\n", stdout);
        }
    }
}

void cli_complete_zsh(void) {
    fputs("#compdef fathom\n_fathom() {\n    local -a commands\n    if (( CURRENT == 2 )); then\n        commands=(\n",
          stdout);
    first_words();
    fputs("            'help:show the help of a command'\n        )\n        _describe command commands\n        "
          "return\n    fi\n    if (( CURRENT == 3 )); then\n    "
          "    "
          "case \"$words[2]\" in\n",
          stdout);
    second_words();
    fputs("        esac\n    fi\n    case \"$words[2] $words[3]\" in\n", stdout);
    for (int two_words = 1; two_words >= 0; two_words--) {
        for (size_t i = 0; cli_commands[i] != NULL; i++) {
            if ((strchr(cli_commands[i]->name, ' ') != NULL) == (two_words == 1)) {
                command_case(cli_commands[i]);
            }
        }
    }
    /* A file of fpath is the body of the function that it defines; sourced, the script registers it. */
    fputs("    esac\n}\nif [ \"$funcstack[1]\" = _fathom ]; then _fathom \"$@\"; else compdef _fathom fathom; fi\n",
          stdout);
}
