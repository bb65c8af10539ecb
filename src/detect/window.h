/* A document's level out of its tokens' levels, as they come. */
#ifndef FATHOM_DETECT_WINDOW_H
#define FATHOM_DETECT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fathom__window {
    uint32_t size;  /* 1: the token itself; FATHOM_WINDOW_DOCUMENT: everything */
    double *last;   /* ring of the last `size` levels (NULL for the two special sizes) */
    uint64_t n;     /* levels that were numbers so far */
    double sum;     /* of all of them */
    double highest; /* largest mean of a full window; NaN before the first */
};

/* size 0 counts as 1. */
int fathom__window_start(struct fathom__window *out, uint32_t size);
void fathom__window_free(struct fathom__window *window);
void fathom__window_clear(struct fathom__window *window);

/* Takes a level and gives the mean of the window that ends with it; until `size` levels came, the mean of those there
 * are. NaN is passed over and gives NaN. */
double fathom__window_add(struct fathom__window *window, double level);

/* Whether `size` levels came: one strong first token is not yet a strong window. */
bool fathom__window_full(const struct fathom__window *window);

/* The document's level: the largest mean of a full window, or the mean of all where none was filled. NaN when there was
 * no level. */
double fathom__window_document(const struct fathom__window *window);

#endif
