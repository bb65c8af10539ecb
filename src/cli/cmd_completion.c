#include "completion.h"
#include <fathom/hook.h>
#include <string.h>

int cli_first_word(const char *name) {
    return (int)strcspn(name, " ");
}

static bool same_group(const char *a, const char *b) {
    int length = cli_first_word(a);
    return cli_first_word(b) == length && strncmp(a, b, (size_t)length) == 0;
}

bool cli_begins_group(size_t i) {
    for (size_t j = 0; j < i; j++) {
        if (same_group(cli_commands[j]->name, cli_commands[i]->name)) {
            return false;
        }
    }
    return true;
}

bool cli_has_second_words(const char *name) {
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        if (same_group(name, cli_commands[i]->name) && strchr(cli_commands[i]->name, ' ') != NULL) {
            return true;
        }
    }
    return false;
}

void cli_print_second_words(const char *name) {
    bool first = true;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *other = cli_commands[i]->name;
        int length = cli_first_word(other);
        if (same_group(name, other) && other[length] == ' ') {
            printf("%s%s", first ? "" : " ", other + length + 1);
            first = false;
        }
    }
}

void cli_print_choices(const struct cli_option *option) {
    for (const char *c = option->value; *c != '\0'; c++) {
        putchar(*c == '|' ? ' ' : *c);
    }
}

void cli_print_hooks(void) {
    for (int kind = 0; kind < FATHOM_HOOK_COUNT; kind++) {
        bool layers = kind != FATHOM_HOOK_EMBED && kind != FATHOM_HOOK_FINAL_NORM && kind != FATHOM_HOOK_LOGITS;
        char alias[FATHOM_HOOK_NAME_SIZE];
        fathom_hook_alias(alias, (struct fathom_hook){(enum fathom_hook_kind)kind, -1});
        printf("%s%s%s", kind > 0 ? " " : "", alias, layers ? "." : "");
    }
}

void cli_print_quoted(const char *text, const char *escaped) {
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else {
            if (strchr(escaped, *text) != NULL) {
                putchar('\\');
            }
            putchar(*text);
        }
    }
}

static int run(struct cli_arguments *arguments) {
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", cli_complete_bash}, {"zsh", cli_complete_zsh}, {"fish", cli_complete_fish}};
    size_t n = 0;
    const char *shell = cli_operands(&n, arguments)[0];
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].print();
            return CLI_OK;
        }
    }
    return cli_usage(arguments, "bash, zsh or fish is expected, not \"%s\"", shell);
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
