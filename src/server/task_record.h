/* What is written down of a task, in its folder. */
#ifndef FATHOM_SERVER_TASK_RECORD_H
#define FATHOM_SERVER_TASK_RECORD_H

#include "server/task_process.h"
#include <stdint.h>

#define FATHOM__TASK_FOLDER "jobs"
#define FATHOM__TASK_OUTPUT "output.json"
#define FATHOM__TASK_LOG "log.txt"
#define FATHOM__TASK_RUNNING "running"
#define FATHOM__TASK_STOPPED "stopped"

int fathom__task_folder(char **out, const char *data, int64_t number); /* new */
/* The folder that files of a kind are made in. */
int fathom__task_make_folder(const char *data, const char *kind);

/* {"job", "command", "arguments", "state", "began", "output"?, "ended"?, "exit"?}. Errors: NOT_FOUND. */
int fathom__task_record_read(json_t **out, const char *data, int64_t number);
int fathom__task_record_write(const json_t *record, const char *data, int64_t number);
int fathom__task_record_remove(const char *data, int64_t number);
const char *fathom__task_state(const json_t *record);
/* Sets the state by how the process ended: done, stopped or failed. */
void fathom__task_record_end(json_t *record, const struct fathom__process_end *end);
/* Adds what the log says last: "progress", {"line", "share"} of a running task, "message" of one that failed; with `whole`
 * also the log's end ("log") and what was printed ("result"). */
void fathom__task_record_progress(json_t *record, const char *data, int64_t number, bool whole);

#endif
