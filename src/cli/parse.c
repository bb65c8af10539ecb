#include "parse.h"
#include "help.h"
#include <base/error.h>
#include <base/memory.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct value {
    const char *name;
    const char *text;
};

struct cli_arguments {
    const struct cli_command *command;
    char *const *words; /* as they were given */
    size_t n_words;
    struct value *values;
    size_t n_values;
    const char **operands;
    size_t n_operands;
    char **added; /* texts that no argument vector owns */
    size_t n_added;
    const char **all; /* what cli_all hands out: valid until its next call */
    size_t
        n_lent; /* of the last values, how many follow an option's first one: operands, where those would be missing */
};

const struct cli_option cli_common_options[] = {
    {"help", 'h', CLI_FLAG, NULL, "show this help", false, false},
    {"quiet", 'q', CLI_FLAG, NULL, "show no progress", false, false},
    {"no-gpu", 0, CLI_FLAG, NULL, "keep everything on the processor, also where the engine finds a GPU", false, false},
    CLI_OPTION_END,
};

const struct cli_command *cli_arguments_command(const struct cli_arguments *arguments) {
    return arguments->command;
}

char *const *cli_arguments_words(size_t *n, const struct cli_arguments *arguments) {
    *n = arguments->n_words;
    return arguments->words;
}

const struct cli_command *cli_find(int *used, int argc, char *const *argv) {
    const struct cli_command *best = NULL;
    *used = 0;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        int words = 0;
        while (*name != '\0' && words < argc) {
            size_t length = strcspn(name, " ");
            if (strlen(argv[words]) != length || strncmp(argv[words], name, length) != 0) {
                break;
            }
            name += length + (name[length] == ' ' ? 1 : 0);
            words++;
        }
        if (*name == '\0' && words > *used) {
            best = cli_commands[i];
            *used = words;
        }
    }
    return best;
}

static const struct cli_option *find_option(const struct cli_command *command, const char *name, size_t length,
                                            char letter) {
    const struct cli_option *tables[2] = {command->options, cli_common_options};
    for (int t = 0; t < 2; t++) {
        for (const struct cli_option *option = tables[t]; option != NULL && option->name != NULL; option++) {
            bool by_name = name != NULL && strlen(option->name) == length && strncmp(option->name, name, length) == 0;
            bool by_letter = name == NULL && letter != '\0' && option->letter == letter;
            if (by_name || by_letter) {
                return option;
            }
        }
    }
    return NULL;
}

const struct cli_option *cli_command_option(const struct cli_arguments *arguments, const char *name) {
    return find_option(arguments->command, name, strlen(name), '\0');
}

static bool is_choice(const char *choices, const char *text, size_t length) {
    for (const char *at = choices; *at != '\0';) {
        size_t part = strcspn(at, "|");
        if (part == length && strncmp(at, text, length) == 0) {
            return true;
        }
        at += part + (at[part] == '|' ? 1 : 0);
    }
    return false;
}

bool cli_is_choice(const struct cli_option *option, const char *text) {
    if (option->kind == CLI_CHOICE) {
        return is_choice(option->value, text, strlen(text));
    }
    for (const char *at = text;; at++) {
        size_t part = strcspn(at, ",");
        if (!is_choice(option->value, at, part)) {
            return false;
        }
        at += part;
        if (*at == '\0') {
            return true;
        }
    }
}

static bool read_integer(int64_t *out, const char *text) {
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return errno == 0 && end != text && *end == '\0';
}

static bool read_number(double *out, const char *text) {
    char *end = NULL;
    errno = 0;
    *out = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && isfinite(*out);
}

static int check_value(const struct cli_arguments *arguments, const struct cli_option *option, const char *text) {
    int64_t integer = 0;
    double number = 0;
    switch (option->kind) {
    case CLI_FILE:
    case CLI_OUTPUT:
    case CLI_FOLDER:
    case CLI_MODEL:
        if (*text == '\0') {
            return cli_usage(arguments, "--%s: %s is expected, not an empty name", option->name, option->value);
        }
        break;
    case CLI_INTEGER:
        if (!read_integer(&integer, text)) {
            return cli_usage(arguments, "--%s: an integer is expected, not \"%s\"", option->name, text);
        }
        break;
    case CLI_NUMBER:
        if (!read_number(&number, text)) {
            return cli_usage(arguments, "--%s: a number is expected, not \"%s\"", option->name, text);
        }
        break;
    case CLI_CHOICE:
    case CLI_CHOICES:
        if (!cli_is_choice(option, text)) {
            return cli_usage(arguments, "--%s: %s of %s is expected, not \"%s\"", option->name,
                             option->kind == CLI_CHOICE ? "one" : "one or more, with commas between,", option->value,
                             text);
        }
        break;
    default: break;
    }
    return CLI_OK;
}

static int add_value(struct cli_arguments *arguments, const struct cli_option *option, const char *text) {
    if (option->kind != CLI_FLAG) {
        int status = check_value(arguments, option, text);
        if (status != CLI_OK) {
            return status;
        }
        if (!option->repeats && cli_has(arguments, option->name)) {
            return cli_usage(arguments, "--%s is given twice", option->name);
        }
    }
    arguments->values[arguments->n_values++] = (struct value){option->name, text};
    return CLI_OK;
}

/* What is meant where there is no such option, if that can be guessed. */
static int unknown_option(const struct cli_arguments *arguments, const char *word) {
    const char *name = word + 1 + (word[1] == '-' ? 1 : 0);
    size_t length = strcspn(name, "=");
    const struct cli_option *option = find_option(arguments->command, name, length, '\0');
    const char *near = option != NULL ? option->name : cli_nearest_option(arguments->command, name, length);
    return near != NULL ? cli_usage(arguments, "there is no option %s (did you mean --%s?)", word, near)
                        : cli_usage(arguments, "there is no option %s", word);
}

/* Whether a value is rather the next option, because the value itself was forgotten. */
static bool is_option_of(const struct cli_command *command, const char *word) {
    return word[0] == '-' && word[1] == '-' && word[2] != '\0' &&
           find_option(command, word + 2, strcspn(word + 2, "="), '\0') != NULL;
}

/* One argument that begins with a dash, and the values that follow it; *i is moved past them. */
static int parse_option(struct cli_arguments *arguments, int *i, int argc, char *const *argv) {
    const char *word = argv[*i];
    const struct cli_option *option;
    const char *text = NULL;
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        option = find_option(arguments->command, word + 2, length, '\0');
        text = word[2 + length] == '=' ? word + 3 + length : NULL;
    } else {
        option = find_option(arguments->command, NULL, 0, word[1]);
        text = word[1] != '\0' && word[2] != '\0' ? word + 2 : NULL;
    }
    if (option == NULL || (word[1] != '-' && option->kind == CLI_FLAG && text != NULL)) {
        return unknown_option(arguments, word);
    }
    if (option->kind == CLI_FLAG) {
        return text != NULL ? cli_usage(arguments, "--%s takes no value", option->name)
                            : add_value(arguments, option, "");
    }
    if (text == NULL) {
        if (*i + 1 >= argc) {
            return cli_usage(arguments, "--%s: %s is expected after it", option->name, option->value);
        }
        text = argv[++*i];
        if (is_option_of(arguments->command, text)) {
            return cli_usage(arguments, "--%s: %s is expected after it, not the option %s (--%s=%s if that is meant)",
                             option->name, option->value, text, option->name, text);
        }
    }
    int status = add_value(arguments, option, text);
    while (status == CLI_OK && option->repeats && option->kind == CLI_FILE && *i + 1 < argc && argv[*i + 1][0] != '-') {
        status = add_value(arguments, option, argv[++*i]);
        arguments->n_lent++;
    }
    return status;
}

static bool looks_like_option(const char *word) {
    /* "-" is standard input, and "-3" or "-0.5" a number. */
    return word[0] == '-' && word[1] != '\0' && !((word[1] >= '0' && word[1] <= '9') || word[1] == '.');
}

/* "--neg FILE PROBE": what looked like one more file was the operand. */
static void take_back_operands(struct cli_arguments *arguments) {
    size_t least = (size_t)arguments->command->least;
    size_t missing = arguments->n_operands < least ? least - arguments->n_operands : 0;
    if (missing == 0 || missing > arguments->n_lent) {
        return;
    }
    arguments->n_values -= missing;
    for (size_t i = 0; i < missing; i++) {
        arguments->operands[arguments->n_operands++] = arguments->values[arguments->n_values + i].text;
    }
}

static int check_complete(const struct cli_arguments *arguments) {
    const struct cli_command *command = arguments->command;
    for (const struct cli_option *option = command->options; option != NULL && option->name != NULL; option++) {
        if (option->required && !cli_has(arguments, option->name)) {
            return cli_usage(arguments, "--%s %s is missing", option->name, option->value ? option->value : "");
        }
    }
    if (arguments->n_operands < (size_t)command->least) {
        return cli_usage(arguments, "%s is missing", command->operands);
    }
    if (command->most >= 0 && arguments->n_operands > (size_t)command->most) {
        return cli_usage(arguments, "\"%s\" is one argument too many", arguments->operands[command->most]);
    }
    return CLI_OK;
}

int cli_parse(struct cli_arguments **out, bool *help, const struct cli_command *command, int argc, char *const *argv) {
    struct cli_arguments *arguments = calloc(1, sizeof *arguments);
    size_t room = (size_t)argc + 1;
    int status = CLI_OK;
    bool only_operands = false;
    *help = false;
    if (arguments == NULL || (arguments->values = calloc(room, sizeof *arguments->values)) == NULL ||
        (arguments->operands = calloc(room, sizeof *arguments->operands)) == NULL ||
        (arguments->all = calloc(room, sizeof *arguments->all)) == NULL) {
        fputs("fathom: out of memory\n", stderr);
        cli_arguments_free(arguments);
        return CLI_LIMIT;
    }
    arguments->command = command;
    arguments->words = argv;
    arguments->n_words = (size_t)argc;
    for (int i = 0; i < argc && status == CLI_OK && !*help; i++) {
        arguments->n_lent = 0;
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && looks_like_option(argv[i])) {
            status = parse_option(arguments, &i, argc, argv);
            *help = status == CLI_OK && cli_has(arguments, "help");
        } else {
            arguments->operands[arguments->n_operands++] = argv[i];
        }
    }
    if (status == CLI_OK && !*help) {
        take_back_operands(arguments);
        status = check_complete(arguments);
    }
    if (status != CLI_OK) {
        cli_arguments_free(arguments);
        return status;
    }
    *out = arguments;
    return CLI_OK;
}

int cli_arguments_add(struct cli_arguments *arguments, const struct cli_option *option, const char *text) {
    const size_t n = arguments->n_values + 1;
    struct value *values = realloc(arguments->values, n * sizeof *values);
    if (values == NULL) return fathom__fail_memory(n * sizeof *values);
    arguments->values = values;
    const char **all = realloc(arguments->all, n * sizeof *all);
    if (all == NULL) return fathom__fail_memory(n * sizeof *all);
    arguments->all = all;
    char **added = realloc(arguments->added, (arguments->n_added + 1) * sizeof *added);
    if (added == NULL) return fathom__fail_memory((arguments->n_added + 1) * sizeof *added);
    arguments->added = added;
    const int status = fathom__copy_string(&added[arguments->n_added], text);
    if (status != FATHOM_OK) return status;
    arguments->values[arguments->n_values++] = (struct value){option->name, added[arguments->n_added++]};
    return FATHOM_OK;
}

void cli_arguments_free(struct cli_arguments *arguments) {
    if (arguments != NULL) {
        for (size_t i = 0; i < arguments->n_added; i++)
            fathom_free(arguments->added[i]);
        free(arguments->added);
        free(arguments->values);
        free(arguments->operands);
        free(arguments->all);
        free(arguments);
    }
}

bool cli_has(const struct cli_arguments *arguments, const char *name) {
    return cli_text(arguments, name, NULL) != NULL;
}

const char *cli_text(const struct cli_arguments *arguments, const char *name, const char *fallback) {
    for (size_t i = 0; i < arguments->n_values; i++) {
        if (strcmp(arguments->values[i].name, name) == 0) {
            return arguments->values[i].text;
        }
    }
    return fallback;
}

bool cli_integer(int64_t *out, const struct cli_arguments *arguments, const char *name, int64_t least, int64_t most,
                 int64_t fallback) {
    const char *text = cli_text(arguments, name, NULL);
    *out = fallback;
    if (text == NULL) {
        return true;
    }
    if (!read_integer(out, text) || *out < least || *out > most) {
        cli_usage(arguments, "--%s: %s lies outside %lld … %lld", name, text, (long long)least, (long long)most);
        return false;
    }
    return true;
}

bool cli_number(double *out, const struct cli_arguments *arguments, const char *name, double least, double most,
                double fallback) {
    const char *text = cli_text(arguments, name, NULL);
    *out = fallback;
    if (text == NULL) {
        return true;
    }
    if (!read_number(out, text) || *out < least || *out > most) {
        cli_usage(arguments, "--%s: %s lies outside %g … %g", name, text, least, most);
        return false;
    }
    return true;
}

const char *const *cli_all(size_t *n, const struct cli_arguments *arguments, const char *name) {
    *n = 0;
    for (size_t i = 0; i < arguments->n_values; i++) {
        if (strcmp(arguments->values[i].name, name) == 0) {
            arguments->all[(*n)++] = arguments->values[i].text;
        }
    }
    return arguments->all;
}

const char *const *cli_operands(size_t *n, const struct cli_arguments *arguments) {
    *n = arguments->n_operands;
    return arguments->operands;
}

int cli_usage(const struct cli_arguments *arguments, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "fathom %s: ", arguments->command->name);
    vfprintf(stderr, format, list);
    fprintf(stderr, "; see fathom %s --help\n", arguments->command->name);
    va_end(list);
    return CLI_USAGE;
}

int cli_fail(const struct cli_arguments *arguments, int status) {
    const char *name = arguments->command->name, *message = fathom_error_message();
    size_t length = strlen(name);
    /* Where nothing better is known, the library names its own part, which is often the command. */
    if (strncmp(message, name, length) == 0 && strncmp(message + length, ": ", 2) == 0) {
        message += length + 2;
    }
    cli_progress_end();
    if (!cli_pipe_closed()) {
        fprintf(stderr, "fathom %s: %s\n", name, message);
    }
    switch (status) {
    case FATHOM_OK: return CLI_OK;
    case FATHOM_ERROR_ARGUMENT: return CLI_USAGE;
    case FATHOM_ERROR_MEMORY:
    case FATHOM_ERROR_LIMIT: return CLI_LIMIT;
    case FATHOM_ERROR_ENGINE: return CLI_FAILURE;
    case FATHOM_ERROR_STOPPED: return CLI_STOPPED;
    default: return CLI_INPUT;
    }
}
