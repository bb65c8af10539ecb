/* What a dictionary is worth, beside controls that make the figures mean something.
 *
 * Rows of a corpus are collected at the dictionary's hook point. One half of them fits the controls, the other half is
 * measured. Then part of the corpus is run again with the rows replaced by their reconstruction, on the model as it is
 * served, and what that changes in the next token's distribution is reported in nats, beside the controls.
 *
 * A high figure alone says little: random directions, the token's identity or a few principal components reach high
 * ones too, and against ablation to zero nearly everything recovers nearly all of the loss. Read each figure
 * beside its controls.
 *
 * Sources: Karvonen et al. 2025 (SAEBench) for the figures named after it, Rajamanoharan et al. 2024 (Gated SAEs) for
 * the relative reconstruction bias.
 */
#ifndef FATHOM_EVALUATE_H
#define FATHOM_EVALUATE_H

#include <fathom/corpus.h>
#include <fathom/dictionary.h>
#include <fathom/progress.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What takes a row's place. Controls have k active components a row: the dictionary's k, or, where it has none, its L0
 * rounded. */
enum fathom_reconstruction {
    FATHOM_RECONSTRUCT_DICTIONARY, /* features read as at run time: by threshold where there is one */
    /* features chosen as in training (TopK: k a row); equal to the former for the other architectures */
    FATHOM_RECONSTRUCT_TRAINED,
    /* another dictionary that the caller names, such as one trained with a frozen random decoder; read as at run time */
    FATHOM_RECONSTRUCT_CONTROL,
    /* random unit decoder rows, the encoder its transpose, k a row, best common factor: same shape, nothing learned */
    FATHOM_RECONSTRUCT_UNTRAINED,
    FATHOM_RECONSTRUCT_PCA,        /* the k principal components */
    FATHOM_RECONSTRUCT_NEURONS,    /* the k coordinates of the row furthest from their means; the others' means */
    FATHOM_RECONSTRUCT_TOKEN_MEAN, /* the mean row of the token's id; the mean of all rows for ids not seen */
    FATHOM_RECONSTRUCT_MEAN,       /* the mean row: mean ablation */
    FATHOM_RECONSTRUCT_ZERO, /* zeros: zero ablation; in the model of every row, first positions too, as SAEBench has it */
    FATHOM_RECONSTRUCTIONS
};
FATHOM_API const char *fathom_reconstruction_name(enum fathom_reconstruction reconstruction);

/* Means are over rows, Σ over rows and dimensions. Of a row x, its reconstruction x^ and the mean row μ of those
 * measured. First positions and rows of outlier norm, which the dictionary does not cover, are left out. */
struct fathom_reconstruction_quality {
    bool measured;        /* false: no control was named; the rest is then zero */
    double fve;           /* 1 - Σ|x - x^|² / Σ|x - μ|² */
    double median_fve;    /* the same for each dimension alone; the median of them */
    double cosine;        /* mean cosine of x^ - μ and x - μ */
    double raw_cosine;    /* mean cosine of x^ and x: SAEBench's cossim */
    double length_ratio;  /* mean |x^| / |x|: SAEBench's l2_ratio */
    double relative_bias; /* Σ|x^|² / Σ x·x^: 1 where nothing shrinks; not a number where x^ is zero */
    double mean_length;   /* mean |x^| */
    double squared_error; /* mean |x - x^|² */
    /* SAEBench 0.6's explained_variance as its code has it, 1 - mean |x - x^|² / (S - (S / d)²) with S = mean |x|²,
     * which is not a variance; and its explained_variance_legacy, the mean of 1 - |x - x^|² / |x - μ|². */
    double saebench_variance, saebench_variance_legacy;
    /* Next-token loss with the reconstruction spliced in, less the model's own, and the Kullback-Leibler divergence from
     * the model's own distribution: nats a token, with standard errors. */
    double delta_loss, delta_standard_error;
    double divergence, divergence_standard_error;
    /* 1 - delta_loss / that of an ablation. Against the mean row it says something; zeros break most models, and
     * everything else then looks well: SAEBench's ce_loss_score. */
    double recovered_mean, recovered_zero;
    double divergence_recovered; /* the same of the divergence against zeros: SAEBench's kl_div_score */
};

/* Histogram of densities (the share of measured rows that activate a feature): bin 0 counts silent features, bin i > 0
 * those with log10 density in [(i - 1) / 2 - 5, i / 2 - 5), sparser ones in bin 1, a density of 1 in the last. */
#define FATHOM_DENSITY_BINS 11

/* A feature by itself. Cosines are of decoder rows and of encoder rows; 0 where a row is zero. */
struct fathom_feature_quality {
    double density;
    double rows_a_sequence;   /* mean rows that activate it, over the sequences where any does; 0: silent */
    uint32_t neighbour;       /* the feature whose decoder row is nearest; the feature itself where there is no other */
    float max_decoder_cosine; /* its cosine */
    float max_encoder_cosine; /* of the nearest encoder row */
    float encoder_decoder_cosine; /* of its own two rows; 0 where their widths differ */
    float encoder_norm, encoder_bias;
};

struct fathom_evaluation {
    struct fathom_reconstruction_quality quality[FATHOM_RECONSTRUCTIONS];
    /* The same on the rows of the model with shuffled weights, with controls fitted to those rows; nothing is spliced
     * there. What is as good here as there is no property of what the model learned. */
    struct fathom_reconstruction_quality shuffled[FATHOM_RECONSTRUCTIONS];
    double l0;                          /* mean active features a row, by the run-time reading */
    double l1;                          /* mean sum of activations a row, in the dictionary's units */
    double l0_trained;                  /* chosen as in training */
    double l0_control;                  /* of the control, where one was named */
    double mean_norm;                   /* mean |x| */
    uint32_t k;                         /* active components a row of the fitted controls */
    double silent_fraction;             /* features that no row of those measured activates; 1 less it: alive */
    double frequent_fraction;           /* features that more than a hundredth of the rows activate */
    double dense_fraction;              /* features that more than a tenth of the rows activate */
    double frequent_share, dense_share; /* of all activations, those of such features */
    uint32_t density[FATHOM_DENSITY_BINS];
    double mean_decoder_cosine; /* mean over features of max_decoder_cosine; */
    double mean_encoder_cosine;
    double twin_fraction;         /* features with max_decoder_cosine above 0.9 */
    double random_decoder_cosine; /* what random directions of this number and width have on average, a control */
    double loss;                  /* the model's own next-token loss, nats a token */
    uint64_t rows;                /* measured */
    uint64_t rows_left_out;       /* not covered by the dictionary: first positions, outlier norms */
    uint64_t loss_tokens;         /* predicted, for the losses */
};

struct fathom_evaluate_options {
    const struct fathom_corpus_source *sources;
    size_t n_sources;
    uint64_t seed;
    uint64_t tokens;      /* collected, half of them to fit the controls; 0: 65536 */
    uint64_t loss_tokens; /* run again for the losses; 0: 8192 */
    uint32_t context;     /* 0: 256 */
    uint32_t n_threads;
    const fathom_dictionary *control; /* of the same hook point; NULL: none */
    const fathom_model *shuffled; /* the model with shuffled weights (fathom_model_shuffle in shuffle.h); NULL: none */
    struct fathom_feature_quality *features; /* [n_features] of the caller's, filled in; NULL: not wanted */
    fathom_progress_fn progress;
    void *payload;
};

/* Memory: the rows collected, and the logits of a sequence once more (context × vocabulary × 4 bytes).
 * Errors: MISMATCH (another model, a control of another hook point or width), those of model, corpus and session; LIMIT
 * (too few rows); STOPPED. */
FATHOM_API int fathom_evaluate(struct fathom_evaluation *out, const fathom_dictionary *dictionary,
                               const fathom_model *model, const struct fathom_evaluate_options *options);

#ifdef __cplusplus
}
#endif
#endif
