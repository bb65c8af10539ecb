/* Long work beside the server: training, indexing, scans, evaluations and the model's check, each a process of the command with a folder of its own.
 *
 * A task's folder jobs/N holds task.json (what it is and what became of it), output.json (what it printed) and log.txt (its
 * progress and errors). One runs at a time. Tasks outlive the server: one that was running when it ended is "stopped", and can
 * go on. Any number of threads. */
#ifndef FATHOM_SERVER_TASKS_H
#define FATHOM_SERVER_TASKS_H

#include "server/task_request.h"
#include <stdint.h>

typedef struct fathom__tasks fathom__tasks;

/* program: the command's own file, or NULL: tasks are refused. Errors: IO, MEMORY. */
int fathom__tasks_open(fathom__tasks **out, const char *program, const struct fathom__task_place *place);
/* Asks the running one to stop, which saves what it can, and waits for it; after `seconds` it is killed. */
void fathom__tasks_close(fathom__tasks *tasks, double seconds);

/* Begins one by a request. Errors: those of fathom__task_arguments; UNSUPPORTED (no program); LIMIT (another runs); IO. */
int fathom__tasks_begin(json_t **out, fathom__tasks *tasks, const json_t *request);
/* Lets one that ended go on or begin again. Errors: NOT_FOUND, LIMIT, UNSUPPORTED, IO. */
int fathom__tasks_resume(json_t **out, fathom__tasks *tasks, int64_t number);
/* {"jobs", "corpora", "dictionaries", "probes"}: the latest task first. */
int fathom__tasks_list(json_t **out, fathom__tasks *tasks);
/* One, with the end of its log and what it printed. Errors: NOT_FOUND. */
int fathom__tasks_read(json_t **out, fathom__tasks *tasks, int64_t number);
/* Where the files lie. Borrowed. */
const struct fathom__task_place *fathom__tasks_place(const fathom__tasks *tasks);
/* Asks a running one to stop; forgets one that has ended, with its folder, though not with what it made. *out: as it was.
 * Errors: NOT_FOUND, IO. */
int fathom__tasks_delete(json_t **out, fathom__tasks *tasks, int64_t number);

#endif
