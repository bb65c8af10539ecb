#include "completion.h"
#include "parse.h"
#include <string.h>

/* A shell function's name may not have a blank or a dash. */
static void print_identifier(const char *name) {
    for (; *name != '\0'; name++) {
        putchar(*name == ' ' || *name == '-' ? '_' : *name);
    }
}

static void option_values(const struct cli_option *option) {
    if (option->kind == CLI_FLAG) {
        return;
    }
    printf("    --%s", option->name);
    if (option->letter) {
        printf("|-%c", option->letter);
    }
    fputs(") ", stdout);
    switch (option->kind) {
    case CLI_CHOICE:
    case CLI_CHOICES:
        fputs("_fathom_words \"", stdout);
        cli_print_choices(option);
        fputs("\" \"$1\"; ", stdout);
        break;
    case CLI_MODEL: fputs("_fathom_words \"smollm2 gemma3\" \"$1\"; _fathom_files -f \"$1\"; ", stdout); break;
    case CLI_HOOK:
        fputs("compopt -o nospace; _fathom_words \"", stdout);
        cli_print_hooks();
        fputs("\" \"$1\"; ", stdout);
        break;
    case CLI_FILE:
    case CLI_OUTPUT: fputs("_fathom_files -f \"$1\"; ", stdout); break;
    case CLI_FOLDER: fputs("_fathom_files -d \"$1\"; ", stdout); break;
    default: break;
    }
    fputs("return;;\n", stdout);
}

static void command_function(const struct cli_command *command) {
    fputs("_fathom_command_", stdout);
    print_identifier(command->name);
    fputs("() {\n    case \"$2\" in\n", stdout);
    for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++) {
        option_values(o);
    }
    fputs("    esac\n    case \"$1\" in\n    -*) _fathom_words \"", stdout);
    for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++) {
        printf("--%s ", o->name);
    }
    for (const struct cli_option *o = cli_common_options; o->name != NULL; o++) {
        printf("--%s ", o->name);
    }
    fputs("\" \"$1\";;\n    *) _fathom_files -f \"$1\";;\n    esac\n}\n", stdout);
}

/* Longer names first, so that "bench train" is not taken for a command "bench". */
static void command_cases(bool two_words) {
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        if ((strchr(name, ' ') != NULL) == two_words) {
            printf(two_words ? "    \"%s\") _fathom_command_" : "    \"%s \"*) _fathom_command_", name);
            print_identifier(name);
            fputs(" \"$word\" \"$last\";;\n", stdout);
        }
    }
}

void cli_complete_bash(void) {
    fputs("_fathom_words() { COMPREPLY+=($(compgen -W \"$1\" -- \"$2\")); }\n"
          "_fathom_files() { local IFS=$'\\n'; COMPREPLY+=($(compgen \"$1\" -- \"$2\")); }\n",
          stdout);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        command_function(cli_commands[i]);
    }
    fputs("_fathom() {\n    local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]}\n    COMPREPLY=()\n"
          /* readline makes three words of --model=NAME */
          "    if [ \"$word\" = = ]; then\n        word=\n    elif [ \"$last\" = = ]; then\n"
          "        last=${COMP_WORDS[COMP_CWORD-2]}\n    fi\n"
          "    if [ \"$COMP_CWORD\" = 1 ]; then\n        _fathom_words \"",
          stdout);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        if (cli_begins_group(i)) {
            printf("%.*s ", cli_first_word(cli_commands[i]->name), cli_commands[i]->name);
        }
    }
    fputs("help\" \"$word\"\n        return\n    fi\n    if [ \"$COMP_CWORD\" = 2 ]; then\n        case "
          "\"${COMP_WORDS[1]}\" in\n",
          stdout);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        if (cli_begins_group(i) && cli_has_second_words(cli_commands[i]->name)) {
            printf("        %.*s) _fathom_words \"", cli_first_word(cli_commands[i]->name), cli_commands[i]->name);
            cli_print_second_words(cli_commands[i]->name);
            fputs("\" \"$word\";;\n", stdout);
        }
    }
    fputs("        esac\n    fi\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n", stdout);
    command_cases(true);
    command_cases(false);
    fputs("    esac\n}\ncomplete -o filenames -F _fathom fathom\n", stdout);
}
