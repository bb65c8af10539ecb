#include "help.h"
#include "parse.h"
#include <base/file.h>
#include <locale.h>
#include <string.h>

static int unknown_command(const char *word) {
    const char *near = cli_nearest_command(word);
    if (cli_is_group(NULL, word)) {
        fprintf(stderr, "fathom %s: one of these is expected after it: ", word);
        cli_is_group(stderr, word);
    } else {
        fprintf(stderr, "fathom: there is no command \"%s\"", word);
        if (near != NULL) {
            fprintf(stderr, " (did you mean \"%s\"?)", near);
        }
    }
    fputs("; see fathom --help\n", stderr);
    return CLI_USAGE;
}

/* Hours of work must not end at a file that cannot be written. */
static int check_outputs(const struct cli_arguments *arguments, const struct cli_command *command) {
    int code = FATHOM_OK;
    for (const struct cli_option *option = command->options; code == FATHOM_OK && option->name != NULL; option++) {
        const char *path = option->kind == CLI_OUTPUT ? cli_text(arguments, option->name, NULL) : NULL;
        if (path != NULL) code = fathom__writer_probe(path);
    }
    return code ? cli_fail(arguments, code) : CLI_OK;
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
        fathom_gpu_allow(!cli_has(arguments, "no-gpu"));
        status = check_outputs(arguments, command);
        if (status == CLI_OK) {
            status = command->run(arguments);
        }
        cli_progress_end();
    }
    cli_arguments_free(arguments);
    return status;
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static int help(int argc, char **argv) {
    int used = 0;
    const struct cli_command *command = cli_find(&used, argc, argv);
    if (command != NULL) {
        cli_help_command(stdout, command);
    } else if (argc > 0 && !cli_is_group(NULL, argv[0])) {
        return unknown_command(argv[0]);
    } else {
        cli_help_program(stdout);
    }
    return CLI_OK;
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
    if (is_help(argv[1])) {
        status = help(argc - 2, argv + 2);
    } else if (strcmp(argv[1], "--version") == 0) {
        printf("fathom %s\n", fathom_version());
        status = CLI_OK;
    } else if ((command = cli_find(&used, argc - 1, argv + 1)) != NULL) {
        status = run_command(command, argc - 1 - used, argv + 1 + used);
    } else if (argc > 2 && is_help(argv[2])) {
        status = help(argc - 2, argv + 1);
    } else {
        status = unknown_command(argv[1]);
    }
    if (status == CLI_OK) {
        status = cli_output_status();
    }
    return cli_pipe_closed() ? CLI_PIPE : status;
}
