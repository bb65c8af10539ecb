/* What the selection of a refusal's direction measures. */
#ifndef FATHOM_STEER_REFUSAL_H
#define FATHOM_STEER_REFUSAL_H

#include "steer/pairs.h"
#include <fathom/plan.h>
#include <fathom/refusal.h>

/* Questions as prompts, and the session that they are asked in. */
struct fathom__refusal_bench {
    const fathom_model *model;
    fathom_session *session;
    size_t n_vocab;
    struct fathom__prompt *asked[2]; /* harmless, harmful: all of them */
    size_t n[2], n_train;
    struct fathom__pairs pairs[2]; /* those that select, each with an answer of one token that nobody looks at */
    struct fathom__pair_rows rows[2];
    int32_t *refusals; /* first tokens */
    size_t n_refusals;
    float *plain; /* log-probabilities after the harmless questions that select: [n - n_train, n_vocab] */
};

int fathom__refusal_bench_open(struct fathom__refusal_bench *out, const fathom_model *model,
                               const struct fathom_refusal_search *search);
void fathom__refusal_bench_close(struct fathom__refusal_bench *bench);

/* How many tokens all prompts end with alike. */
size_t fathom__refusal_common_end(const struct fathom__refusal_bench *bench);

/* Mean refusal of the selecting questions of a class (1: harmful) under a plan (NULL: none). divergence (NULL allowed)
 * gets the mean divergence from the plain answers; of harmless questions only. `keep` makes these the plain ones. */
int fathom__refusal_mean(double *refusal, double *divergence, struct fathom__refusal_bench *bench, int harmful,
                         const fathom_steer *plan, bool keep);

/* log p - log (1 - p) of the mass on some tokens; `total` is fathom__log_total of the logits. */
double fathom__refusal_metric(const float *logits, double total, const int32_t *tokens, size_t n);

#endif
