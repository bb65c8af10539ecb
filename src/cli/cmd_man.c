#include "cli.h"
#include "parse.h"
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { UTF8_FIRST = 0xc0, UTF8_THIRD = 0xe0, UTF8_FOURTH = 0xf0, UTF8_BITS = 6, UTF8_MASK = 0x3f };

/* A character beyond ASCII as every roff reads it; returns its length. The table's texts are UTF-8. */
static size_t print_character(FILE *stream, const char *text) {
    const unsigned char first = (unsigned char)*text;
    const size_t length = first >= UTF8_FOURTH ? 4 : first >= UTF8_THIRD ? 3 : 2;
    unsigned code = first & (UTF8_MASK >> (length - 1));
    for (size_t i = 1; i < length; i++)
        code = code << UTF8_BITS | ((unsigned char)text[i] & UTF8_MASK);
    fprintf(stream, "\\[u%04X]", code);
    return length;
}

/* Roff takes dots and quotes at the start of a line, backslashes and hyphens for itself. */
static void print_roff(FILE *stream, const char *text) {
    bool start = true;
    while (*text != '\0') {
        if (start && (*text == '.' || *text == '\'')) {
            fputs("\\&", stream);
        }
        start = *text == '\n';
        if ((unsigned char)*text >= UTF8_FIRST) {
            text += print_character(stream, text);
            continue;
        }
        if (*text == '\\') {
            fputs("\\e", stream);
        } else if (*text == '-') {
            fputs("\\-", stream);
        } else {
            fputc(*text, stream);
        }
        text++;
    }
}

static void print_option(FILE *stream, const struct cli_option *option) {
    fputs(".TP\n", stream);
    if (option->letter) {
        fprintf(stream, "\\fB\\-%c\\fR, ", option->letter);
    }
    fputs("\\fB\\-\\-", stream);
    print_roff(stream, option->name);
    fputs("\\fR", stream);
    if (option->kind != CLI_FLAG) {
        fputs(" \\fI", stream);
        print_roff(stream, option->value);
        fputs("\\fR", stream);
    }
    fputc('\n', stream);
    print_roff(stream, option->help);
    fputs(".\n", stream);
}

static void title(FILE *stream, const char *name) {
    fputs(".TH \"", stream);
    for (; *name != '\0'; name++) {
        fputc(*name == ' ' ? '-' : toupper((unsigned char)*name), stream);
    }
    fprintf(stream, "\" 1 \"\" \"fathom %s\"\n.SH NAME\n", fathom_version());
}

static void print_command(FILE *stream, const struct cli_command *command) {
    char name[80];
    snprintf(name, sizeof name, "fathom %s", command->name);
    title(stream, name);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == ' ' ? '-' : *c;
    }
    print_roff(stream, name);
    fputs(" \\- ", stream);
    print_roff(stream, command->summary);
    fprintf(stream, "\n.SH SYNOPSIS\n.B fathom %s\n", command->name);
    for (const struct cli_option *option = command->options; option != NULL && option->name != NULL; option++) {
        if (option->required) {
            fputs("\\-\\-", stream);
            print_roff(stream, option->name);
            fputs(" \\fI", stream);
            print_roff(stream, option->value);
            fputs("\\fR ", stream);
        }
    }
    fputs("[\\fIoptions\\fR] ", stream);
    print_roff(stream, command->operands);
    fputs("\n.SH DESCRIPTION\n", stream);
    print_roff(stream, command->description ? command->description : command->summary);
    fputs("\n.SH OPTIONS\n", stream);
    for (const struct cli_option *option = command->options; option != NULL && option->name != NULL; option++) {
        print_option(stream, option);
    }
    for (const struct cli_option *option = cli_common_options; option->name != NULL; option++) {
        print_option(stream, option);
    }
    if (command->examples != NULL) {
        fputs(".SH EXAMPLES\n.nf\n", stream);
        print_roff(stream, command->examples);
        fputs("\n.fi\n", stream);
    }
    fputs(".SH SEE ALSO\n.BR fathom (1)\n", stream);
}

static void print_program(FILE *stream) {
    title(stream, "fathom");
    fputs("fathom \\- a language model's inside, visible and steerable\n.SH SYNOPSIS\n.B fathom\n\\fICOMMAND\\fR "
          "[\\fIoptions\\fR]\n.SH COMMANDS\n",
          stream);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        fprintf(stream, ".TP\n.B %s\n", cli_commands[i]->name);
        print_roff(stream, cli_commands[i]->summary);
        fputs(".\n", stream);
    }
    fputs(".SH EXIT STATUS\n0 done; 1 done and the answer is no; 2 usage; 3 bad input; 4 a limit; 5 failure; 130 "
          "interrupted.\n",
          stream);
}

static int page_path(char **out, const char *folder, const struct cli_command *command) {
    int status = fathom__format(out, "%s/fathom%s%s.1", folder, command ? "-" : "", command ? command->name : "");
    for (char *c = status ? NULL : *out + strlen(folder); c != NULL && *c != '\0'; c++) {
        *c = *c == ' ' ? '-' : *c;
    }
    return status;
}

static int write_page(const char *folder, const struct cli_command *command) {
    char *path = NULL, *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (stream == NULL) {
        return fathom__fail_memory(0);
    }
    if (command != NULL) {
        print_command(stream, command);
    } else {
        print_program(stream);
    }
    int status = fclose(stream) != 0 ? fathom__fail_memory(length) : page_path(&path, folder, command);
    if (status == FATHOM_OK) {
        status = fathom__file_write(path, text, length);
    }
    free(text);
    fathom_free(path);
    return status;
}

static int run(struct cli_arguments *arguments) {
    size_t n = 0;
    const char *const *operands = cli_operands(&n, arguments);
    int status = write_page(operands[0], NULL);
    for (size_t i = 0; cli_commands[i] != NULL && status == FATHOM_OK; i++) {
        status = write_page(operands[0], cli_commands[i]);
    }
    return status == FATHOM_OK ? CLI_OK : cli_fail(arguments, status);
}

static const struct cli_option options[] = {CLI_OPTION_END};

const struct cli_command cli_command_man = {
    .name = "man",
    .summary = "write the man pages into a folder",
    .operands = "FOLDER",
    .least = 1,
    .most = 1,
    .description = "Writes fathom.1 and one page a command, from the same table that --help prints.",
    .examples = "fathom man /usr/local/share/man/man1",
    .options = options,
    .run = run,
};
