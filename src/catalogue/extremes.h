/* The largest and smallest products of every row of one matrix with all rows of another: output effects of features,
 * and their nearest features. */
#ifndef FATHOM_CATALOGUE_EXTREMES_H
#define FATHOM_CATALOGUE_EXTREMES_H

#include <fathom/progress.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fathom__extreme {
    uint32_t index; /* UINT32_MAX: there are fewer */
    float value;
};

struct fathom__extremes_task {
    const float *x; /* [n_x, d] */
    const float *y; /* [n_y, d] */
    size_t n_x, n_y, d;
    size_t k;        /* at most FATHOM__EXTREMES_MOST */
    bool not_itself; /* x is y: a row's product with itself does not count */
    uint32_t n_threads;
    const char *stage;
    fathom_progress_fn progress;
    void *payload;
};
#define FATHOM__EXTREMES_MOST 12

/* largest and smallest: [n_x, k], the most extreme first; smallest may be NULL. Candidates are found by bf16 products,
 * their values and order by f32 ones summed in double. Errors: MEMORY, ENGINE, STOPPED. */
int fathom__extremes(struct fathom__extreme *largest, struct fathom__extreme *smallest,
                     const struct fathom__extremes_task *task);

#endif
