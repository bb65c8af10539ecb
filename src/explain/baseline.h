/* One run with nothing taken away: what every later run is compared with. */
#ifndef FATHOM_EXPLAIN_BASELINE_H
#define FATHOM_EXPLAIN_BASELINE_H

#include "variants.h"
#include <fathom/dictionary.h>

struct fathom__baseline {
    size_t d_model, n_layers, length; /* length: rows run */
    float *embedding;                 /* [length, d_model] */
    float *residual;                  /* [n_layers, d_model]: resid_post at the last prompt token */
    float *attention;                 /* [n_layers, d_model]: what attention adds there */
    float *mlp;                       /* [n_layers, d_model]: what the MLP adds there */
    double log_probability, first_probability;
    uint32_t first_rank;

    struct fathom_hook hook; /* the dictionary's; the rest is unset without one */
    size_t width;
    float *rows;           /* [length, width] */
    float *reconstruction; /* [length, width] */
    bool *covered;         /* [length] */
    int32_t *positions;    /* [length] */
    struct fathom_sparse features;
};

int fathom__baseline_run(struct fathom__baseline *out, fathom_session *session, const fathom_dictionary *dictionary,
                         const struct fathom__question *question);
void fathom__baseline_free(struct fathom__baseline *baseline);

#endif
