/* A fixed team of threads for data-parallel loops. */
#ifndef FATHOM_BASE_THREAD_H
#define FATHOM_BASE_THREAD_H

#include <stddef.h>
#include <stdint.h>

typedef struct fathom__team fathom__team;

uint32_t fathom__cores(void);                                  /* usable by this process, at least 1 */
int fathom__team_open(fathom__team **out, uint32_t n_threads); /* the caller counts as one of them; 0: all cores */
void fathom__team_close(fathom__team *team);
uint32_t fathom__team_size(const fathom__team *team);
/* Runs fn(worker, n_workers, payload) once on every thread of the team and waits for all. */
typedef void (*fathom__team_fn)(uint32_t worker, uint32_t n_workers, void *payload);
void fathom__team_run(fathom__team *team, fathom__team_fn fn, void *payload);
/* The part [*first, *last) of n items that belongs to a worker, in multiples of `grain`. */
void fathom__team_share(size_t *first, size_t *last, size_t n, size_t grain, uint32_t worker, uint32_t n_workers);

/* Seconds of a monotonic clock. */
double fathom__seconds(void);

#endif
