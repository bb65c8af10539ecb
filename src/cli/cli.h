/* The command line: one table of commands, from which parsing, help, man pages and shell completion all come.
 *
 * A command file holds the option table and the printing; the work is in the library. A command returns an exit
 * status of enum cli_exit; `return cli_fail(args)` prints the library's message and picks the status.
 */
#ifndef FATHOM_CLI_H
#define FATHOM_CLI_H

#include <fathom/error.h>
#include <fathom/model.h>
#include <fathom/progress.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses, by class of error. */
enum cli_exit {
    CLI_OK = 0,
    CLI_NEGATIVE =
        1, /* the work was done and its answer is no: a check failed, an alert was raised with --fail-on-alert */
    CLI_USAGE = 2,     /* wrong command, option or argument */
    CLI_INPUT = 3,     /* a file is missing, unreadable, of the wrong form, or of another model */
    CLI_LIMIT = 4,     /* memory, context, disk or another limit */
    CLI_FAILURE = 5,   /* the engine or the program failed */
    CLI_STOPPED = 130, /* interrupted; what could be saved was saved */
    CLI_PIPE = 141     /* nobody reads the output any more: said by the status alone, as shells do */
};

/* What an option's value is: decides parsing, checking and completion. */
enum cli_kind {
    CLI_FLAG,
    CLI_TEXT,
    CLI_INTEGER,
    CLI_NUMBER,
    CLI_FILE,
    CLI_OUTPUT, /* a file that the command writes: whether it can be written is tried before the work begins */
    CLI_FOLDER,
    CLI_MODEL,
    CLI_HOOK, /* names of hook points: a text, completed by what names begin with */
    CLI_CHOICE,
    CLI_CHOICES /* some of the choices, with commas between */
};

struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum cli_kind kind;
    /* how the value is called in help, such as "N"; for CLI_CHOICE and CLI_CHOICES the choices as "a|b|c"; NULL for flags */
    const char *value;
    const char *help; /* one sentence without a full stop; a default is named at its end as "(32)" */
    /* may be given several times; a CLI_FILE that repeats takes all following arguments up to the next option */
    bool repeats;
    bool required;
};

struct cli_arguments;

struct cli_command {
    const char *name;                 /* "train"; a subcommand is "probe train" */
    const char *summary;              /* one line for the list */
    const char *operands;             /* such as "DICT [WORDS…]", or "" */
    int least, most;                  /* number of operands; most -1: any */
    const char *description;          /* paragraphs for help and the man page */
    const char *examples;             /* lines "command # what it does", or NULL */
    const struct cli_option *options; /* ended by a NULL name */
    int (*run)(struct cli_arguments *arguments);
};

/* The table, ended by NULL (commands.c). */
extern const struct cli_command *const cli_commands[];

/* Options that several commands share: put CLI_OPTION_MODEL, … into their tables. */
#define CLI_OPTION_MODEL                                                                                               \
    { "model", 'm', CLI_MODEL, "MODEL", "a GGUF file, or a default model's name: smollm2, gemma3", false, false }
#define CLI_OPTION_ADAPTER                                                                                             \
    {                                                                                                                  \
        "adapter", 0, CLI_FILE, "FILE[=SCALE]", "a LoRA adapter in GGUF, with its scale (1); may be repeated", true,   \
            false                                                                                                      \
    }
#define CLI_OPTION_GPU_LAYERS                                                                                          \
    { "gpu-layers", 0, CLI_INTEGER, "N", "layers kept on the GPU; -1 for all (0)", false, false }
#define CLI_OPTION_DICTIONARY                                                                                          \
    { "dict", 'd', CLI_FILE, "DICT", "a dictionary file (the model's default dictionary)", false, false }
#define CLI_OPTION_CATALOGUE                                                                                           \
    { "catalogue", 0, CLI_FILE, "FILE", "a catalogue file (the model's default catalogue)", false, false }
#define CLI_OPTION_JSON                                                                                                \
    { "json", 0, CLI_FLAG, NULL, "print the result as JSON", false, false }
#define CLI_OPTION_THREADS                                                                                             \
    { "threads", 't', CLI_INTEGER, "N", "threads to use (all cores)", false, false }
#define CLI_OPTION_SEED                                                                                                \
    { "seed", 0, CLI_INTEGER, "N", "seed of everything random (1)", false, false }
#define CLI_OPTION_END                                                                                                 \
    { NULL, 0, CLI_FLAG, NULL, NULL, false, false }

/* Values. Names are the long ones. Integers and numbers were checked to be such before run() is called. */
bool cli_has(const struct cli_arguments *arguments, const char *name);
const char *cli_text(const struct cli_arguments *arguments, const char *name, const char *fallback);
/* False (after printing a usage error) when the value lies outside [least, most]. */
bool cli_integer(int64_t *out, const struct cli_arguments *arguments, const char *name, int64_t least, int64_t most,
                 int64_t fallback);
bool cli_number(double *out, const struct cli_arguments *arguments, const char *name, double least, double most,
                double fallback);
/* All values of an option that repeats, in order; *n 0 when there are none. Valid until the next cli_all: copy the
 * pointers when two lists are needed. */
const char *const *cli_all(size_t *n, const struct cli_arguments *arguments, const char *name);
const char *const *cli_operands(size_t *n, const struct cli_arguments *arguments);

/* Errors. */
int cli_usage(const struct cli_arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* prints, returns CLI_USAGE */
int cli_fail(
    const struct cli_arguments *arguments,
    int status); /* prints "fathom NAME: message" of the library's last error; returns the exit status of its class */

/* Output. */
bool cli_json(const struct cli_arguments *arguments); /* --json was given */
bool cli_colour(void); /* standard output is a terminal that shows colours (NO_COLOR is honoured) */
int cli_print_json(
    json_t *value); /* prints indented JSON and a newline; steals the reference; cli_output_status when that fails */
/* Prints text with a background whose strength is level (0 … 1); plain where there are no colours. Control characters
 * are made visible. */
/* Flushes standard output; CLI_OK, or a status after printing why it cannot be written. */
int cli_output_status(void);
void cli_print_level(FILE *stream, const char *bytes, size_t length, double level);
void cli_print_bold(FILE *stream, const char *text);
void cli_print_dim(FILE *stream, const char *text);

/* A progress callback for library calls: one line on standard error when that is a terminal, every few seconds a line
 * otherwise; asks to stop after Ctrl-C, SIGTERM, a lost terminal or a closed pipe. payload is ignored. --quiet
 * (every command has it) silences it. */
int cli_progress(const struct fathom_progress *progress, void *payload);
/* Ends a line of progress that the terminal still shows: call it before printing to standard output by hand. cli_fail,
 * cli_print_json and cli_print_… do. */
void cli_progress_end(void);
bool cli_interrupted(void);

/* Opens the model named by --model (default: smollm2), with --adapter and --gpu-layers where the command has them,
 * printing what went wrong; exit status in *status. NULL on failure. */
fathom_model *cli_open_model(int *status, const struct cli_arguments *arguments);
/* The same for a path or name that was given otherwise. */
fathom_model *cli_open_model_at(int *status, const struct cli_arguments *arguments, const char *path);

#endif
