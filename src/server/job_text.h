/* The text of an answer as its tokens come: what may be shown, and where a stop text ends it. */
#ifndef FATHOM_SERVER_JOB_TEXT_H
#define FATHOM_SERVER_JOB_TEXT_H

#include "base/buffer.h"
#include <stdbool.h>

struct fathom__job_text {
    struct fathom__buffer bytes;
    const char *const *stops; /* borrowed, none of them empty */
    size_t n_stops, longest_stop;
    size_t cut; /* where a stop text begins; SIZE_MAX: none came */
};

void fathom__job_text_start(struct fathom__job_text *text, const char *const *stops, size_t n_stops, size_t limit);
/* Adds a token's bytes; *stopped when a stop text is complete. Errors: LIMIT, MEMORY. */
int fathom__job_text_add(bool *stopped, struct fathom__job_text *text, const char *bytes, size_t length);
/* How much of the first `known` bytes can be shown, of which `shown` already are: whole characters, nothing that may
 * become a stop text. Once `finished` nothing is held back but what the stop text cuts away. */
size_t fathom__job_text_showable(const struct fathom__job_text *text, size_t shown, size_t known, bool finished);
void fathom__job_text_free(struct fathom__job_text *text);

#endif
