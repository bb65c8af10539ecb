#include "help.h"
#include "parse.h"
#include <errno.h>
#include <locale.h>
#include <string.h>

static int unknown_command(const char *word) {
    const char *near = cli_nearest_command(word);
    fprintf(stderr, "fathom: there is no command \"%s\"", word);
    if (near != NULL) {
        fprintf(stderr, "; did you mean \"%s\"?", near);
    }
    fputs("\nSee: fathom --help\n", stderr);
    return CLI_USAGE;
}

static int run_command(const struct cli_command *command, int argc, char *const *argv) {
    struct cli_arguments *arguments = NULL;
    bool help = false;
    int status = cli_parse(&arguments, &help, command, argc, argv);
    if (status != CLI_OK) {
        return status;
    }
    if (help) {
        cli_help_command(stdout, command);
    } else {
        cli_output_start(cli_has(arguments, "quiet"));
        status = command->run(arguments);
    }
    cli_arguments_free(arguments);
    return status;
}

int main(int argc, char **argv) {
    int used = 0;
    int status;
    const struct cli_command *command;
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        cli_help_program(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        if (argc > 2 && (command = cli_find(&used, argc - 2, argv + 2)) != NULL) {
            cli_help_command(stdout, command);
        } else {
            cli_help_program(stdout);
        }
        status = CLI_OK;
    } else if (strcmp(argv[1], "--version") == 0) {
        printf("fathom %s\n", fathom_version());
        status = CLI_OK;
    } else if ((command = cli_find(&used, argc - 1, argv + 1)) != NULL) {
        status = run_command(command, argc - 1 - used, argv + 1 + used);
    } else {
        status = unknown_command(argv[1]);
    }
    /* A full disk or a closed pipe must not pass for success. */
    if (fflush(stdout) != 0 && status == CLI_OK) {
        fprintf(stderr, "fathom: standard output: %s\n", strerror(errno));
        status = CLI_FAILURE;
    }
    return status;
}
