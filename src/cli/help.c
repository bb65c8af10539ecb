#include "help.h"
#include "parse.h"
#include <string.h>

enum { HELP_COLUMN = 26, HELP_WIDTH = 100, NEAR_ENOUGH = 3, LONGEST_NAME = 40 };

/* Prints words of text from column `indent`, wrapped; a newline in the text is kept. */
static void print_wrapped(FILE *stream, const char *text, int indent, int column) {
    while (*text != '\0') {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + (int)word + 1 > HELP_WIDTH) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
        }
        if (word > 0) {
            bool first = column == indent;
            fprintf(stream, "%s%.*s", first ? "" : " ", (int)word, text);
            column += (int)word + (first ? 0 : 1);
        }
        text += word;
        if (*text == '\n') {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
        }
        text += *text != '\0';
    }
    fputc('\n', stream);
}

/* Characters of a UTF-8 text, all of which are one column wide here. */
static int columns(const char *text) {
    int n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static void print_option(FILE *stream, const struct cli_option *option) {
    char left[120];
    snprintf(left, sizeof left, "  %c%c%s--%s%s%s%s", option->letter ? '-' : ' ', option->letter ? option->letter : ' ',
             option->letter ? ", " : "  ", option->name, option->kind == CLI_FLAG ? "" : " ",
             option->kind == CLI_FLAG ? "" : option->value, option->repeats ? "…" : "");
    int length = columns(left);
    fputs(left, stream);
    if (length >= HELP_COLUMN) {
        fputc('\n', stream);
        length = 0;
    }
    fprintf(stream, "%*s", HELP_COLUMN - length, "");
    print_wrapped(stream, option->help, HELP_COLUMN, HELP_COLUMN);
}

void cli_help_command(FILE *stream, const struct cli_command *command) {
    fprintf(stream, "fathom %s: %s\n\nUsage: fathom %s", command->name, command->summary, command->name);
    for (const struct cli_option *option = command->options; option != NULL && option->name != NULL; option++) {
        if (option->required) {
            fprintf(stream, " --%s %s", option->name, option->value);
        }
    }
    fprintf(stream, " [options]%s%s\n", command->operands[0] ? " " : "", command->operands);
    if (command->description != NULL) {
        fputc('\n', stream);
        print_wrapped(stream, command->description, 0, 0);
    }
    fputs("\nOptions:\n", stream);
    for (const struct cli_option *option = command->options; option != NULL && option->name != NULL; option++) {
        print_option(stream, option);
    }
    for (const struct cli_option *option = cli_common_options; option->name != NULL; option++) {
        print_option(stream, option);
    }
    if (command->examples != NULL) {
        fprintf(stream, "\nExamples:\n  ");
        for (const char *at = command->examples; *at != '\0'; at++) {
            fputc(*at, stream);
            if (*at == '\n' && at[1] != '\0') {
                fputs("  ", stream);
            }
        }
        fputc('\n', stream);
    }
}

void cli_help_program(FILE *stream) {
    fputs("fathom: a language model's inside, visible and steerable\n\nUsage: fathom COMMAND [options]\n\nCommands:\n",
          stream);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        fprintf(stream, "  %-*s%s\n", HELP_COLUMN - 2, cli_commands[i]->name, cli_commands[i]->summary);
    }
    fputs("\nfathom COMMAND --help tells more; fathom --version prints the version.\n"
          "Exit status: 0 done, 1 done and the answer is no, 2 usage, 3 bad input, 4 a limit, 5 failure, 130 "
          "interrupted.\n",
          stream);
}

/* Levenshtein's distance, for names short enough to matter. */
static size_t distance(const char *a, size_t n, const char *b) {
    size_t row[LONGEST_NAME + 1];
    size_t m = strlen(b);
    if (n > LONGEST_NAME || m > LONGEST_NAME) {
        return LONGEST_NAME;
    }
    for (size_t j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[m];
}

const char *cli_nearest_command(const char *word) {
    const char *best = NULL;
    size_t least = NEAR_ENOUGH;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        size_t d = distance(word, strlen(word), cli_commands[i]->name);
        if (d < least) {
            least = d;
            best = cli_commands[i]->name;
        }
    }
    return best;
}

const char *cli_nearest_option(const struct cli_command *command, const char *name, size_t length) {
    const struct cli_option *tables[2] = {command->options, cli_common_options};
    const char *best = NULL;
    size_t least = NEAR_ENOUGH < length ? NEAR_ENOUGH : length;
    for (int t = 0; t < 2; t++) {
        for (const struct cli_option *option = tables[t]; option != NULL && option->name != NULL; option++) {
            size_t d = distance(name, length, option->name);
            if (d < least) {
                least = d;
                best = option->name;
            }
        }
    }
    return best;
}

bool cli_is_group(FILE *stream, const char *word) {
    size_t length = strlen(word);
    bool found = false;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        if (strncmp(name, word, length) == 0 && name[length] == ' ') {
            if (stream != NULL) {
                fprintf(stream, "%s%s", found ? ", " : "", name + length + 1);
            }
            found = true;
        }
    }
    return found;
}
