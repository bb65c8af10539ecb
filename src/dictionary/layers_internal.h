/* The evaluation of a transcoder, or of a cross-layer one, under way. */
#ifndef FATHOM_DICTIONARY_LAYERS_INTERNAL_H
#define FATHOM_DICTIONARY_LAYERS_INTERNAL_H

#include <dictionary/dictionary_internal.h>
#include <dictionary/evaluate_internal.h>
#include <fathom/layers.h>

struct fathom__layering {
    const struct fathom_evaluate_options *options;
    const fathom_dictionary *dictionary;
    const struct fathom_dictionary_info *info;
    const fathom_model *model;
    /* those of the dictionary; of a transcoder the one that its own hooks are */
    const struct fathom_dictionary_layer *layers;
    struct fathom_dictionary_layer own;
    size_t n_layers, layer_features, width_in, width_out;
    fathom_corpus *corpus;
    float *inputs, *targets; /* collected, layers one after another: [wanted, d_in], [wanted, d_out] */
    int32_t *tokens;
    size_t n, wanted, left_out;
    /* fitted to the first half */
    float *mean;       /* [d_out] */
    int32_t *known;    /* [n_known]: token ids, ascending */
    float *known_rows; /* [n_known, d_out]: their mean rows */
    size_t n_known;
};

/* The mean row of a token. */
const float *fathom__layering_token_row(const struct fathom__layering *layering, int32_t token);

/* layers_losses.c: the rest of the corpus with guesses in place. */
int fathom__layering_losses(struct fathom_layers_evaluation *out, struct fathom__layering *layering);

#endif
