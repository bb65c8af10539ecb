/* The threads that compute a session's graphs beside the one that decodes.
 *
 * Left to itself the engine starts them anew for every graph, and for every part of one where hooks cut it: here they
 * wait for the next. */
#ifndef FATHOM_ENGINE_WORKERS_H
#define FATHOM_ENGINE_WORKERS_H

#include <ggml.h>
#include <stdint.h>

struct ggml_threadpool;

/* Errors: ENGINE. *out is NULL where one thread does everything, or the engine has no processor backend that takes them. */
int fathom__workers_open(struct ggml_threadpool **out, uint32_t n_threads);
/* After the context that it was attached to is freed. NULL is nothing. */
void fathom__workers_close(struct ggml_threadpool *workers);

#endif
