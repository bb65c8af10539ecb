/* Absorption and splitting: whether the features for "begins with this letter" fire on all words that do.
 *
 * A dictionary that is sparser by it lets a feature for one word carry the word's first letter too: the letter's own
 * feature is then silent on that word, without any sign (absorption), or there are several features for one letter
 * (splitting). First letters are known for every word, so that both can be counted with no one's labels.
 *
 * Chanin et al. 2024, as SAEBench 0.6 computes it, with these differences: words are tokens of the model's own
 * vocabulary that are a space and three or more letters; each is read at its last position in "The word w begins with the
 * letter W." after ten such sentences on other words, four sets of ten in turn; the letter's features are found by greedy
 * forward selection among those whose mean differs most; projections are of x less the dictionary's reconstruction
 * without any feature, which is what features account for.
 */
#ifndef FATHOM_ABSORPTION_H
#define FATHOM_ABSORPTION_H

#include <fathom/dictionary.h>
#include <fathom/progress.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FATHOM_LETTERS 26
#define FATHOM_ABSORPTION_MOST 10 /* features of a letter */

/* One letter. Words are divided by seed: four fifths train, one fifth is what all figures are of. */
struct fathom_absorption_letter {
    size_t n_train, n_test;                    /* words that begin with it */
    double probe_f1;                           /* of logistic regression on the whole row: the ceiling */
    double shuffled_f1;                        /* of the same trained on shuffled letters: chance */
    double best_f1;                            /* of the letter's best single feature */
    double split_f1;                           /* of all its features together */
    uint32_t features[FATHOM_ABSORPTION_MOST]; /* one, and more for as long as each adds 0.03 to F1 */
    uint32_t n_features;                       /* 0: none fires more on this letter than on others */
    bool evaluated;                            /* probe_f1 above 0.6: the model knows this letter here */
    size_t n_true_positives;                   /* words on which the probe is right */
    /* of those: mean share of the letter's projection that other features carry; share of words where none of the
     * letter's features fires and one other carries at least two fifths */
    double absorbed_fraction, full_absorption;
};

struct fathom_absorption_report {
    struct fathom_absorption_letter letters[FATHOM_LETTERS]; /* a … z, capitals among them */
    size_t n_words;                                          /* read, that the dictionary covers */
    uint32_t n_evaluated;                                    /* letters; the means and deviations are over them */
    double absorbed_fraction, absorbed_deviation;
    double full_absorption, full_deviation;
    double n_split, split_deviation; /* features of a letter */
    double probe_f1, shuffled_f1, best_f1;
};

struct fathom_absorption_options {
    uint32_t words; /* of a letter, at most; 0: 200 */
    uint32_t n_threads;
    uint64_t seed;
    fathom_progress_fn progress;
    void *payload;
};

/* Errors: MISMATCH (another model), UNSUPPORTED (a dictionary whose reconstruction depends on the rows, or a
 * transcoder), LIMIT (fewer than two letters with 20 words), those of sessions, STOPPED. */
FATHOM_API int fathom_absorption(struct fathom_absorption_report *out, const fathom_model *model,
                                 const fathom_dictionary *dictionary, const struct fathom_absorption_options *options);

#ifdef __cplusplus
}
#endif
#endif
