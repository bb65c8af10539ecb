/* Progress of long work, and the way to stop it. */
#ifndef FATHOM_PROGRESS_H
#define FATHOM_PROGRESS_H

#include <fathom/error.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_progress {
    const char *stage;       /* what is being done, such as "train"; borrowed for the call */
    uint64_t done, total;    /* in `unit`s; total 0 when it is not known */
    const char *unit;        /* "tokens", "bytes", … */
    double units_per_second; /* over the last few seconds */
    double seconds_left;     /* negative when it is not known */
    const char *note;        /* one short line of figures for people, or NULL */
};

/* Called a few times a second by the thread that does the work. A non-zero return asks the work to stop
 * cleanly: it saves what it promises to save and returns FATHOM_ERROR_STOPPED. */
typedef int (*fathom_progress_fn)(const struct fathom_progress *progress, void *payload);

#ifdef __cplusplus
}
#endif
#endif
