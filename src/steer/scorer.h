/* How likely given answers are under one setting of a steering after another, many settings side by side. */
#ifndef FATHOM_STEER_SCORER_H
#define FATHOM_STEER_SCORER_H

#include "steer/pairs.h"

typedef struct fathom__scorer fathom__scorer;

struct fathom__scoring {
    const struct fathom_steer_choosing *choosing; /* dictionary, measures, mode, rows, threads, original, progress */
    const struct fathom__pairs *pairs;
};

/* Mean over the answers of a kind of the mean log probability of their tokens. */
struct fathom__scored {
    double means[FATHOM__PAIR_KINDS];
};

/* Everything is borrowed until it is closed. Runs a derived copy of the model unless told not to; each setting is run
 * by one thread, so that how many there are changes no figure. */
int fathom__scorer_open(fathom__scorer **out, const fathom_model *model, const struct fathom__scoring *scoring);
void fathom__scorer_close(fathom__scorer *scorer);

/* Settings that run at once. */
size_t fathom__scorer_width(const fathom__scorer *scorer);
/* Scores up to that many settings; a set without features is the model without steering. */
int fathom__scorer_run(struct fathom__scored *out, fathom__scorer *scorer, const struct fathom_steer_set *sets,
                       size_t n);

#endif
