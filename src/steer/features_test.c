/* Measuring features, choosing a control for one, and finding those of a concept. */
#include "base/scratch.h"
#include "detect/read.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/steer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SCALE 0.5f
#define HOOK "blocks.2.hook_resid_post"

struct fixture {
    fathom_model *model;
    fathom_dictionary *dictionary;
    struct fathom_texts texts;
};

static void add(struct fathom_texts *texts, const char *text, enum fathom_text_label label) {
    assert_int_equal(fathom_texts_append(texts, text, strlen(text), label), FATHOM_OK);
}

static int setup(void **state) {
    static struct fixture fixture;
    const char *path = scratch("model.gguf"), *dictionary = scratch("toy.gguf");
    struct toy_options options = {.hook = HOOK, .scale = SCALE, .skip_positions = 1, .max_norm = INFINITY};
    assert_int_equal(fathom_test_tiny_model(path, "llama", 5), FATHOM_OK);
    assert_int_equal(fathom_model_open(&fixture.model, path, NULL), FATHOM_OK);
    assert_int_equal(toy_dictionary_write(dictionary, fixture.model, &options), FATHOM_OK);
    assert_int_equal(fathom_dictionary_open(&fixture.dictionary, dictionary), FATHOM_OK);
    add(&fixture.texts, "a golden gate bridge in the red sea", FATHOM_LABEL_POSITIVE);
    add(&fixture.texts, "on the bridge of the golden gate", FATHOM_LABEL_POSITIVE);
    add(&fixture.texts, "the bridge and the gate", FATHOM_LABEL_POSITIVE);
    add(&fixture.texts, "the team and the king play for points", FATHOM_LABEL_NEGATIVE);
    add(&fixture.texts, "music was in the city", FATHOM_LABEL_NEGATIVE);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    fathom_texts_free(&fixture->texts);
    fathom_dictionary_close(fixture->dictionary);
    fathom_model_close(fixture->model);
    return 0;
}

/* By hand over the same rows. */
struct by_hand {
    double maximum[TOY_FEATURES], text_mean[8][TOY_FEATURES], text_maximum[8][TOY_FEATURES];
    size_t active[TOY_FEATURES], covered;
};

static int tally(const struct fathom__piece *piece, void *payload) {
    struct by_hand *hand = payload;
    for (size_t r = 1; r < piece->n_tokens; r++) {
        hand->covered++;
        for (uint32_t f = 0; f < TOY_FEATURES; f++) {
            double level = toy_level(piece->rows[0] + r * TOY_WIDTH, f, SCALE);
            hand->active[f] += level > 0;
            hand->maximum[f] = fmax(hand->maximum[f], level);
            hand->text_mean[piece->text][f] += level / (double)(piece->n_tokens - 1);
            hand->text_maximum[piece->text][f] = fmax(hand->text_maximum[piece->text][f], level);
        }
    }
    return 0;
}

static void tally_texts(struct by_hand *hand, const struct fixture *fixture) {
    const struct fathom_hook hook = {FATHOM_HOOK_RESID_POST, 2};
    *hand = (struct by_hand){0};
    assert_int_equal(fathom__read_texts(fixture->model, &fixture->texts, &hook, 1, tally, hand), FATHOM_OK);
}

static void measures_are_what_the_rows_say(void **state) {
    struct fixture *fixture = *state;
    struct fathom_feature_measure *measures = NULL;
    struct by_hand hand;
    tally_texts(&hand, fixture);
    assert_int_equal(fathom_feature_measure_all(&measures, fixture->dictionary, fixture->model, &fixture->texts),
                     FATHOM_OK);
    for (uint32_t f = 0; f < TOY_FEATURES; f++) {
        assert_true(fabs(measures[f].maximum - hand.maximum[f]) < 1e-3);
        assert_true(fabs(measures[f].density - (double)hand.active[f] / (double)hand.covered) < 1e-6);
        assert_true(fabs(measures[f].decoder_norm - 1) < 1e-6);
    }
    fathom_free(measures);
    assert_int_equal(fathom_feature_measure_all(&measures, fixture->dictionary, fixture->model, NULL), FATHOM_OK);
    assert_true(measures[3].maximum > 0 && measures[3].density > 0 && measures[3].density < 1);
    fathom_free(measures);
}

static void a_control_is_as_active(void **state) {
    (void)state;
    enum { N = 100, TARGET = 40, DEAD = 41 };
    static struct fathom_feature_measure measures[N];
    uint32_t chosen = 0, again = 0;
    bool seen[N] = {false};
    size_t distinct = 0;
    /* 10 features like the target, six more at half its density, all others far from it. */
    for (uint32_t f = 0; f < N; f++) {
        measures[f] = (struct fathom_feature_measure){f < 10 || f == TARGET ? 5.0f : 50.0f,
                                                      f < 10 || f == TARGET ? 0.01f : 0.5f, 1.0f};
    }
    for (uint32_t f = 10; f < 16; f++) {
        measures[f] = (struct fathom_feature_measure){5.0f, 0.005f, 1.0f};
    }
    measures[DEAD] = (struct fathom_feature_measure){0, 0, 1.0f};
    for (uint64_t seed = 0; seed < 200; seed++) {
        assert_int_equal(fathom_feature_control(&chosen, measures, N, TARGET, NULL, 0, seed), FATHOM_OK);
        assert_true(chosen < 16);
        distinct += !seen[chosen];
        seen[chosen] = true;
    }
    assert_true(distinct == 16);
    assert_int_equal(fathom_feature_control(&chosen, measures, N, TARGET, NULL, 0, 7), FATHOM_OK);
    assert_int_equal(fathom_feature_control(&again, measures, N, TARGET, NULL, 0, 7), FATHOM_OK);
    assert_int_equal(chosen, again);
    const uint32_t avoid[] = {chosen};
    assert_int_equal(fathom_feature_control(&again, measures, N, TARGET, avoid, 1, 7), FATHOM_OK);
    assert_int_not_equal(again, chosen);
    assert_int_equal(fathom_feature_control(&chosen, measures, N, DEAD, NULL, 0, 7), FATHOM_ERROR_NOT_FOUND);
    assert_int_equal(fathom_feature_control(&chosen, measures, N, N, NULL, 0, 7), FATHOM_ERROR_NOT_FOUND);
    assert_int_equal(fathom_feature_control(&chosen, measures + TARGET, 2, 0, NULL, 0, 7),
                     FATHOM_ERROR_NOT_FOUND); /* the other one is dead */
}

/* How much of each output token's logit a feature's direction is, less the mean over the tokens; new (free). */
static double *effects_by_hand(size_t *n_vocab, const struct fixture *fixture, uint32_t feature) {
    struct fathom_final_norm norm;
    float *unembedding = NULL;
    float direction[TOY_WIDTH];
    size_t width = 0;
    double mean = 0;
    assert_int_equal(fathom_model_unembedding(&unembedding, n_vocab, &width, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_model_final_norm(&norm, fixture->model), FATHOM_OK);
    assert_int_equal(width, TOY_WIDTH);
    assert_int_equal(fathom_dictionary_direction(direction, fixture->dictionary, feature), FATHOM_OK);
    double *effects = calloc(*n_vocab, sizeof *effects);
    assert_non_null(effects);
    for (size_t v = 0; v < *n_vocab; v++) {
        for (size_t i = 0; i < width; i++) {
            effects[v] += (double)unembedding[v * width + i] * (double)norm.gain[i] * (double)direction[i];
        }
        mean += effects[v] / (double)*n_vocab;
    }
    for (size_t v = 0; v < *n_vocab; v++) {
        effects[v] -= mean;
    }
    fathom_free(norm.gain);
    fathom_free(norm.bias);
    fathom_free(unembedding);
    return effects;
}

/* The likeliest of the 20 tokens with the largest effects. */
static double best_by_hand(const double *effects, const float *logits, size_t n_vocab) {
    enum { RAISED = 20 };
    double total = 0;
    double best = 0;
    for (size_t v = 0; v < n_vocab; v++) {
        total += exp((double)logits[v]);
    }
    for (size_t v = 0; v < n_vocab; v++) {
        size_t stronger = 0;
        size_t likelier = 0;
        for (size_t w = 0; w < n_vocab; w++) {
            stronger += effects[w] > effects[v];
            likelier += logits[w] > logits[v];
        }
        if (stronger < RAISED && effects[v] > 0) {
            best = fmax(best, (1 - (double)likelier / (double)n_vocab) * exp((double)logits[v]) / total);
        }
    }
    return best;
}

static double score_by_hand(const struct fixture *fixture, uint32_t feature, float value) {
    static const char *const prompts[] = {"In my experience,", "From my point of view,",
                                          "The first thing to say is that", "I think"};
    const struct fathom_steer_feature edit = {
        .dictionary = fixture->dictionary, .feature = feature, .mode = FATHOM_STEER_ADD, .value = value};
    fathom_steer *plan = NULL;
    size_t n_vocab = 0;
    double score = 0;
    double *effects = effects_by_hand(&n_vocab, fixture, feature);
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_steer_add_feature(plan, &edit), FATHOM_OK);
    for (int steered = 0; steered < 2; steered++) {
        fathom_session *session = NULL;
        fathom_steering *steering = NULL;
        assert_int_equal(fathom_session_open(&session, fixture->model, NULL), FATHOM_OK);
        if (steered) {
            assert_int_equal(fathom_steer_attach(&steering, session, plan), FATHOM_OK);
        }
        for (size_t p = 0; p < 4; p++) {
            int32_t *tokens = NULL;
            size_t n = 0;
            assert_int_equal(fathom_tokenize(&tokens, &n, fixture->model, prompts[p], strlen(prompts[p]), true, false),
                             FATHOM_OK);
            fathom_session_forget(session, -1, 0);
            assert_int_equal(fathom_session_feed(session, tokens, n, 0, 0, false), FATHOM_OK);
            const double best = best_by_hand(effects, fathom_session_logits(session, n - 1), n_vocab);
            score += (steered ? best : -best) / 4;
            fathom_free(tokens);
        }
        fathom_steer_detach(steering);
        fathom_session_close(session);
    }
    fathom_steer_close(plan);
    free(effects);
    return score;
}

static void candidates_are_ranked_by_difference_then_output(void **state) {
    struct fixture *fixture = *state;
    const char *const words[] = {"bridge", "gate"};
    struct fathom_steer_candidate *candidates = NULL;
    fathom_concept *concept = NULL;
    struct by_hand hand;
    size_t n = 0;
    tally_texts(&hand, fixture);
    assert_int_equal(fathom_concept_open(&concept, fixture->model, words, 2), FATHOM_OK);
    assert_int_equal(
        fathom_steer_candidates(&candidates, &n, fixture->model, fixture->dictionary, &fixture->texts, concept, 0, 100),
        FATHOM_OK);
    assert_true(n > 4 && n <= TOY_FEATURES);
    for (size_t i = 0; i < n; i++) {
        uint32_t f = candidates[i].feature;
        double positive = (hand.text_mean[0][f] + hand.text_mean[1][f] + hand.text_mean[2][f]) / 3;
        double negative = (hand.text_mean[3][f] + hand.text_mean[4][f]) / 2, wins = 0;
        assert_true(fabs(candidates[i].positive_mean - positive) < 1e-3);
        assert_true(fabs(candidates[i].negative_mean - negative) < 1e-3);
        assert_true(fabs(candidates[i].maximum - hand.maximum[f]) < 1e-3);
        for (size_t p = 0; p < 3; p++) {
            for (size_t q = 3; q < 5; q++) {
                double a = hand.text_maximum[p][f], b = hand.text_maximum[q][f];
                wins += a > b ? 1 : a == b ? 0.5 : 0;
            }
        }
        assert_true(fabs(candidates[i].auroc - wins / 6) < 1e-9);
        assert_true(isnan(candidates[i].output_score));
        if (i > 0) {
            assert_true(candidates[i - 1].positive_mean - candidates[i - 1].negative_mean >=
                        candidates[i].positive_mean - candidates[i].negative_mean);
        }
    }
    uint32_t first = candidates[0].feature, second = candidates[1].feature, third = candidates[2].feature;
    fathom_free(candidates);
    assert_int_equal(
        fathom_steer_candidates(&candidates, &n, fixture->model, fixture->dictionary, &fixture->texts, concept, 2, 3),
        FATHOM_OK);
    assert_int_equal(n, 3);
    assert_true((candidates[0].feature == first && candidates[1].feature == second) ||
                (candidates[0].feature == second && candidates[1].feature == first));
    assert_true(candidates[0].output_score >= candidates[1].output_score);
    assert_true(candidates[0].output_score != 0 && candidates[0].best_rank >= 0);
    for (size_t i = 0; i < 2; i++) {
        const double expected = score_by_hand(fixture, candidates[i].feature, 10 * candidates[i].maximum);
        assert_true(expected != 0 && fabs(candidates[i].raised_score - expected) < 1e-3 * fabs(expected) + 1e-6);
    }
    assert_true(isnan(candidates[2].raised_score));
    assert_true(candidates[2].feature == third && isnan(candidates[2].output_score));
    fathom_free(candidates);
    struct fathom_texts one_class = FATHOM_TEXTS_INIT;
    add(&one_class, "the gate", FATHOM_LABEL_POSITIVE);
    assert_int_equal(
        fathom_steer_candidates(&candidates, &n, fixture->model, fixture->dictionary, &one_class, concept, 2, 3),
        FATHOM_ERROR_ARGUMENT);
    fathom_texts_free(&one_class);
    fathom_concept_close(concept);
    /* Words are needed to measure what is said. */
    static const char *const expression[] = {"/gold(en)?/"};
    assert_int_equal(fathom_concept_open(&concept, fixture->model, expression, 1), FATHOM_OK);
    assert_int_equal(
        fathom_steer_candidates(&candidates, &n, fixture->model, fixture->dictionary, &fixture->texts, concept, 2, 3),
        FATHOM_ERROR_ARGUMENT);
    assert_int_equal(
        fathom_steer_candidates(&candidates, &n, fixture->model, fixture->dictionary, &fixture->texts, NULL, 1, 3),
        FATHOM_ERROR_ARGUMENT);
    fathom_concept_close(concept);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_are_what_the_rows_say),
        cmocka_unit_test(a_control_is_as_active),
        cmocka_unit_test(candidates_are_ranked_by_difference_then_output),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
