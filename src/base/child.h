/* Work in a child process: what is endless, takes all memory or aborts there has not done so in the caller.
 *
 * The child is forked, does its work and leaves with _exit. It never returns into the caller's code and runs none of
 * its exit handlers. POSIX lets the child of a process with several threads call async-signal-safe functions only; the
 * C libraries make their allocators usable there, and what could still block (a lock that another thread held at the
 * fork) ends at the time limit. It has the calling thread's stack and no other thread.
 */
#ifndef FATHOM_BASE_CHILD_H
#define FATHOM_BASE_CHILD_H

#include <base/buffer.h>
#include <stdbool.h>

struct fathom__child_limits {
    double seconds;             /* of the clock: then it is killed */
    unsigned processor_seconds; /* 0: no limit */
    size_t memory;              /* bytes beyond what the caller has mapped, where the system tells that; 0: no limit */
};

struct fathom__child_end {
    bool in_time; /* false: one of its time limits ended it */
    int signal;   /* 0, or the signal that ended it */
    int value;    /* what `work` returned, 0 to 255 */
};

/* Runs work(payload, words) in a child whose standard streams are closed to the world; what it writes to the descriptor
 * `words` goes to *said, which is empty and has its own limit. What becomes of the child is in *end, and no error.
 * Errors: IO (it cannot be started; `name` stands in the message), LIMIT (it said more than *said may hold). */
int fathom__child_run(struct fathom__child_end *end, struct fathom__buffer *said, const char *name,
                      const struct fathom__child_limits *limits, int (*work)(void *payload, int words), void *payload);

/* This process' environment, for a program that it starts. */
char **fathom__environment(void);

/* pipe2(ends, O_CLOEXEC), which not every system has. */
int fathom__pipe(int ends[2]);

/* Writes all bytes, as far as anyone listens. For the child. */
void fathom__child_say(int words, const char *bytes, size_t length);

#endif
