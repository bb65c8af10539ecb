/* What the commands about labelled texts share. */
#ifndef FATHOM_CLI_LABELLED_H
#define FATHOM_CLI_LABELLED_H

#include "cli.h"
#include <fathom/detect.h>

#define CLI_OPTIONS_LABELLED                                                                                           \
    {"pos", 0, CLI_FILE, "FILE", "positive texts: one a line, or JSONL with \"text\"", true, false},                   \
        {"neg", 0, CLI_FILE, "FILE", "negative texts", true, false}, {                                                 \
        "labelled", 0, CLI_FILE, "FILE", "JSONL with \"text\" and \"label\" (true or false)", true, false              \
    }

/* Appends what --pos, --neg and --labelled name. A fathom_status. */
int labelled_load(struct fathom_texts *texts, const struct cli_arguments *arguments);

/* Appends the texts of a file, each of which carries a label itself. FORMAT, naming the file and the text, where one
 * does not. */
int labelled_append(struct fathom_texts *texts, const char *path);
/* The same of all files that an option names. */
int labelled_append_all(struct fathom_texts *texts, const struct cli_arguments *arguments, const char *option);

json_t *counts_json(const struct fathom_counts *counts);
void counts_print(const struct fathom_counts *counts);

/* A number, or null where it is none. */
json_t *number_json(double value);

#endif
