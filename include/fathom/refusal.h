/* The direction that a model refuses by, selected as Arditi et al. (2024) do.
 *
 * Candidates are the differences of means, harmful minus harmless questions, at the beginning of every layer but the first and at each
 * of the tokens that stand after every question (the end of the user's turn and the beginning of the answer). On questions
 * that no mean saw each candidate r gets three figures:
 *
 *   bypass      mean refusal of harmful questions with r projected out of what every layer begins with and adds
 *   induce      mean refusal of harmless questions with r added where it was found
 *   divergence  mean KL divergence, in nats, of the first answer token to harmless questions, projected out against plain
 *
 * where refusal is log p - log (1 - p), p the probability that the answer begins with one of the refusals' first
 * tokens. Taken is the candidate of lowest bypass with induce above a limit, divergence below one, and a layer not among the
 * last fifth. What makes a refusal is a matter of the model: see what its plain answers begin with.
 */
#ifndef FATHOM_REFUSAL_H
#define FATHOM_REFUSAL_H

#include <fathom/steer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_refusal_search {
    const char *const *harmful, *const *harmless; /* questions */
    size_t n_harmful, n_harmless;
    size_t n_train;              /* the first of each make the means, the rest select; at least 2 of each remain */
    const char *const *refusals; /* what refusals begin with, such as "I cannot"; NULL: a few of Fathom's own */
    size_t n_refusals;
    struct fathom_prompt_style style;
    double most_divergence;  /* 0: 0.1 */
    double least_induce;     /* log odds; the paper's 0 means that a refusal is as likely as not */
    uint32_t most_positions; /* of the tokens after the question, the last ones; 0: 5 */
    fathom_progress_fn progress;
    void *payload;
};

struct fathom_refusal_trial {
    int32_t position; /* -1: the prompt's last token */
    int32_t layer;
    /* divergence is measured of every candidate, induce where divergence is within its limit, and bypass where both are;
     * what was not measured is not a number */
    double bypass, induce, divergence;
    bool admitted; /* induce and divergence are within their limits */
};

struct fathom_refusal {
    struct fathom_direction
        direction; /* at resid_pre of all layers the same unit vector, as long as the difference was */
    double plain_harmful, plain_harmless; /* mean refusal without an edit */
    struct fathom_refusal_trial *trials;  /* by position and layer, owned */
    size_t n_trials, best;
};
#define FATHOM_REFUSAL_INIT                                                                                            \
    { 0 }
FATHOM_API void fathom_refusal_free(struct fathom_refusal *refusal);

/* Errors: ARGUMENT (too few questions, no common tokens after them), NOT_FOUND (no candidate is admitted; the message
 * says how near the best came), NUMERIC, those of sessions, STOPPED. */
FATHOM_API int fathom_refusal_select(struct fathom_refusal *out, const fathom_model *model,
                                     const struct fathom_refusal_search *search);

/* Adds the ablation of a refusal's direction to a plan: projected out of what every layer begins with, and of what its
 * attention and its MLP add, at every position. */
FATHOM_API int fathom_refusal_ablate(fathom_steer *plan, const struct fathom_direction *direction);

#ifdef __cplusplus
}
#endif
#endif
