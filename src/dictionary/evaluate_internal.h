/* An evaluation under way: rows collected, controls fitted on one half, all measured on the other, then the losses. */
#ifndef FATHOM_DICTIONARY_EVALUATE_INTERNAL_H
#define FATHOM_DICTIONARY_EVALUATE_INTERNAL_H

#include <dictionary/reconstruct.h>
#include <fathom/session.h>

/* Rows of one model, in corpus order. */
struct fathom__collected {
    float *rows; /* [wanted, d] */
    int32_t *tokens;
    uint32_t *sequences; /* the number of each row's sequence */
    size_t n, wanted, left_out;
};

/* How far a stage of long work is. All zero before the first one. */
struct fathom__stage {
    const char *name; /* a literal */
    uint64_t first;
    double started, last, told;
};
/* Tells it a few times a second. */
int fathom__stage_tell(struct fathom__stage *stage, const struct fathom_evaluate_options *options, const char *name,
                       const char *unit, uint64_t done, uint64_t total);

struct fathom__evaluating {
    const struct fathom_evaluate_options *options;
    const fathom_dictionary *dictionary;
    const fathom_model *model; /* the one that is run: the dictionary's own, or the one with shuffled weights */
    struct fathom_hook hook;
    size_t d;
    uint32_t context;
    fathom_session *session;
    fathom_corpus *corpus;
    /* tokens of the document now cut into sequences */
    int32_t *document;
    size_t n_document, at;
    uint32_t sequence;
    struct fathom__collected collected;
    struct fathom__reconstructor reconstructor;
    struct fathom__stage stage;
};

/* The next sequence of at most `context` tokens; *n 0 at the corpus' end. */
int fathom__evaluate_sequence(const int32_t **out, size_t *n, struct fathom__evaluating *evaluating);

/* Fills in what rows f32 [n, d] and their reconstructions tell. */
int fathom__evaluate_quality(struct fathom_reconstruction_quality *out, const float *rows, const float *guesses,
                             size_t n, size_t d);

/* Figures of features by the activations of n rows, whose sequence numbers ascend. features [n_features]: cosines too,
 * where wanted. */
int fathom__evaluate_densities(struct fathom_evaluation *out, struct fathom_feature_quality *features,
                               const struct fathom_sparse *sparse, const uint32_t *sequences, uint32_t n_features);

/* Nearest decoder and encoder rows of every feature, norms and biases, into features [n_features] and the means of
 * `out`. */
int fathom__evaluate_cosines(struct fathom_evaluation *out, struct fathom_feature_quality *features,
                             const fathom_dictionary *dictionary, uint32_t n_threads);

/* Runs the rest of the corpus with reconstructions in place. */
int fathom__evaluate_losses(struct fathom_evaluation *out, struct fathom__evaluating *evaluating);

#endif
