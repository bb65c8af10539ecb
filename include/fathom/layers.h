/* What a transcoder, or a cross-layer transcoder (trainer.h), is worth at each layer that it writes, beside controls.
 *
 * Rows of a corpus are collected at all of its hook points. One half of them fits the controls, the other half is
 * measured. Then more of the corpus is run on the model as it is served, with what it writes replaced at all layers at
 * once. Features there are read off the model that runs with the replacements: what reaches a later layer are the
 * earlier layers' replacements, and errors add up, as they do not where each layer is measured by itself.
 * Rows that the dictionary does not cover are neither measured nor replaced.
 *
 * Sources: Dunefsky et al. 2024 (transcoders), Ameisen et al. 2025 (cross-layer transcoders and replacement models).
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
    FATHOM_LAYERS_MEAN,       /* the mean row: mean ablation */
    FATHOM_LAYERS_ZERO,       /* zeros: zero ablation */
    FATHOM_LAYERS_GUESSES
};
FATHOM_API const char *fathom_layers_guess_name(enum fathom_layers_guess guess);

struct fathom_layer_evaluation {
    struct fathom_reconstruction_quality quality[FATHOM_LAYERS_GUESSES]; /* without losses */
    double l0;              /* mean active features of this layer a row, by the run-time reading */
    double silent_fraction; /* of its features, those that no row measured activates */
};

/* With a guess at all layers at once: as in struct fathom_reconstruction_quality. */
struct fathom_layers_loss {
    double delta_loss, delta_standard_error, divergence, divergence_standard_error;
    double recovered_mean, recovered_zero;
};

struct fathom_layers_evaluation {
    uint32_t n_layers;                      /* 1 of a transcoder */
    struct fathom_layer_evaluation *layers; /* [n_layers] */
    /* 1 - Σ|y^ - y|² / Σ|y - mean|² over all layers together, each scaled as in training */
    double fve[FATHOM_LAYERS_GUESSES];
    double l0, silent_fraction;   /* of all layers' features */
    uint64_t rows, rows_left_out; /* measured; not covered by the dictionary */
    struct fathom_layers_loss losses[FATHOM_LAYERS_GUESSES];
    double loss;          /* the model's own next-token loss, nats a token */
    uint64_t loss_tokens; /* predicted, for the losses */
    /* NULL, or why nothing can be spliced in, in static storage; losses are then 0 */
    const char *not_spliced;
};

/* Of the options, those of the corpus, `tokens` (0: 16384), `loss_tokens` (0: 2048), `context`, `n_threads` and
 * `progress` are used. *out is new (fathom_layers_evaluation_free). Memory: the rows collected, d_in + d_out numbers
 * each, and the logits of a sequence once more. Errors: ARGUMENT (no transcoder), MISMATCH (another model, other
 * widths), those of model, corpus, harvest and session; LIMIT (too few rows, or no text left for the losses). */
FATHOM_API int fathom_layers_evaluate(struct fathom_layers_evaluation **out, const fathom_dictionary *dictionary,
                                      const fathom_model *model, const struct fathom_evaluate_options *options);
FATHOM_API void fathom_layers_evaluation_free(struct fathom_layers_evaluation *evaluation);

#ifdef __cplusplus
}
#endif
#endif
