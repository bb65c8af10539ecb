/* Explaining an answer: what each layer would have said, what carried it, and what becomes of it when the cause is
 * taken away.
 *
 * Every claim is an intervention: something is removed while the model runs and the answer's probability is measured
 * again, beside the same removal of something else of the same kind (the control). Nothing here is a gradient or a
 * correlation.
 *
 *   fathom_lens_…     logit lens (nostalgebraist 2020): softmax(W_U · norm(h)) at every layer
 *   fathom_explain    lens, direct contributions, features and tokens with their measured effects
 *   fathom_patch      activation patching between two prompts (Meng et al. 2022; Heimersheim and Nanda 2024)
 *   fathom_report_…   one self-contained HTML page
 */
#ifndef FATHOM_EXPLAIN_H
#define FATHOM_EXPLAIN_H

#include <fathom/catalogue.h>
#include <fathom/dictionary.h>
#include <fathom/error.h>
#include <fathom/hook.h>
#include <fathom/model.h>
#include <fathom/progress.h>
#include <fathom/session.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lens ------------------------------------------------------------------------------------------------------ */

/* The model's final norm and unembedding, held in memory: n_vocab × d_model floats. Immutable; any number of
 * threads. */
typedef struct fathom_lens fathom_lens;
FATHOM_API int fathom_lens_open(fathom_lens **out, const fathom_model *model);
FATHOM_API void fathom_lens_close(fathom_lens *lens);

#define FATHOM_LENS_TOP 5

struct fathom_lens_guess {
    int32_t token;
    double probability;
};

/* What one residual row says about the next token. */
struct fathom_lens_reading {
    struct fathom_lens_guess top[FATHOM_LENS_TOP]; /* likeliest first */
    double target_probability;                     /* of the token asked about; 0 when none was (target < 0) */
    uint32_t target_rank;                          /* 0: the likeliest */
    double entropy;                                /* nats */
};

/* Reads rows [n_rows, d_model] of the residual stream as next-token distributions: the final norm, W_U, the logits'
 * soft cap, softmax. targets: [n_rows] tokens or -1, NULL: none. n_threads 0: all cores. Errors: ARGUMENT (target
 * out of range), NUMERIC, MEMORY. */
FATHOM_API int fathom_lens_read(struct fathom_lens_reading *out, const fathom_lens *lens, const float *rows,
                                size_t n_rows, const int32_t *targets, uint32_t n_threads);

/* How directly a component written into the residual stream speaks for a token: (gain ⊙ component) · (W_U[token] − mean
 * over the vocabulary) / `denominator`, the final norm's own for that row (direct logit attribution; frozen norm). */
FATHOM_API double fathom_lens_contribution(const fathom_lens *lens, const float *component, double denominator,
                                           int32_t token);
/* That denominator: root mean square (or standard deviation) of the last layer's residual row. */
FATHOM_API double fathom_lens_denominator(const fathom_lens *lens, const float *row);

/* Explanations ---------------------------------------------------------------------------------------------- */

/* An intervention and its control: differences of log p(answer | prompt), natural logarithm; negative: the answer lost
 * by it. */
struct fathom_effect_measure {
    double effect;            /* log p(answer) with the cause taken away − without */
    double probability;       /* p(answer) with the cause taken away */
    double control;           /* mean of the same difference over the controls */
    double control_deviation; /* standard deviation over the controls; 0 with one */
    uint32_t n_controls;      /* 0: no control could be had (nothing else of the kind) and the claim does not count */
    bool holds;               /* |effect| > |control| + 2 deviations, and at least FATHOM_EXPLAIN_LEAST */
};
#define FATHOM_EXPLAIN_LEAST 0.02 /* nats: smaller effects are within what rounding and batching do */

struct fathom_explained_layer {
    int32_t layer;                      /* after this layer */
    struct fathom_lens_reading reading; /* at the last prompt token; target: the answer's first token */
    double attention, mlp; /* direct contributions of this layer's attention and MLP to the answer's first logit */
};

struct fathom_explained_token {
    int32_t token, position;
    /* its embedding replaced by four other tokens' of the prompt in turn, the mean effect; controls: other positions
     * past the first */
    struct fathom_effect_measure erased;
    struct fathom_effect_measure
        unseen;      /* no later position may attend to it, at any layer; controls: other positions */
    bool has_unseen; /* false for the last position and for position 0, which models use as a rest place */
};

struct fathom_explained_feature {
    uint32_t feature;
    int32_t position;     /* the token where it is strongest */
    float activation;     /* there */
    float activation_sum; /* over the prompt */
    /* set to zero on all prompt rows; controls: equally active features of the same prompt */
    struct fathom_effect_measure ablated;
};

struct fathom_explain_options {
    size_t n_features; /* features reported, by |effect|; 0: 12 */
    size_t n_controls; /* controls of each claim, at most; 0: 8 */
    uint64_t seed;     /* of the controls */
    uint32_t n_threads;
    fathom_progress_fn progress;
    void *payload;
};
#define FATHOM_EXPLAIN_OPTIONS_INIT                                                                                    \
    { 0 }

typedef struct fathom_explanation {
    int32_t *prompt; /* [n_prompt] tokens */
    size_t n_prompt;
    int32_t *answer; /* [n_answer] */
    size_t n_answer;
    double log_probability;   /* of the whole answer after the prompt, nothing taken away */
    double first_probability; /* of its first token */
    uint32_t first_rank;      /* 0: what greedy decoding says */
    struct fathom_explained_layer *layers;
    size_t n_layers;
    struct fathom_explained_token *tokens;
    size_t n_tokens;
    struct fathom_explained_feature *features;
    size_t n_features;          /* strongest effect first; empty without a dictionary */
    size_t n_features_measured; /* features active on the prompt: each was taken away once */
    /* the same when the dictionary's error term is taken away on all covered rows: what features cannot explain */
    double error_effect;
    double reconstruction_fve; /* fraction of variance explained on this prompt's covered rows */
    uint64_t seed;
} fathom_explanation;

/* Why `prompt` continues with `answer`. dictionary may be NULL. Errors: MISMATCH, ARGUMENT (empty prompt or answer),
 * LIMIT, those of sessions, STOPPED. */
FATHOM_API int fathom_explain(fathom_explanation **out, const fathom_model *model, const fathom_dictionary *dictionary,
                              const int32_t *prompt, size_t n_prompt, const int32_t *answer, size_t n_answer,
                              const struct fathom_explain_options *options);
FATHOM_API void fathom_explanation_free(fathom_explanation *explanation);

/* Patching -------------------------------------------------------------------------------------------------- */

/* Where the difference between two prompts of equally many tokens is carried: the residual stream of the clean prompt
 * is put into the run of the corrupt one, at one layer and position at a time; recovered = (log p(answer | patched)
 * − log p(answer | corrupt)) / (log p(answer | clean) − log p(answer | corrupt)). */
struct fathom_patching {
    size_t n_layers, n_positions;
    double *recovered;     /* [n_layers, n_positions] */
    double clean, corrupt; /* log p(answer) */
};
/* n_threads 0: all cores. Errors: ARGUMENT (lengths differ, nothing differs, the answer is not likelier after the clean prompt), those of
 * sessions, STOPPED. Free `recovered` with fathom_free. */
FATHOM_API int fathom_patch(struct fathom_patching *out, const fathom_model *model, const int32_t *clean,
                            const int32_t *corrupt, size_t n, const int32_t *answer, size_t n_answer,
                            uint32_t n_threads, fathom_progress_fn progress, void *payload);

/* Reports --------------------------------------------------------------------------------------------------- */

/* Writes an explanation as one HTML page with nothing outside it: no scripts, fonts or pictures from elsewhere.
 * dictionary and catalogue (labels) may be NULL, patching too. command: how it was made, shown at the end; NULL
 * allowed. Written to a temporary name, then renamed. */
FATHOM_API int fathom_report_write(const char *path, const fathom_explanation *explanation, const fathom_model *model,
                                   const fathom_dictionary *dictionary, const fathom_catalogue *catalogue,
                                   const struct fathom_patching *patching, const char *command);

#ifdef __cplusplus
}
#endif
#endif
