#include "base/error.h"
#include "base/memory.h"
#include "detect/read.h"
#include "steer/answer.h"
#include "steer/choose.h"
#include <math.h>
#include <stdlib.h>

/* Plain answers are as long as the wanted ones usually are; answers to this many questions are written at once. */
enum { DEFAULT_CANDIDATES = 32, PLAIN_TOKENS = 16, SIDE_BY_SIDE = 8, MOST_PAIRS = 120, MOST_ROWS = 1 << 14 };

static int check_candidates(const struct fathom_steer_choosing *choosing) {
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(choosing->dictionary);
    for (size_t i = 0; i < choosing->n_candidates; i++) {
        uint32_t feature = choosing->candidates[i];
        if (feature >= info->n_features) {
            return fathom__fail(FATHOM_ERROR_NOT_FOUND, "%s: has features 0 … %u, not %u", info->path,
                                info->n_features - 1, feature);
        }
        if (!(choosing->measures[feature].maximum > 0) || !isfinite(choosing->measures[feature].maximum)) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT, "feature %u: its maximum must be positive and finite, is %g",
                                feature, (double)choosing->measures[feature].maximum);
        }
        for (size_t j = 0; j < i; j++) {
            if (choosing->candidates[j] == feature) {
                return fathom__fail(FATHOM_ERROR_ARGUMENT, "feature %u is a candidate twice", feature);
            }
        }
    }
    return FATHOM_OK;
}

int fathom__choosing_check(const struct fathom_steer_choosing *choosing, const fathom_model *model) {
    if (choosing->dictionary == NULL || choosing->measures == NULL) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "choosing needs a dictionary and its features' measures");
    }
    if (choosing->n_wanted == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "choosing needs at least one wanted answer");
    }
    if (choosing->most > FATHOM_STEER_MOST_FEATURES) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "at most %d features are turned together, not %u",
                            FATHOM_STEER_MOST_FEATURES, choosing->most);
    }
    if (!(choosing->tolerance >= 0) || !isfinite(choosing->tolerance)) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "tolerance: 0 or more nats a token are expected, not %g",
                            choosing->tolerance);
    }
    if (choosing->mode != FATHOM_STEER_CLAMP && choosing->mode != FATHOM_STEER_ADD) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "only clamped or added features have levels to choose");
    }
    for (size_t r = 0; r < choosing->n_ranges; r++) {
        struct fathom_layer_range range = choosing->ranges[r];
        bool own = range.first == -1 && range.last == -1;
        if (!own && (range.first < 0 || range.last < range.first)) {
            return fathom__fail(FATHOM_ERROR_ARGUMENT,
                                "layers %d to %d: a range begins at 0 or later, or is -1 to -1 for the dictionary's "
                                "own layer",
                                range.first, range.last);
        }
    }
    if (choosing->candidates == NULL && choosing->texts == NULL) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "choosing needs candidates, or labelled texts to find them on");
    }
    if (choosing->n_wanted + (choosing->plain != NULL ? choosing->n_plain : choosing->n_wanted) > MOST_PAIRS) {
        return fathom__fail(FATHOM_ERROR_LIMIT, "at most %d answers, wanted and plain ones together, are scored",
                            MOST_PAIRS);
    }
    int status = fathom_dictionary_match(NULL, choosing->dictionary, model);
    return status == FATHOM_OK && choosing->candidates != NULL ? check_candidates(choosing) : status;
}

struct ranked {
    uint32_t feature;
    double rank;
};

static int by_rank(const void *a, const void *b) {
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->rank != y->rank) {
        return x->rank > y->rank ? -1 : 1;
    }
    return x->feature < y->feature ? -1 : x->feature > y->feature;
}

/* By activity on the concept's texts beyond that on near misses, times selectivity, times the decoder's norm. */
static int rank_candidates(uint32_t *out, size_t *n_out, size_t most, const struct fathom_steer_candidate *found,
                           size_t n, const struct fathom_feature_measure *measures) {
    struct ranked *ranked = NULL;
    size_t n_ranked = 0;
    int status = fathom__alloc(&ranked, n, sizeof *ranked);
    for (size_t i = 0; i < n && status == FATHOM_OK; i++) {
        const struct fathom_feature_measure *measure = &measures[found[i].feature];
        double positive = (double)found[i].positive_mean;
        double negative = (double)found[i].negative_mean;
        if (positive > negative && measure->maximum > 0) {
            double selectivity = positive / (positive + negative);
            ranked[n_ranked++] =
                (struct ranked){found[i].feature, (positive - negative) * selectivity * (double)measure->decoder_norm};
        }
    }
    if (status == FATHOM_OK) {
        qsort(ranked, n_ranked, sizeof *ranked, by_rank);
        *n_out = n_ranked < most ? n_ranked : most;
    }
    for (size_t i = 0; status == FATHOM_OK && i < *n_out; i++) {
        out[i] = ranked[i].feature;
    }
    fathom_free(ranked);
    return status;
}

int fathom__choosing_candidates(uint32_t **out, size_t *n_out, const fathom_model *model,
                                const struct fathom_steer_choosing *choosing) {
    size_t n_features = fathom_dictionary_describe(choosing->dictionary)->n_features;
    size_t most = choosing->n_candidates > 0 ? choosing->n_candidates : DEFAULT_CANDIDATES;
    struct fathom_steer_candidate *found = NULL;
    uint32_t *candidates = NULL;
    size_t n = 0;
    int status = fathom__alloc(&candidates, most, sizeof *candidates);
    if (choosing->candidates != NULL) {
        for (size_t i = 0; i < choosing->n_candidates && status == FATHOM_OK; i++) {
            candidates[n++] = choosing->candidates[i];
        }
    } else {
        size_t n_found = 0;
        if (status == FATHOM_OK) {
            status = fathom_steer_candidates(&found, &n_found, model, choosing->dictionary, choosing->texts, NULL, 0,
                                             n_features);
        }
        if (status == FATHOM_OK) {
            status = rank_candidates(candidates, &n, most, found, n_found, choosing->measures);
        }
    }
    if (status == FATHOM_OK && n == 0) {
        status = fathom__fail(FATHOM_ERROR_NOT_FOUND, "no feature is more active on the concept's texts than on the "
                                                      "others, so there is none to choose");
    }
    fathom_free(found);
    if (status != FATHOM_OK) {
        fathom_free(candidates);
        return status;
    }
    *out = candidates;
    *n_out = n;
    return FATHOM_OK;
}

/* Answers to the prompts [first, first + n), greedily; an answer without a token says nothing of the model's plain way
 * and is left out. */
static int answer_some(struct fathom__pairs *pairs, fathom_session *session, const char *stop, size_t first, size_t n) {
    const struct fathom_sampling greedy = FATHOM_SAMPLING_INIT;
    struct fathom__request requests[SIDE_BY_SIDE];
    struct fathom__answer answers[SIDE_BY_SIDE];
    for (size_t i = 0; i < n; i++) {
        requests[i] = (struct fathom__request){pairs->prompts[first + i].tokens, pairs->prompts[first + i].n, 0};
    }
    int status = fathom__answers_generate(answers, session, NULL, requests, n, PLAIN_TOKENS, &greedy, stop, NULL);
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        if (status == FATHOM_OK && answers[i].n > 0) {
            status = fathom__pairs_add(pairs, first + i, answers[i].tokens, answers[i].n, FATHOM__PAIR_PLAIN);
            answers[i].tokens = NULL;
        }
        fathom__answer_free(&answers[i]);
    }
    return status;
}

static int answer_plainly(struct fathom__pairs *pairs, const fathom_model *model, const char *stop) {
    struct fathom_session_options options = FATHOM_SESSION_OPTIONS_INIT;
    fathom_session *session = NULL;
    size_t longest = 0;
    for (size_t p = 0; p < pairs->n_prompts; p++) {
        longest = pairs->prompts[p].n > longest ? pairs->prompts[p].n : longest;
    }
    size_t together = pairs->n_prompts < SIDE_BY_SIDE ? pairs->n_prompts : SIDE_BY_SIDE;
    options.n_batch = (uint32_t)longest + PLAIN_TOKENS;
    options.n_sequences = (uint32_t)together;
    options.n_context = options.n_batch * options.n_sequences;
    options.n_threads = fathom__session_threads(model);
    int status = fathom_session_open(&session, model, &options);
    for (size_t first = 0; first < pairs->n_prompts && status == FATHOM_OK; first += SIDE_BY_SIDE) {
        size_t n = pairs->n_prompts - first < SIDE_BY_SIDE ? pairs->n_prompts - first : SIDE_BY_SIDE;
        status = answer_some(pairs, session, stop, first, n);
    }
    fathom_session_close(session);
    return status;
}

/* Rows that a session must hold, however little prompts share. */
static int check_length(const struct fathom__pairs *pairs) {
    size_t n = 0;
    bool plain = false;
    for (size_t p = 0; p < pairs->n_prompts; p++) {
        n += pairs->prompts[p].n;
    }
    for (size_t p = 0; p < pairs->n; p++) {
        n += pairs->pairs[p].n;
        plain = plain || pairs->pairs[p].kind == FATHOM__PAIR_PLAIN;
    }
    if (n > MOST_ROWS) {
        return fathom__fail(FATHOM_ERROR_LIMIT, "questions and answers of %zu tokens in all are longer than %d", n,
                            MOST_ROWS);
    }
    return plain ? FATHOM_OK
                 : fathom__fail(FATHOM_ERROR_ARGUMENT, "there is no plain answer to compare with: the model says "
                                                       "nothing to these questions");
}

int fathom__choosing_pairs(struct fathom__pairs *out, const fathom_model *model,
                           const struct fathom_steer_choosing *choosing) {
    struct fathom__pairs pairs = {0};
    int status = FATHOM_OK;
    for (size_t i = 0; i < choosing->n_wanted && status == FATHOM_OK; i++) {
        status = fathom__pairs_add_text(&pairs, model, &choosing->style, &choosing->wanted[i], FATHOM__PAIR_WANTED);
        status = status == FATHOM_OK ? status : fathom__wrap(status, "wanted answer %zu", i + 1);
    }
    for (size_t i = 0; i < choosing->n_plain && choosing->plain != NULL && status == FATHOM_OK; i++) {
        status = fathom__pairs_add_text(&pairs, model, &choosing->style, &choosing->plain[i], FATHOM__PAIR_PLAIN);
        status = status == FATHOM_OK ? status : fathom__wrap(status, "plain answer %zu", i + 1);
    }
    if (status == FATHOM_OK && choosing->plain == NULL) {
        status = answer_plainly(&pairs, model, choosing->style.stop);
    }
    if (status == FATHOM_OK) {
        status = check_length(&pairs);
    }
    if (status != FATHOM_OK) {
        fathom__pairs_free(&pairs);
        return status;
    }
    *out = pairs;
    return FATHOM_OK;
}
