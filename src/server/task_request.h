/* What a request for a long piece of work becomes: a command line whose every part was checked. */
#ifndef FATHOM_SERVER_TASK_REQUEST_H
#define FATHOM_SERVER_TASK_REQUEST_H

#include <jansson.h>
#include <stdbool.h>

/* Where things lie, and what is served. */
struct fathom__task_place {
    const char *folder;     /* the user's data folder: corpora/, dictionaries/, probes/ and jobs/ lie in it */
    const char *model;      /* the served model's path */
    const char *dictionary; /* the served dictionary's path, or NULL */
};

#define FATHOM__TASK_CORPORA "corpora"
#define FATHOM__TASK_DICTIONARIES "dictionaries"
#define FATHOM__TASK_PROBES "probes"
#define FATHOM__TASK_COMMANDS "train|index|eval|probe train|probe eval|watch|doctor"

/* The arguments (a list of texts, without the program) of {"command": one of FATHOM__TASK_COMMANDS, "corpus": [NAME…], "repeat": BOOL,
 * "dictionary": NAME, "probe": NAME, "output": NAME, "labelled": BOOL, "development": NAME, "options": {…}}. A NAME is that of a file in
 * corpora/ (for probes JSONL with "text" and "label"), or of a dictionary in dictionaries/ or a probe in probes/ without its ending; it
 * has letters, digits, "_", "-" and ".", and does not begin with ".". Options are those of the command that name no file, by their names,
 * with numbers, texts and true for their values. train and probe train need "output", which must be new; index and eval work on the
 * served dictionary where none is named. watch scans a corpus for the options' "feature" (of the served dictionary where none is
 * named), a probe, or both; with "labelled" alerts are counted right and wrong, and "development" names labelled texts that choose
 * the levels. doctor takes options alone. Errors: FORMAT, NOT_FOUND (says what there is). */
int fathom__task_arguments(json_t **out, const json_t *request, const struct fathom__task_place *place);
/* Adds what makes an interrupted command go on, where it does not do so by itself. */
int fathom__task_resume_arguments(json_t *arguments, const char *command);
/* The kind of file that a command makes; NULL: none. */
const char *fathom__task_makes(const char *command);
/* The path of a file by its kind and name (new; out NULL: is it there?). Errors: FORMAT (no name), NOT_FOUND. */
int fathom__task_file(char **out, const struct fathom__task_place *place, const char *kind, const char *name);
/* Names of the files of a kind (corpora, dictionaries or probes), sorted; empty where there is no such folder. */
json_t *fathom__task_files(const struct fathom__task_place *place, const char *kind);

#endif
