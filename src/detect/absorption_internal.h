/* The steps of measuring absorption. */
#ifndef FATHOM_DETECT_ABSORPTION_INTERNAL_H
#define FATHOM_DETECT_ABSORPTION_INTERNAL_H

#include "base/random.h"
#include <fathom/absorption.h>

/* Words of the vocabulary, training ones first, with their rows at the hook point. */
struct fathom__words {
    int32_t *tokens;
    uint8_t *letters; /* 0 … 25 */
    float *rows;      /* [n, d], covered by the dictionary */
    size_t n, n_train, d;
};

/* Draws words and reads them (absorption_words.c). Errors: those of fathom_absorption. */
int fathom__words_read(struct fathom__words *out, const fathom_model *model, const fathom_dictionary *dictionary,
                       const struct fathom_absorption_options *options);
void fathom__words_free(struct fathom__words *words);

/* Everything but the reading: a report on words whose rows are known. */
int fathom__absorption_measure(struct fathom_absorption_report *out, const struct fathom__words *words,
                               const fathom_dictionary *dictionary, const struct fathom_absorption_options *options);

/* A measurement under way. */
struct fathom__measuring {
    const struct fathom__words *words;
    const fathom_dictionary *dictionary;
    uint32_t n_features;
    struct fathom_sparse sparse; /* of all words */
    float *base;                 /* [d]: the reconstruction without features */
    float *directions;           /* [features, d]: what a unit of each adds to a row of the model */
    float *scaled;               /* [words, d]: rows less their mean, of mean square 1 */
    double *sums, *squares;      /* [features], over training words */
    double *letter_sums;         /* [letters, features] */
    size_t counts[FATHOM_LETTERS];
    /* of the letter in hand */
    int8_t *labels;   /* [words] */
    int8_t *shuffled; /* [training words] */
    double *scores;   /* [words] */
    double *weights;  /* [d] */
    double *along;    /* [features]: directions along the probe's */
    struct fathom__random random;
};

/* Trains on the training words' values [words, width], whose labels may be shuffled ones, and scores all words. */
int fathom__letter_score(struct fathom__measuring *m, double *weights, const float *values, size_t width,
                         const int8_t *labels, double regularisation);
/* F1 of those scores on the test words, by their true labels. */
double fathom__letter_f1(const struct fathom__measuring *m);
/* Finds the letter's features, one after another for as long as each helps, and their F1. */
int fathom__letter_features(struct fathom_absorption_letter *out, struct fathom__measuring *m, int letter);

#define FATHOM__ABSORBERS 3
/* What one word's features have of a letter's direction. */
struct fathom__projection {
    double whole;  /* of the row, less the reconstruction without features */
    double mains;  /* of the letter's features */
    bool silent;   /* none of them fires */
    double best;   /* the largest of a feature, whichever it is … */
    double cosine; /* … and that feature's cosine with the direction */
    double others
        [FATHOM__ABSORBERS]; /* the largest of features that are not the letter's, of cosine 0.1 and more; descending, 0: none */
};
/* SAEBench's two criteria: how much of a word's letter other features carry, and whether one carries it all. */
double fathom__absorbed_fraction(const struct fathom__projection *projection);
bool fathom__absorbed_fully(const struct fathom__projection *projection);

#endif
