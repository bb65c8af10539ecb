#include "base/error.h"
#include "base/memory.h"
#include "detect/activity.h"
#include "detect/read.h"
#include "steer/concept.h"
#include <fathom/steer.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Arad et al. add ten times the feature's maximum after a neutral prompt. */
static const float output_strength = 10.0f;

static const char *const neutral_prompts[] = {"In my experience,", "From my point of view,",
                                              "The first thing to say is that", "I think"};
enum { NEUTRAL_PROMPTS = sizeof neutral_prompts / sizeof neutral_prompts[0], NEUTRAL_TOKENS = 64 };

/* One candidate out of the entries of one feature. */
static int make_candidate(void *made, const struct fathom__active *entries, size_t n, const struct fathom_texts *texts,
                          double *scores) {
    struct fathom_steer_candidate *out = made;
    struct fathom_steer_candidate candidate = {.feature = entries[0].feature, .output_score = NAN, .best_rank = NAN};
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
    const fathom_concept *concept;
    int32_t *prompts[NEUTRAL_PROMPTS];
    size_t lengths[NEUTRAL_PROMPTS];
};

static double best_rank(const fathom_concept *concept, const float *logits, size_t n_vocab) {
    size_t n = 0;
    const int32_t *tokens = fathom__concept_tokens(&n, concept);
    float best = -INFINITY;
    size_t above = 0;
    for (size_t i = 0; i < n; i++) {
        best = fmaxf(best, logits[tokens[i]]);
    }
    for (size_t i = 0; i < n_vocab; i++) {
        above += logits[i] > best;
    }
    return (double)above;
}

/* Means over the neutral prompts of the concept's probability and best rank. */
static int probe_prompts(double *mass, double *rank, struct probing *probing) {
    size_t n_vocab = fathom_model_describe(probing->model)->n_vocab;
    *mass = *rank = 0;
    for (size_t p = 0; p < NEUTRAL_PROMPTS; p++) {
        fathom_session_forget(probing->session, -1, 0);
        int status = fathom_session_feed(probing->session, probing->prompts[p], probing->lengths[p], 0, 0, false);
        if (status != FATHOM_OK) {
            return status;
        }
        const float *logits = fathom_session_logits(probing->session, probing->lengths[p] - 1);
        if (logits == NULL) {
            return fathom__fail(FATHOM_ERROR_ENGINE, "a neutral prompt left no logits");
        }
        *mass += exp(fathom__concept_log_mass(probing->concept, logits, n_vocab)) / NEUTRAL_PROMPTS;
        *rank += best_rank(probing->concept, logits, n_vocab) / NEUTRAL_PROMPTS;
    }
    return FATHOM_OK;
}

static int probe_candidate(struct fathom_steer_candidate *candidate, struct probing *probing,
                           const fathom_dictionary *dictionary, double plain_mass) {
    struct fathom_steer_feature edit = {.dictionary = dictionary,
                                        .feature = candidate->feature,
                                        .mode = FATHOM_STEER_ADD,
                                        .value = output_strength * candidate->maximum};
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    double mass = 0;
    int status = fathom_steer_open(&plan, probing->model);
    if (status == FATHOM_OK) {
        status = fathom_steer_add_feature(plan, &edit);
    }
    if (status == FATHOM_OK) {
        status = fathom_steer_attach(&steering, probing->session, plan);
    }
    if (status == FATHOM_OK) {
        status = probe_prompts(&mass, &candidate->best_rank, probing);
    }
    candidate->output_score = mass - plain_mass;
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
    return status;
}

static int measure_outputs(struct fathom_steer_candidate *candidates, size_t n, const fathom_model *model,
                           const fathom_dictionary *dictionary, const fathom_concept *concept) {
    struct probing probing = {.model = model, .concept = concept};
    struct fathom_session_options options = {
        .n_context = NEUTRAL_TOKENS, .n_batch = NEUTRAL_TOKENS, .n_threads = fathom__session_threads(model)};
    double plain_mass = 0;
    double plain_rank = 0;
    int status = fathom_session_open(&probing.session, model, &options);
    for (size_t p = 0; p < NEUTRAL_PROMPTS && status == FATHOM_OK; p++) {
        status = fathom_tokenize(&probing.prompts[p], &probing.lengths[p], model, neutral_prompts[p],
                                 strlen(neutral_prompts[p]), true, false);
    }
    if (status == FATHOM_OK) {
        status = probe_prompts(&plain_mass, &plain_rank, &probing);
    }
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        status = probe_candidate(&candidates[i], &probing, dictionary, plain_mass);
    }
    for (size_t p = 0; p < NEUTRAL_PROMPTS; p++) {
        fathom_free(probing.prompts[p]);
    }
    if (probing.session != NULL) {
        fathom_session_close(probing.session);
    }
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
