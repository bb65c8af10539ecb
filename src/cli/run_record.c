#include "run_record.h"
#include "command_line.h"
#include <base/error.h>
#include <base/json.h>
#include <base/memory.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { MOST_FOLDER = 4096 };

/* What the ledger's trouble is, is said at the end: where the run fails too, one line says why. */
static void give_up(struct run_record *record) {
    snprintf(record->trouble, sizeof record->trouble, "%s", fathom_error_message());
    fathom_ledger_close(record->ledger);
    record->ledger = NULL;
}

static void on_start(const struct fathom_train_start *start, void *payload) {
    struct run_record *record = payload;
    if (!record->ledger) return;
    const struct fathom_ledger_run run = {.command = record->command,
                                          .model_name = start->model_name,
                                          .model_identity = start->model_identity,
                                          .corpus_hash = start->corpus_hash,
                                          .seed = record->seed,
                                          .tokens = start->tokens,
                                          .steps = start->total_steps,
                                          .dictionaries = record->dictionaries,
                                          .n_dictionaries = record->n};
    if (fathom_ledger_begin(&record->number, record->ledger, &run, start->resumed, start->resumed_step))
        give_up(record);
}

static void on_evaluation(const struct fathom_train_point *point, void *payload) {
    struct run_record *record = payload;
    if (!record->ledger || !record->number) return;
    const struct fathom_ledger_point written = {point->dictionary, point->step, point->tokens,        point->loss,
                                                point->fve,        point->l0,   point->dead_fraction, point->seconds};
    if (fathom_ledger_add(record->ledger, record->number, &written)) give_up(record);
}

static int open_ledger(fathom_ledger **out) {
    char *path = NULL;
    int status = fathom_ledger_path(&path);
    if (!status) status = fathom_ledger_open(out, path, true);
    fathom_free(path);
    return status;
}

static int list(struct run_record *record, const struct train_request *request) {
    char folder[MOST_FOLDER];
    if (!getcwd(folder, sizeof folder)) return fathom__fail_errno(".", "name");
    for (size_t i = 0; i < request->n_dictionaries; i++) {
        const struct fathom_train_dictionary *from = &request->dictionaries[i];
        const int status = from->path[0] == '/' ? fathom__copy_string(&record->paths[i], from->path)
                                                : fathom__format(&record->paths[i], "%s/%s", folder, from->path);
        if (status) return status;
        record->dictionaries[i] = (struct fathom_ledger_dictionary){
            .path = record->paths[i],
            .hook = from->hook,
            .hook_out = from->hook_out,
            .architecture = fathom_trainer_architecture_name(from->options.architecture),
            .n_features = from->options.n_features,
            .k = from->options.k,
            .seed = from->options.seed};
    }
    record->n = request->n_dictionaries;
    return 0;
}

void run_record_open(struct run_record *record, struct train_request *request, const struct cli_arguments *arguments) {
    *record = (struct run_record){.seed = request->run.seed};
    if (cli_has(arguments, "no-record")) return;
    int status = command_line(&record->command, arguments);
    if (!status) status = list(record, request);
    if (!status) status = open_ledger(&record->ledger);
    if (status) {
        give_up(record);
        return;
    }
    request->run.started = on_start;
    request->run.evaluated = on_evaluation;
    request->run.payload = record;
}

void run_record_note(struct run_record *record, const char *key, json_t *value) {
    char *text = NULL;
    if (record->ledger && record->number) {
        int status = fathom__json_text(&text, value, false);
        if (!status) status = fathom_ledger_note(record->ledger, record->number, key, text);
        if (status) give_up(record);
    }
    fathom_free(text);
    json_decref(value);
}

void run_record_close(struct run_record *record, int status, const struct fathom_train_result *results) {
    char message[RUN_RECORD_MESSAGE];
    snprintf(message, sizeof message, "%s", status ? fathom_error_message() : "");
    double seconds = 0;
    for (size_t i = 0; i < record->n && !status; i++) {
        struct fathom_ledger_dictionary *d = &record->dictionaries[i];
        d->finished = true;
        d->fve = results[i].fve;
        d->l0 = results[i].l0;
        d->dead_fraction = results[i].dead_fraction;
        d->threshold = results[i].threshold;
        d->steps = results[i].steps;
        d->tokens = results[i].rows;
        seconds = fmax(seconds, results[i].seconds);
    }
    const struct fathom_ledger_run run = {.state = !status                          ? "done"
                                                   : status == FATHOM_ERROR_STOPPED ? "stopped"
                                                                                    : "failed",
                                          .message = message,
                                          .seconds = seconds,
                                          .dictionaries = record->dictionaries,
                                          .n_dictionaries = record->n};
    if (record->ledger && record->number && fathom_ledger_end(record->ledger, record->number, &run)) give_up(record);
    if (record->trouble[0] && (!status || status == FATHOM_ERROR_STOPPED)) {
        cli_progress_end();
        fprintf(stderr, "fathom: this run is not written down: %s\n", record->trouble);
    }
    fathom_ledger_close(record->ledger);
    fathom_free(record->command);
    for (size_t i = 0; i < TRAIN_DICTIONARIES; i++)
        fathom_free(record->paths[i]);
    if (status) fathom__fail(status, "%s", message);
}
