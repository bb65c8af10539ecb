/* Drift: how far features move when the dictionary, or the model that it reads, is quantised.
 *
 * Two readings of the same rows are compared feature by feature: of two dictionaries with the same features on one
 * model's activations, or of one dictionary on the activations of two forms of a model at the same tokens. The first
 * reading, A, is what the second, B, is measured against.
 */
#ifndef FATHOM_DRIFT_H
#define FATHOM_DRIFT_H

#include <fathom/corpus.h>
#include <fathom/dictionary.h>
#include <fathom/progress.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_drift_feature {
    uint64_t rows_a, rows_b, rows_both; /* where it is active */
    double mean;                        /* its mean activation in A, over rows_a */
    double change;                      /* √Σ(a - b)² over all rows */
    double error;                       /* change / √Σa²; 0 where it is silent in both, +inf where only B has it */
    double cosine;                      /* Σab / √(Σa² Σb²); 0 where one is silent */
};

struct fathom_drift_summary {
    uint64_t rows, rows_left_out;           /* left out: not covered by one of the two */
    double l0_a, l0_b;                      /* mean active features a row */
    double overlap;                         /* active in both, as a part of those active in either, over all rows */
    double error;                           /* √(Σ(a - b)² / Σa²) over all features and rows */
    double reconstruction;                  /* √(Σ|x^_a - x^_b|² / Σ|x^_a|²) */
    uint64_t active;                        /* features that A activates on some row */
    uint64_t lost, found;                   /* of them those that B never activates; those that only B activates */
    double median, ninetieth, ninety_ninth; /* quantiles of `error` over the active features */
    uint64_t moved;                         /* active features with an error over a tenth */
};

typedef struct fathom_drift fathom_drift;

/* Both dictionaries must have the same sizes and hook points: MISMATCH, with what differs. They are borrowed. */
FATHOM_API int fathom_drift_open(fathom_drift **out, const fathom_dictionary *a, const fathom_dictionary *b);
FATHOM_API void fathom_drift_close(fathom_drift *drift);
/* Adds rows f32 [n_rows, d_in]: rows_a as A reads them, rows_b as B does. Errors: MEMORY, NUMERIC. */
FATHOM_API int fathom_drift_add(fathom_drift *drift, const float *rows_a, const float *rows_b, const int32_t *positions,
                                size_t n_rows);
FATHOM_API int fathom_drift_summarise(struct fathom_drift_summary *out, const fathom_drift *drift);
/* NOT_FOUND (feature number). */
FATHOM_API int fathom_drift_feature(struct fathom_drift_feature *out, const fathom_drift *drift, uint32_t feature);

struct fathom_drift_options {
    const struct fathom_corpus_source *sources;
    size_t n_sources;
    uint64_t seed;
    uint64_t tokens;  /* 0: 16384 */
    uint32_t context; /* 0: 256 */
    uint32_t n_threads;
    /* Another form of the model, as a quantised one, whose activations B reads; NULL: the same. The rows that A
     * reads are then held in memory. */
    const char *other_model_path;
    fathom_progress_fn progress;
    void *payload;
};

/* Runs a corpus through the model, as it is, and adds every row of the dictionaries' hook point. Errors: MISMATCH
 * (another model; another tokenizer), LIMIT (the corpus has no rows), those of the harvest. */
FATHOM_API int fathom_drift_measure(fathom_drift *drift, const fathom_model *model,
                                    const struct fathom_drift_options *options);

#ifdef __cplusplus
}
#endif
#endif
