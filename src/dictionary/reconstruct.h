/* Reconstructions of rows by a dictionary and by its controls. */
#ifndef FATHOM_DICTIONARY_RECONSTRUCT_H
#define FATHOM_DICTIONARY_RECONSTRUCT_H

#include <fathom/dictionary.h>
#include <fathom/evaluate.h>
#include <fathom/trainer.h>

/* How far a coordinate of a row is from its mean. */
struct fathom__distance {
    float distance;
    uint32_t place;
};

struct fathom__reconstructor {
    const fathom_dictionary *dictionary, *control; /* control: NULL where none was named */
    size_t d, k;
    float *mean;                        /* [d] */
    struct fathom__distance *distances; /* [d], of the row being looked at */
    float *components;                  /* [k, d], orthonormal */
    /* Token means: token ids ascending, each with its mean row. */
    int32_t *tokens;
    float *token_rows; /* [n_tokens, d] */
    size_t n_tokens;
    fathom_trainer *untrained;
    double untrained_factor;
    struct fathom_sparse sparse;
};

/* Fits the controls to rows f32 [n, d] with their token ids. `control` may be NULL. */
int fathom__reconstructor_open(struct fathom__reconstructor *out, const fathom_dictionary *dictionary,
                               const fathom_dictionary *control, const float *rows, const int32_t *tokens, size_t n,
                               uint32_t n_threads);
void fathom__reconstructor_close(struct fathom__reconstructor *reconstructor);

/* out: f32 [n, d]. All rows must be ones that the dictionary covers. After DICTIONARY, TRAINED and CONTROL, `sparse` holds the
 * features. */
int fathom__reconstruct(float *out, struct fathom__reconstructor *reconstructor, enum fathom_reconstruction which,
                        const float *rows, const int32_t *tokens, size_t n);

/* The k leading eigenvectors of a symmetric f64 matrix [d, d] as orthonormal f32 rows [k, d]. */
int fathom__principal_components(float *out, const double *matrix, size_t d, size_t k, uint64_t seed);

#endif
