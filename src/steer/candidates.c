#include "base/error.h"
#include "base/memory.h"
#include "catalogue/effects.h"
#include "detect/activity.h"
#include "detect/read.h"
#include "steer/concept.h"
#include "steer/likelihood.h"
#include <fathom/steer.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Arad et al. add ten times the feature's maximum after a neutral prompt. */
static const float output_strength = 10.0f;

static const char *const neutral_prompts[] = {"In my experience,", "From my point of view,",
                                              "The first thing to say is that", "I think"};
enum { NEUTRAL_PROMPTS = sizeof neutral_prompts / sizeof neutral_prompts[0], NEUTRAL_TOKENS = 64, RAISED = 20 };

/* One candidate out of the entries of one feature. */
static int make_candidate(void *made, const struct fathom__active *entries, size_t n, const struct fathom_texts *texts,
                          double *scores) {
    struct fathom_steer_candidate *out = made;
    struct fathom_steer_candidate candidate = {
        .feature = entries[0].feature, .output_score = NAN, .best_rank = NAN, .raised_score = NAN};
    double sums[2] = {0, 0};
    for (size_t i = 0; i < n; i++) {
        int label = texts->labels[entries[i].text];
        if (label >= 0) {
            sums[label] += (double)entries[i].mean;
            candidate.maximum = fmaxf(candidate.maximum, entries[i].maximum);
        }
    }
    candidate.positive_mean = (float)(sums[1] / (double)fathom_texts_count(texts, FATHOM_LABEL_POSITIVE));
    candidate.negative_mean = (float)(sums[0] / (double)fathom_texts_count(texts, FATHOM_LABEL_NEGATIVE));
    *out = candidate;
    fathom__activity_spread(scores, texts->n, entries, n);
    return fathom_auroc(&out->auroc, scores, texts->labels, texts->n);
}

static int by_difference(const void *a, const void *b) {
    const struct fathom_steer_candidate *x = a;
    const struct fathom_steer_candidate *y = b;
    float dx = x->positive_mean - x->negative_mean;
    float dy = y->positive_mean - y->negative_mean;
    if (dx != dy) {
        return dx > dy ? -1 : 1;
    }
    return x->feature < y->feature ? -1 : x->feature > y->feature;
}

static int by_output(const void *a, const void *b) {
    double x = ((const struct fathom_steer_candidate *)a)->output_score;
    double y = ((const struct fathom_steer_candidate *)b)->output_score;
    return x != y ? (x > y ? -1 : 1) : by_difference(a, b);
}

static int collect(struct fathom_steer_candidate **out, size_t *n_out, const struct fathom__active *entries,
                   size_t n_entries, const struct fathom_texts *texts) {
    void *made = NULL;
    int status = fathom__activity_judge_all(&made, n_out, sizeof **out, entries, n_entries, texts, make_candidate);
    if (status == FATHOM_OK) {
        qsort(made, *n_out, sizeof **out, by_difference);
        *out = made;
    }
    return status;
}

/* What the model says after the neutral prompts. */
struct probing {
    const fathom_model *model;
    fathom_session *session;
    const fathom_dictionary *dictionary;
    const fathom_concept *concept;
    size_t n_vocab;
    int32_t *prompts[NEUTRAL_PROMPTS];
    size_t lengths[NEUTRAL_PROMPTS];
    float *plain;                 /* [prompts, n_vocab]: logits without steering */
    struct fathom_effect *raised; /* [candidates, RAISED]; NULL: the dictionary does not write to the residual stream */
};

/* The place of the likeliest of some tokens among all, from 0, and its logit; tokens of -1 are none. */
static size_t best_rank(float *logit, const int32_t *tokens, size_t n, const float *logits, size_t n_vocab) {
    size_t above = 0;
    *logit = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        *logit = tokens[i] >= 0 ? fmaxf(*logit, logits[tokens[i]]) : *logit;
    }
    for (size_t i = 0; i < n_vocab; i++) {
        above += logits[i] > *logit;
    }
    return above;
}

/* (1 - r / |V|) p of the likeliest. */
static double token_score(const int32_t tokens[RAISED], const float *logits, size_t n_vocab) {
    float logit = 0;
    size_t rank = best_rank(&logit, tokens, RAISED, logits, n_vocab);
    return (1 - (double)rank / (double)n_vocab) * exp((double)logit - fathom__log_total(logits, n_vocab));
}

/* The logits after a neutral prompt, borrowed from the session. */
static int say(const float **out, struct probing *probing, size_t prompt) {
    fathom_session_forget(probing->session, -1, 0);
    int status = fathom_session_feed(probing->session, probing->prompts[prompt], probing->lengths[prompt], 0, 0, false);
    *out = status == FATHOM_OK ? fathom_session_logits(probing->session, probing->lengths[prompt] - 1) : NULL;
    return status == FATHOM_OK && *out == NULL ? fathom__fail(FATHOM_ERROR_ENGINE, "a neutral prompt left no logits")
                                               : status;
}

static int say_plainly(struct probing *probing) {
    int status = fathom__alloc(&probing->plain, NEUTRAL_PROMPTS * probing->n_vocab, sizeof *probing->plain);
    for (size_t p = 0; p < NEUTRAL_PROMPTS && status == FATHOM_OK; p++) {
        const float *logits = NULL;
        status = fathom_tokenize(&probing->prompts[p], &probing->lengths[p], probing->model, neutral_prompts[p],
                                 strlen(neutral_prompts[p]), true, false);
        if (status == FATHOM_OK) {
            status = say(&logits, probing, p);
        }
        if (status == FATHOM_OK) {
            memcpy(probing->plain + p * probing->n_vocab, logits, probing->n_vocab * sizeof *logits);
        }
    }
    return status;
}

/* Means over the neutral prompts, against what is said plainly. */
static int probe_prompts(struct fathom_steer_candidate *candidate, struct probing *probing,
                         const struct fathom_effect *raised) {
    const size_t n_vocab = probing->n_vocab;
    size_t n_tokens = 0;
    const int32_t *tokens = fathom__concept_tokens(&n_tokens, probing->concept);
    int32_t own[RAISED];
    for (size_t i = 0; i < RAISED && raised != NULL; i++) {
        own[i] = raised[i].token;
    }
    candidate->output_score = candidate->best_rank = 0;
    candidate->raised_score = raised != NULL ? 0 : NAN;
    for (size_t p = 0; p < NEUTRAL_PROMPTS; p++) {
        const float *plain = probing->plain + p * n_vocab;
        const float *logits = NULL;
        float best = 0;
        int status = say(&logits, probing, p);
        if (status != FATHOM_OK) {
            return status;
        }
        candidate->output_score += (exp(fathom__concept_log_mass(probing->concept, logits, n_vocab)) -
                                    exp(fathom__concept_log_mass(probing->concept, plain, n_vocab))) /
                                   NEUTRAL_PROMPTS;
        candidate->best_rank += (double)best_rank(&best, tokens, n_tokens, logits, n_vocab) / NEUTRAL_PROMPTS;
        if (raised != NULL) {
            candidate->raised_score +=
                (token_score(own, logits, n_vocab) - token_score(own, plain, n_vocab)) / NEUTRAL_PROMPTS;
        }
    }
    return FATHOM_OK;
}

static int probe_candidate(struct fathom_steer_candidate *candidate, struct probing *probing,
                           const struct fathom_effect *raised) {
    struct fathom_steer_feature edit = {.dictionary = probing->dictionary,
                                        .feature = candidate->feature,
                                        .mode = FATHOM_STEER_ADD,
                                        .value = output_strength * candidate->maximum};
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    int status = fathom_steer_open(&plan, probing->model);
    if (status == FATHOM_OK) {
        status = fathom_steer_add_feature(plan, &edit);
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_attach(&steering, probing->session, plan);
    }
    if (status == FATHOM_OK) {
        status = probe_prompts(candidate, probing, raised);
    }
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
    return status;
}

/* The tokens that the candidates raise most, in the candidates' order. */
static int find_raised(struct probing *probing, const struct fathom_steer_candidate *candidates, size_t n) {
    uint32_t *features = NULL;
    int status = fathom__alloc(&features, n, sizeof *features);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&probing->raised, n * RAISED, sizeof *probing->raised);
    }
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        features[i] = candidates[i].feature;
    }
    if (status == FATHOM_OK) {
        status = fathom__raised_tokens(probing->raised, probing->dictionary, probing->model, features, n, RAISED);
    }
    fathom_free(features);
    if (status == FATHOM_ERROR_UNSUPPORTED) {
        fathom_free(probing->raised);
        probing->raised = NULL;
        status = FATHOM_OK;
    }
    return status;
}

static int measure_outputs(struct fathom_steer_candidate *candidates, size_t n, const fathom_model *model,
                           const fathom_dictionary *dictionary, const fathom_concept *concept) {
    struct probing probing = {
        .model = model, .dictionary = dictionary, .concept = concept, .n_vocab = fathom_model_describe(model)->n_vocab};
    struct fathom_session_options options = {
        .n_context = NEUTRAL_TOKENS, .n_batch = NEUTRAL_TOKENS, .n_threads = fathom__session_threads(model)};
    int status = find_raised(&probing, candidates, n);
    if (status == FATHOM_OK) {
        status = fathom_session_open(&probing.session, model, &options);
    }
    if (status == FATHOM_OK) {
        status = say_plainly(&probing);
    }
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = probe_candidate(&candidates[i], &probing, probing.raised ? probing.raised + i * RAISED : NULL);
    }
    for (size_t p = 0; p < NEUTRAL_PROMPTS; p++) {
        fathom_free(probing.prompts[p]);
    }
    fathom_free(probing.raised);
    fathom_free(probing.plain);
    fathom_session_close(probing.session);
    return status;
}

int fathom_steer_candidates(struct fathom_steer_candidate **out, size_t *n_out, const fathom_model *model,
                            const fathom_dictionary *dictionary, const struct fathom_texts *texts,
                            const fathom_concept *concept, size_t n_measured, size_t most) {
    struct fathom__active *entries = NULL;
    size_t n_entries = 0;
    struct fathom_steer_candidate *candidates = NULL;
    size_t n = 0;
    int status = FATHOM_OK;
    if (fathom_texts_count(texts, FATHOM_LABEL_POSITIVE) == 0 ||
        fathom_texts_count(texts, FATHOM_LABEL_NEGATIVE) == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "candidates need texts with the concept and near misses without it");
    }
    if (n_measured > 0) {
        size_t n_tokens = 0;
        if (concept != NULL) {
            fathom__concept_tokens(&n_tokens, concept);
        }
        if (n_tokens == 0) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "output scores need a concept with a word in it: a regular "
                                                       "expression has no tokens of its own");
        }
    }
    status = fathom__activity_read(&entries, &n_entries, model, dictionary, texts);
    if (status == FATHOM_OK) {
        status = collect(&candidates, &n, entries, n_entries, texts);
    }
    n = n < most ? n : most;
    n_measured = n_measured < n ? n_measured : n;
    if (status == FATHOM_OK && n_measured > 0) {
        status = measure_outputs(candidates, n_measured, model, dictionary, concept);
    }
    if (status == FATHOM_OK && n_measured > 0) {
        qsort(candidates, n_measured, sizeof *candidates, by_output);
    }
    fathom_free(entries);
    if (status != FATHOM_OK) {
        fathom_free(candidates);
        return status;
    }
    *out = candidates;
    *n_out = n;
    return FATHOM_OK;
}
