/* What a request for a long piece of work becomes: a command line whose every part was checked. */
#ifndef FATHOM_SERVER_TASK_REQUEST_H
#define FATHOM_SERVER_TASK_REQUEST_H

#include <jansson.h>
#include <stdbool.h>

/* Where things lie, and what is served. */
struct fathom__task_place {
    const char *folder;     /* the user's data folder: corpora/, dictionaries/ and jobs/ lie in it */
    const char *model;      /* the served model's path */
    const char *dictionary; /* the served dictionary's path, or NULL */
};

#define FATHOM__TASK_CORPORA "corpora"
#define FATHOM__TASK_DICTIONARIES "dictionaries"
#define FATHOM__TASK_COMMANDS "train|index|eval"

/* The arguments (a list of texts, without the program) of {"command": "train"|"index"|"eval", "corpus": [NAME…], "repeat": BOOL,
 * "dictionary": NAME, "output": NAME, "options": {…}}. A NAME is that of a file in corpora/, or of a dictionary in
 * dictionaries/ without its ending; it has letters, digits, "_", "-" and ".", and does not begin with ".". Options are those
 * of the command that name no file, by their names, with numbers, texts and true for their values. train needs "output",
 * which must be new; index and eval work on the served dictionary where none is named. Errors: FORMAT, NOT_FOUND (says what
 * there is). */
int fathom__task_arguments(json_t **out, const json_t *request, const struct fathom__task_place *place);
/* Adds what makes an interrupted command go on, where it does not do so by itself. */
int fathom__task_resume_arguments(json_t *arguments, const char *command);
/* Names of the files of a kind ("corpora" or "dictionaries"), sorted; empty where there is no such folder. */
json_t *fathom__task_files(const struct fathom__task_place *place, const char *kind);

#endif
