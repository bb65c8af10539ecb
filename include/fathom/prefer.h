/* Feature-conditioned decoding: several samples are drawn, and the one that is most of what is wanted is taken. Nothing
 * inside the model is changed; what is said is what it says by itself, less often. */
#ifndef FATHOM_PREFER_H
#define FATHOM_PREFER_H

#include <fathom/dictionary.h>
#include <fathom/session.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fathom_preference {
    const fathom_dictionary *dictionary;
    uint32_t feature;
    float unit; /* what its levels are divided by, such as its maximum; > 0 */
    bool avoid; /* less of it is better */
};

struct fathom_sample {
    char *text;
    int32_t *tokens;
    size_t n;
    double score; /* sum over the preferences of ± the mean level over the answer's rows, in units */
    float *peaks; /* [preferences]: the largest level in the answer, in units */
};

struct fathom_samples {
    struct fathom_sample *samples; /* in the order drawn, owned */
    size_t n, n_preferences, best;
};
#define FATHOM_SAMPLES_INIT                                                                                            \
    { 0 }
FATHOM_API void fathom_samples_free(struct fathom_samples *samples);

/* Draws n_samples answers to a prompt, sample i by the sampling's seed + i as fathom_generate does, with whatever edits
 * are in force, and scores them; the best is the first of the highest score. An answer's rows are those of its tokens,
 * but for the last one where the length ended it, which is never read; an empty one scores 0. Errors: ARGUMENT (no
 * sample or preference, a unit that is not above 0, greedy sampling of several), NOT_FOUND, MISMATCH, those of
 * sessions, STOPPED. */
FATHOM_API int fathom_samples_draw(struct fathom_samples *out, fathom_session *session, const int32_t *prompt, size_t n,
                                   uint32_t max_new, const struct fathom_sampling *sampling, size_t n_samples,
                                   const struct fathom_preference *preferences, size_t n_preferences);

#ifdef __cplusplus
}
#endif
#endif
