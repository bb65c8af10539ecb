/* What a cross-layer transcoder (trainer.h) is worth at each layer that it writes, beside controls.
 *
 * Rows of a corpus are collected at all of its hook points. One half of them fits the control of token means, the other
 * half is measured. Nothing is spliced into the model.
 */
#ifndef FATHOM_LAYERS_H
#define FATHOM_LAYERS_H

#include <fathom/evaluate.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What stands for a layer's rows. */
enum fathom_layers_guess {
    FATHOM_LAYERS_WHOLE, /* what all features write to it, read as at run time */
    /* what its own layer's features write: the rest is what features of earlier layers are worth there */
    FATHOM_LAYERS_OWN,
    FATHOM_LAYERS_TOKEN_MEAN, /* the mean row of the token's id; the mean of all rows for ids not seen */
    FATHOM_LAYERS_GUESSES
};
FATHOM_API const char *fathom_layers_guess_name(enum fathom_layers_guess guess);

struct fathom_layer_evaluation {
    struct fathom_reconstruction_quality quality[FATHOM_LAYERS_GUESSES]; /* without losses */
    double l0;              /* mean active features of this layer a row, by the run-time reading */
    double silent_fraction; /* of its features, those that no row measured activates */
};

struct fathom_layers_evaluation {
    uint32_t n_layers;
    struct fathom_layer_evaluation *layers; /* [n_layers] */
    /* 1 - Σ|y^ - y|² / Σ|y - mean|² over all layers together, each scaled as in training */
    double fve[FATHOM_LAYERS_GUESSES];
    double l0, silent_fraction;   /* of all layers' features */
    uint64_t rows, rows_left_out; /* measured; not covered by the dictionary */
};

/* Of the options, those of the corpus, `tokens`, `context`, `n_threads` and `progress` are used. *out is new
 * (fathom_layers_evaluation_free). Memory: the rows collected, d_in + d_out numbers each. Errors: ARGUMENT (no
 * cross-layer transcoder), MISMATCH (another model, other widths), those of model, corpus and harvest; LIMIT (too few
 * rows). */
FATHOM_API int fathom_layers_evaluate(struct fathom_layers_evaluation **out, const fathom_dictionary *dictionary,
                                      const fathom_model *model, const struct fathom_evaluate_options *options);
FATHOM_API void fathom_layers_evaluation_free(struct fathom_layers_evaluation *evaluation);

#ifdef __cplusplus
}
#endif
#endif
