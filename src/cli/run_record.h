/* Writing a training run down in the ledger. Whatever goes wrong with the ledger is warned of once, and never ends the
 * run. */
#ifndef FATHOM_CLI_RUN_RECORD_H
#define FATHOM_CLI_RUN_RECORD_H

#include "train_request.h"
#include <fathom/ledger.h>

enum { RUN_RECORD_MESSAGE = 1024 };

struct run_record {
    fathom_ledger *ledger; /* NULL: nothing is written down (any more) */
    int64_t number;
    char *command;
    char *paths[TRAIN_DICTIONARIES];
    struct fathom_ledger_dictionary dictionaries[TRAIN_DICTIONARIES];
    size_t n;
    uint64_t seed;
    char trouble[RUN_RECORD_MESSAGE]; /* with the ledger; "": none */
};

/* Makes the request tell the record of what it does. --no-record leaves the run out. */
void run_record_open(struct run_record *record, struct train_request *request, const struct cli_arguments *arguments);
/* Sets a member of the run's notes; steals the value. */
void run_record_note(struct run_record *record, const char *key, json_t *value);
/* Closes the entry with the run's status (and the thread's message where it failed) and results. Keeps the thread's
 * message. */
void run_record_close(struct run_record *record, int status, const struct fathom_train_result *results);

#endif
