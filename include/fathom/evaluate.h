/* What a dictionary is worth, beside controls that make the figures mean something.
 *
 * Rows of a corpus are collected at the dictionary's hook point. One half of them fits the controls, the other half is
 * measured. Then part of the corpus is run again with the rows replaced by their reconstruction, and what that costs in
 * next-token loss is reported in nats, beside the cost of replacing them by the controls' reconstructions.
 */
#ifndef FATHOM_EVALUATE_H
#define FATHOM_EVALUATE_H

#include <fathom/corpus.h>
#include <fathom/dictionary.h>
#include <fathom/progress.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fathom_reconstruction {
    FATHOM_RECONSTRUCT_DICTIONARY, /* features read as at run time: by threshold where there is one */
    /* features chosen as in training (TopK: k a row); equal to the former for the other architectures */
    FATHOM_RECONSTRUCT_TRAINED,
    /* random unit decoder rows, the encoder its transpose, k a row, best common factor: same shape, nothing learned */
    FATHOM_RECONSTRUCT_UNTRAINED,
    FATHOM_RECONSTRUCT_PCA,        /* the k principal components */
    FATHOM_RECONSTRUCT_TOKEN_MEAN, /* the mean row of the token's id; the mean of all rows for ids not seen */
    FATHOM_RECONSTRUCT_MEAN,       /* the mean row: ablation */
    FATHOM_RECONSTRUCTIONS
};
FATHOM_API const char *fathom_reconstruction_name(enum fathom_reconstruction reconstruction);

struct fathom_reconstruction_quality {
    double fve;        /* 1 - Σ|x - x^|² / Σ|x - mean|² */
    double median_fve; /* the same for each dimension alone; the median of them */
    double cosine;     /* mean cosine of x^ - mean and x - mean */
    double delta_loss; /* next-token loss with the reconstruction spliced in, less the model's own: nats a token */
    double delta_standard_error;
};

struct fathom_evaluation {
    struct fathom_reconstruction_quality quality[FATHOM_RECONSTRUCTIONS];
    double l0;              /* mean active features a row, by the run-time reading */
    double l0_trained;      /* chosen as in training */
    double silent_fraction; /* features that no row of those measured activates */
    double dense_fraction;  /* features that more than a tenth of the rows activate */
    double loss;            /* the model's own next-token loss, nats a token */
    uint64_t rows;          /* measured */
    uint64_t rows_left_out; /* not covered by the dictionary: first positions, outlier norms */
    uint64_t loss_tokens;   /* predicted, for the losses */
};

struct fathom_evaluate_options {
    const struct fathom_corpus_source *sources;
    size_t n_sources;
    uint64_t seed;
    uint64_t tokens;      /* collected, half of them to fit the controls; 0: 65536 */
    uint64_t loss_tokens; /* run again for the losses; 0: 8192 */
    uint32_t context;     /* 0: 256 */
    uint32_t n_threads;
    fathom_progress_fn progress;
    void *payload;
};

/* Errors: MISMATCH (another model), those of model, corpus and session; LIMIT (too few rows); STOPPED. */
FATHOM_API int fathom_evaluate(struct fathom_evaluation *out, const fathom_dictionary *dictionary,
                               const fathom_model *model, const struct fathom_evaluate_options *options);

#ifdef __cplusplus
}
#endif
#endif
