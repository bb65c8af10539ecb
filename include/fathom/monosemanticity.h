/* How many of a dictionary's features one label tells: held-out detection by the features' own labels, out of a
 * catalogue. */
#ifndef FATHOM_MONOSEMANTICITY_H
#define FATHOM_MONOSEMANTICITY_H

#include <fathom/catalogue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A label's balanced accuracy from which it counts as telling its feature. */
#define FATHOM_MONOSEMANTIC_SCORE 0.8

/* Labels that fathom_index made; people's are not scored. A feature without one that held counts as told by none:
 * the more features have labels, and the better these hold on text that they were not made of, the higher the score. */
struct fathom_monosemanticity {
    uint32_t n_features, n_alive, n_labelled;
    double score; /* mean over alive features of 2 · balanced accuracy - 1, nothing without a label: 0 … 1 */
    double told;  /* share of the alive features whose label's balanced accuracy is at least 0.8 */
    /* Means over the features with a label, as at struct fathom_label; 0 where there are none. */
    double accuracy, f1;
    double single_token; /* a control: the best rule of a single token on the same text */
    double shuffled;     /* a control: other features' labels on the same text */
};

/* Errors: IO, FORMAT. */
FATHOM_API int fathom_catalogue_monosemanticity(struct fathom_monosemanticity *out, fathom_catalogue *catalogue);

#ifdef __cplusplus
}
#endif
#endif
