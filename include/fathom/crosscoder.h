/* Crosscoders: whose their features are, and what they are worth at each source.
 *
 * A crosscoder (trainer.h) reads and reconstructs the rows of several sources at once: hook points of one model, or of
 * two. With d_s a feature's part of the decoder row at source s, times the source's scale:
 *
 *   share_s = |d_s| / Σ_t |d_t|                    of two sources the relative decoder norm (Lindsey et al., October 2024)
 *
 * A share near 1 is said to mean that the other sources have no such feature. It may also be an artefact of training: the
 * other source's part has shrunk although its rows hold the direction, or a second feature stands for them there. Latent
 * scaling (Minder et al. 2025) tells: with f the feature's activations and h its home, the source of its largest share,
 *
 *   β_s = Σ f <d_h, y_s> / Σ f² |d_h|²             the factor by which f d_h explains y_s best, in closed form
 *   ratio = max over the other sources of β_s / β_h
 *
 * for y_s = what the other features leave of the source's rows (x_s - x^_s + f d_s), whose ratio is near 0 for a feature
 * that is its home's own and near 1 for one that has shrunk, and for y_s = the source's reconstruction less b_dec,
 * whose ratio is near 0 as well unless other features stand for this one. Features with equal shares are the control:
 * their ratios are near 1.
 */
#ifndef FATHOM_CROSSCODER_H
#define FATHOM_CROSSCODER_H

#include <fathom/evaluate.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A feature is its home's alone by its share, and is shared by two sources, beyond and between these. */
#define FATHOM_CROSSCODER_ALONE 0.9
#define FATHOM_CROSSCODER_SHARED 0.6 /* of two sources: the largest share at most */
/* Minder et al.: below these ratios it really is its home's alone. */
#define FATHOM_CROSSCODER_ERROR_RATIO 0.2
#define FATHOM_CROSSCODER_RECONSTRUCTION_RATIO 0.5

struct fathom_crosscoder_feature {
    uint64_t rows; /* in which it is active */
    uint32_t home; /* the source of its largest share */
    float share;   /* that share */
    float cosine;  /* of d_h and the largest other d_s; NAN where widths differ */
    /* NAN for features that are never active, and where no other source has rows of the same width */
    double error_ratio, reconstruction_ratio;
};

/* Shares of all features, f32 [n_features, n_sources], and of each its home, share and cosine (the rest is 0 or NAN).
 * Errors: ARGUMENT (no crosscoder), MEMORY. */
FATHOM_API int fathom_crosscoder_shares(struct fathom_crosscoder_feature *features, float *shares,
                                        const fathom_dictionary *dictionary);

/* The same, and the ratios by rows f32 [n, d_in] that the dictionary covers. Errors: as above, NUMERIC. */
FATHOM_API int fathom_crosscoder_features(struct fathom_crosscoder_feature *features, float *shares,
                                          const fathom_dictionary *dictionary, const float *rows, size_t n);

/* What a source's rows are worth reconstructed. */
struct fathom_crosscoder_source {
    /* `delta_loss` is of the source's own model with the reconstruction in this one source's place */
    struct fathom_reconstruction_quality quality[FATHOM_RECONSTRUCTIONS];
    double loss; /* the model's own, nats a token */
};

struct fathom_crosscoder_evaluation {
    uint32_t n_sources, n_features;
    struct fathom_crosscoder_source *sources; /* [n_sources] */
    struct fathom_crosscoder_feature *features;
    float *shares;          /* [n_features, n_sources] */
    double l0;              /* by the run-time reading */
    double silent_fraction; /* features that no row of those measured activates */
    uint64_t rows, rows_left_out, loss_tokens;
};

/* Runs text through the model or models, pairs the rows of the sources token by token, fits the controls of evaluate.h
 * (to rows whose sources are scaled as in training) to one half and measures the other. model_b: NULL where all sources
 * are of one model. *out is new (fathom_crosscoder_evaluation_free). Errors: ARGUMENT, MISMATCH (other models, other
 * tokens), those of model, corpus and session; LIMIT (too few rows); STOPPED. */
FATHOM_API int fathom_crosscoder_evaluate(struct fathom_crosscoder_evaluation **out,
                                          const fathom_dictionary *dictionary, const fathom_model *model,
                                          const fathom_model *model_b, const struct fathom_evaluate_options *options);
FATHOM_API void fathom_crosscoder_evaluation_free(struct fathom_crosscoder_evaluation *evaluation);

#ifdef __cplusplus
}
#endif
#endif
