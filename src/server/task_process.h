/* A task's process. */
#ifndef FATHOM_SERVER_TASK_PROCESS_H
#define FATHOM_SERVER_TASK_PROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* Starts `program` with a list of texts as arguments, in a process group of its own; what it prints goes to output.json in
 * the folder, what it says to the end of log.txt, and it reads nothing. Errors: IO, MEMORY. */
int fathom__process_start(pid_t *out, const char *program, const json_t *arguments, const char *folder);

struct fathom__process_end {
    bool exited;
    int value; /* what it exited with, or the signal that ended it */
};
/* Waits for its end; its number stays its own until it is forgotten. */
struct fathom__process_end fathom__process_wait(pid_t process);
void fathom__process_forget(pid_t process);

#endif
