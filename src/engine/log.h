/* The engine's own messages: never printed, kept per thread until an error message wants them. */
#ifndef FATHOM_ENGINE_LOG_H
#define FATHOM_ENGINE_LOG_H

/* Starts the engine once in the process, with its messages caught. Safe to call from any thread, as often as wanted. */
void fathom__engine_start(void);

/* Forgets what the engine said on this thread: call it before an engine call whose failure will be reported. */
void fathom__engine_log_clear(void);

/* The first error that the engine reported on this thread since the last clear, one line; "" when it said nothing. */
const char *fathom__engine_log_text(void);

/* fathom__fail, with ": " and the engine's own words at the end where there are any. */
int fathom__engine_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
