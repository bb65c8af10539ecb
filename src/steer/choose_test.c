/* Choosing features that work together, on a tiny model: one feature writes what is wanted, the others do not. */
#include "base/scratch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/steer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOOK "blocks.2.hook_resid_post"

enum { FEATURES = 8, PLANTED = 5, SECOND = 2 };

static const struct fathom_steer_pair wanted[] = {{"what is in the sea", "bridge bridge"},
                                                  {"who was the king of the city", "bridge gate"},
                                                  {"what is in the sea", "gate bridge bridge"}};
static const struct fathom_steer_pair plain[] = {{"what is in the sea", "music and the red team"},
                                                 {"music", "the king"}};
enum { WANTED = sizeof wanted / sizeof wanted[0], PLAIN = sizeof plain / sizeof plain[0] };

struct fixture {
    fathom_model *model;
    fathom_dictionary *dictionary;
    struct fathom_feature_measure measures[FEATURES];
    char path[256];
};

/* The direction along which the unembedding of a word's first token lies. */
static void plant(float *row, const fathom_model *model, const float *unembedding, const char *word) {
    int32_t *tokens = NULL;
    size_t n = 0;
    double norm = 0;
    assert_int_equal(fathom_tokenize(&tokens, &n, model, word, strlen(word), false, false), FATHOM_OK);
    assert_true(n > 0);
    for (size_t j = 0; j < TOY_WIDTH; j++) {
        row[j] = unembedding[(size_t)tokens[0] * TOY_WIDTH + j];
        norm += (double)row[j] * row[j];
    }
    for (size_t j = 0; j < TOY_WIDTH; j++) {
        row[j] /= (float)sqrt(norm);
    }
    fathom_free(tokens);
}

static void write_dictionary(const char *path, const fathom_model *model) {
    static float encoder[FEATURES * TOY_WIDTH], decoder[FEATURES * TOY_WIDTH], zeros[TOY_WIDTH], thresholds[FEATURES];
    const struct fathom_model_info *about = fathom_model_describe(model);
    float *unembedding = NULL;
    size_t rows = 0, columns = 0;
    for (uint32_t i = 0; i < FEATURES; i++) {
        thresholds[i] = TOY_THRESHOLD;
        for (uint32_t j = 0; j < TOY_WIDTH; j++) {
            encoder[i * TOY_WIDTH + j] = decoder[i * TOY_WIDTH + j] = toy_entry(i, j);
        }
    }
    assert_int_equal(fathom_model_unembedding(&unembedding, &rows, &columns, model), FATHOM_OK);
    assert_int_equal(columns, TOY_WIDTH);
    plant(decoder + PLANTED * TOY_WIDTH, model, unembedding, " bridge");
    plant(decoder + SECOND * TOY_WIDTH, model, unembedding, " gate");
    fathom_free(unembedding);
    struct fathom_dictionary_parts parts = {.info = {.name = "planted",
                                                     .architecture = "jumprelu",
                                                     .hook_in = HOOK,
                                                     .hook_out = HOOK,
                                                     .model_identity = about->source_identity,
                                                     .model_name = about->name,
                                                     .training = "{}",
                                                     .d_in = TOY_WIDTH,
                                                     .d_out = TOY_WIDTH,
                                                     .n_features = FEATURES,
                                                     .k = 4,
                                                     .input_scale = 1,
                                                     .skip_positions = 1,
                                                     .max_norm = INFINITY},
                                            .encoder = encoder,
                                            .encoder_bias = zeros,
                                            .decoder = decoder,
                                            .decoder_bias = zeros,
                                            .threshold = thresholds};
    assert_int_equal(fathom_dictionary_write(path, &parts, "f32"), FATHOM_OK);
}

static int setup(void **state) {
    static struct fixture fixture;
    const char *dictionary = scratch("planted.gguf");
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    snprintf(fixture.path, sizeof fixture.path, "%s", scratch("model.gguf"));
    assert_int_equal(fathom_test_tiny_model(fixture.path, "llama", 5), FATHOM_OK);
    assert_int_equal(fathom_model_open(&fixture.model, fixture.path, NULL), FATHOM_OK);
    write_dictionary(dictionary, fixture.model);
    assert_int_equal(fathom_dictionary_open(&fixture.dictionary, dictionary), FATHOM_OK);
    for (uint32_t f = 0; f < FEATURES; f++) {
        fixture.measures[f] = (struct fathom_feature_measure){.maximum = 4, .density = 0.1f, .decoder_norm = 1};
    }
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    fathom_dictionary_close(fixture->dictionary);
    fathom_model_close(fixture->model);
    return 0;
}

static const uint32_t everything[FEATURES] = {0, 1, 2, 3, 4, 5, 6, 7};

static struct fathom_steer_choosing choose_among_all(const struct fixture *fixture) {
    return (struct fathom_steer_choosing){.dictionary = fixture->dictionary,
                                          .measures = fixture->measures,
                                          .candidates = everything,
                                          .n_candidates = FEATURES,
                                          .wanted = wanted,
                                          .n_wanted = WANTED,
                                          .plain = plain,
                                          .n_plain = PLAIN,
                                          .style = {.prefix = "Q: ", .suffix = "\nA:"},
                                          .mode = FATHOM_STEER_ADD,
                                          .most = 2,
                                          .tolerance = 100,
                                          .n_threads = 1,
                                          .original = true};
}

static const float *weight_of(const struct fathom_steer_set *set, uint32_t feature) {
    for (size_t i = 0; i < set->n_features; i++) {
        if (set->features[i] == feature) {
            return &set->weights[i];
        }
    }
    return NULL;
}

/* Mean log probability of the pairs' answers under a set, each pair run by itself from its first token on. */
static double by_hand(const struct fixture *fixture, const struct fathom_steer_choosing *choosing,
                      const struct fathom_steer_set *set, const struct fathom_steer_pair *pairs, size_t n_pairs) {
    const struct fathom_session_options options = {.n_context = 128, .n_batch = 128, .n_threads = 1};
    fathom_session *session = NULL;
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    double mean = 0;
    assert_int_equal(fathom_session_open(&session, fixture->model, &options), FATHOM_OK);
    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    for (size_t i = 0; i < set->n_features; i++) {
        struct fathom_steer_feature edit = {.dictionary = fixture->dictionary,
                                            .feature = set->features[i],
                                            .mode = choosing->mode,
                                            .value = set->weights[i] * fixture->measures[set->features[i]].maximum,
                                            .spread = set->first_layer >= 0,
                                            .first_layer = set->first_layer,
                                            .last_layer = set->last_layer,
                                            .rows = choosing->rows};
        assert_int_equal(fathom_steer_add_feature(plan, &edit), FATHOM_OK);
    }
    assert_int_equal(fathom_steer_attach(&steering, session, plan), FATHOM_OK);
    for (size_t p = 0; p < n_pairs; p++) {
        int32_t *prompt = NULL, *answer = NULL, all[128];
        size_t n_prompt = 0, n_answer = 0;
        double each[128], sum = 0;
        char text[64];
        snprintf(text, sizeof text, " %s", pairs[p].answer);
        assert_int_equal(fathom_prompt_tokens(&prompt, &n_prompt, fixture->model, &choosing->style, pairs[p].question),
                         FATHOM_OK);
        assert_int_equal(fathom_tokenize(&answer, &n_answer, fixture->model, text, strlen(text), false, false),
                         FATHOM_OK);
        memcpy(all, prompt, n_prompt * sizeof *all);
        memcpy(all + n_prompt, answer, n_answer * sizeof *all);
        assert_int_equal(fathom_steering_prompt(steering, 0, (int32_t)n_prompt), FATHOM_OK);
        assert_int_equal(fathom_log_probabilities(each, session, all, n_prompt + n_answer), FATHOM_OK);
        for (size_t i = 0; i < n_answer; i++) {
            sum += each[n_prompt - 1 + i];
        }
        mean += sum / (double)n_answer / (double)n_pairs;
        fathom_free(prompt);
        fathom_free(answer);
    }
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
    fathom_session_close(session);
    return mean;
}

static void assert_parts(const struct fixture *fixture, const struct fathom_steer_choosing *choosing,
                         const struct fathom_steer_set *set, const struct fathom_steer_parts *parts) {
    assert_true(fabs(parts->wanted - by_hand(fixture, choosing, set, wanted, WANTED)) < 5e-3);
    assert_true(fabs(parts->plain - by_hand(fixture, choosing, set, plain, PLAIN)) < 5e-3);
}

static void the_planted_features_are_chosen_over_decoys(void **state) {
    const struct fixture *fixture = *state;
    struct fathom_steer_choosing choosing = choose_among_all(fixture);
    const struct fathom_steer_set nothing = {.first_layer = -1, .last_layer = -1};
    struct fathom_steer_chosen chosen;
    assert_int_equal(fathom_steer_choose(&chosen, fixture->model, &choosing), FATHOM_OK);
    assert_int_equal(chosen.set.n_features, 2);
    assert_int_equal(chosen.set.features[0], PLANTED);
    assert_int_equal(chosen.set.features[1], SECOND);
    assert_true(chosen.after.wanted > chosen.before.wanted + 1);
    assert_true(chosen.control_parts.wanted < chosen.after.wanted - 0.5);
    for (size_t i = 0; i < 2; i++) {
        assert_null(weight_of(&chosen.set, chosen.control.features[i]));
        assert_true(chosen.control.weights[i] == chosen.set.weights[i]);
    }
    assert_parts(fixture, &choosing, &nothing, &chosen.before);
    assert_parts(fixture, &choosing, &chosen.set, &chosen.after);
    assert_parts(fixture, &choosing, &chosen.control, &chosen.control_parts);
    assert_true(chosen.before.lost == 0 && chosen.before.objective == chosen.before.wanted);

    /* The first round tries all at all levels; what is kept is never worse than anything before it. */
    static const float levels[] = {0.5f, 1, 1.5f, 2};
    for (size_t i = 0; i < 4 * FEATURES; i++) {
        const struct fathom_steer_choice_trial *trial = &chosen.trials[i];
        assert_true(trial->round == 1 && !trial->refinement && trial->set.n_features == 1);
        assert_true(trial->set.features[0] == i / 4 && trial->set.weights[0] == levels[i % 4]);
    }
    assert_true(chosen.trials[4 * FEATURES].refinement);
    for (size_t i = 0; i < chosen.n_trials; i++) {
        assert_true(chosen.trials[i].parts.objective < chosen.after.objective + 0.02);
        assert_true(fabs(chosen.trials[i].parts.lost - (chosen.before.plain - chosen.trials[i].parts.plain)) < 1e-12);
    }
    fathom_steer_chosen_free(&chosen);
    assert_null(chosen.trials);
}

static void clamps_ranges_and_parts_of_the_text_are_scored_as_they_are_steered(void **state) {
    const struct fixture *fixture = *state;
    struct fathom_steer_choosing choosing = choose_among_all(fixture);
    const struct fathom_layer_range ranges[] = {{-1, -1}, {1, 3}};
    struct fathom_steer_chosen chosen;
    size_t spread = 0;
    choosing.mode = FATHOM_STEER_CLAMP;
    choosing.rows = FATHOM_STEER_ANSWER;
    choosing.ranges = ranges;
    choosing.n_ranges = 2;
    choosing.most = 1;
    assert_int_equal(fathom_steer_choose(&chosen, fixture->model, &choosing), FATHOM_OK);
    for (size_t i = 0; i < chosen.n_trials; i++) {
        spread += chosen.trials[i].set.first_layer == 1 && chosen.trials[i].set.last_layer == 3;
        assert_true(chosen.trials[i].parts.objective <= chosen.after.objective + 0.005);
        if (i % 8 == 0) {
            assert_parts(fixture, &choosing, &chosen.trials[i].set, &chosen.trials[i].parts);
        }
    }
    assert_true(spread >= 4 * FEATURES && spread + 4 * FEATURES <= chosen.n_trials);
    assert_parts(fixture, &choosing, &chosen.set, &chosen.after);
    fathom_steer_chosen_free(&chosen);
}

static void plain_answers_lose_no_more_than_is_worth_it(void **state) {
    const struct fixture *fixture = *state;
    struct fathom_steer_choosing choosing = choose_among_all(fixture);
    struct fathom_steer_chosen generous, strict;
    assert_int_equal(fathom_steer_choose(&generous, fixture->model, &choosing), FATHOM_OK);
    choosing.tolerance = 0.1;
    assert_int_equal(fathom_steer_choose(&strict, fixture->model, &choosing), FATHOM_OK);
    assert_true(generous.after.objective == generous.after.wanted); /* nothing costs anything */
    assert_true(generous.after.lost > 0.2);
    assert_true(strict.after.lost < generous.after.lost);
    for (size_t i = 0; i < strict.n_trials; i++) {
        const struct fathom_steer_parts *parts = &strict.trials[i].parts;
        double cost = parts->lost > 0.1 ? 2 * (parts->lost - 0.1) : 0;
        assert_true(fabs(parts->objective - (parts->wanted - cost)) < 1e-12);
    }
    fathom_steer_chosen_free(&generous);
    fathom_steer_chosen_free(&strict);
}

static void assert_same(const struct fathom_steer_chosen *a, const struct fathom_steer_chosen *b) {
    assert_int_equal(a->n_trials, b->n_trials);
    for (size_t i = 0; i < a->n_trials; i++) {
        assert_true(a->trials[i].parts.wanted == b->trials[i].parts.wanted &&
                    a->trials[i].parts.plain == b->trials[i].parts.plain);
    }
    assert_int_equal(a->set.n_features, b->set.n_features);
    assert_memory_equal(a->set.features, b->set.features, sizeof a->set.features);
    assert_memory_equal(a->set.weights, b->set.weights, sizeof a->set.weights);
    assert_memory_equal(a->control.features, b->control.features, sizeof a->control.features);
}

static void threads_and_repetition_change_nothing(void **state) {
    const struct fixture *fixture = *state;
    struct fathom_steer_choosing choosing = choose_among_all(fixture);
    struct fathom_steer_chosen one, again, three;
    choosing.plain = NULL; /* the model's own */
    assert_int_equal(fathom_steer_choose(&one, fixture->model, &choosing), FATHOM_OK);
    assert_int_equal(fathom_steer_choose(&again, fixture->model, &choosing), FATHOM_OK);
    choosing.n_threads = 3;
    assert_int_equal(fathom_steer_choose(&three, fixture->model, &choosing), FATHOM_OK);
    assert_same(&one, &again);
    assert_same(&one, &three);
    assert_true(one.before.plain > by_hand(fixture, &choosing, &(struct fathom_steer_set){0}, plain, PLAIN));
    fathom_steer_chosen_free(&one);
    fathom_steer_chosen_free(&again);
    fathom_steer_chosen_free(&three);
}

static void a_derived_copy_gives_nearly_the_same(void **state) {
    const struct fixture *fixture = *state;
    struct fathom_steer_choosing choosing = choose_among_all(fixture);
    struct fathom_steer_chosen original, derived;
    assert_int_equal(fathom_steer_choose(&original, fixture->model, &choosing), FATHOM_OK);
    choosing.original = false;
    assert_int_equal(fathom_steer_choose(&derived, fixture->model, &choosing), FATHOM_OK);
    assert_int_equal(derived.set.features[0], PLANTED);
    for (size_t i = 0; i < 4 * FEATURES; i++) {
        assert_true(fabs(original.trials[i].parts.wanted - derived.trials[i].parts.wanted) < 0.1);
        assert_true(fabs(original.trials[i].parts.plain - derived.trials[i].parts.plain) < 0.1);
    }
    fathom_steer_chosen_free(&original);
    fathom_steer_chosen_free(&derived);
}

static void candidates_are_found_on_texts(void **state) {
    const struct fixture *fixture = *state;
    struct fathom_steer_choosing choosing = choose_among_all(fixture);
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct fathom_steer_candidate *found = NULL;
    struct fathom_steer_chosen chosen;
    double last = INFINITY;
    size_t n = 0;
    assert_int_equal(fathom_texts_append(&texts, "the golden gate bridge", 22, FATHOM_LABEL_POSITIVE), FATHOM_OK);
    assert_int_equal(fathom_texts_append(&texts, "the team and the king", 21, FATHOM_LABEL_NEGATIVE), FATHOM_OK);
    choosing.candidates = NULL;
    choosing.n_candidates = 3;
    choosing.texts = &texts;
    choosing.most = 1;
    assert_int_equal(fathom_steer_choose(&chosen, fixture->model, &choosing), FATHOM_OK);
    assert_int_equal(
        fathom_steer_candidates(&found, &n, fixture->model, fixture->dictionary, &texts, NULL, 0, FEATURES), FATHOM_OK);
    double ranks[FEATURES] = {0};
    for (size_t i = 0; i < n; i++) {
        double up = (double)found[i].positive_mean, down = (double)found[i].negative_mean;
        ranks[found[i].feature] = up > down ? (up - down) * up / (up + down) : 0;
    }
    for (size_t i = 0; i < 3; i++) {
        double rank = ranks[chosen.trials[4 * i].set.features[0]];
        assert_true(rank > 0 && rank <= last);
        ranks[chosen.trials[4 * i].set.features[0]] = 0;
        last = rank;
    }
    for (size_t f = 0; f < FEATURES; f++) {
        assert_true(ranks[f] <= last);
    }
    fathom_free(found);
    fathom_steer_chosen_free(&chosen);
    fathom_texts_free(&texts);
}

struct watching {
    uint64_t calls, last, stop_at;
};

static int watch(const struct fathom_progress *progress, void *payload) {
    struct watching *watching = payload;
    assert_true(progress->done > watching->last && progress->done <= progress->total);
    watching->last = progress->done;
    watching->calls++;
    return watching->calls == watching->stop_at;
}

static void progress_is_told_and_can_stop(void **state) {
    const struct fixture *fixture = *state;
    struct fathom_steer_choosing choosing = choose_among_all(fixture);
    struct watching watching = {0};
    struct fathom_steer_chosen chosen;
    choosing.progress = watch;
    choosing.payload = &watching;
    assert_int_equal(fathom_steer_choose(&chosen, fixture->model, &choosing), FATHOM_OK);
    assert_int_equal(watching.last, chosen.n_trials + 2);
    fathom_steer_chosen_free(&chosen);
    watching = (struct watching){.stop_at = 7};
    assert_int_equal(fathom_steer_choose(&chosen, fixture->model, &choosing), FATHOM_ERROR_STOPPED);
    assert_int_equal(watching.calls, 7);
}

static void nothing_is_chosen_where_nothing_helps(void **state) {
    const struct fixture *fixture = *state;
    struct fathom_steer_choosing choosing = choose_among_all(fixture);
    struct fathom_steer_chosen chosen;
    choosing.n_wanted = 1;
    choosing.plain = wanted; /* what brings the wanted answer nearer can cost nothing then, but no feature is asked */
    choosing.n_plain = 1;
    struct fixture asleep = *fixture;
    for (uint32_t f = 0; f < FEATURES; f++) {
        asleep.measures[f].maximum = 1e-6f;
    }
    choosing.measures = asleep.measures;
    assert_int_equal(fathom_steer_choose(&chosen, fixture->model, &choosing), FATHOM_ERROR_NOT_FOUND);
    assert_non_null(strstr(fathom_error_message(), "none of 8 candidates"));
}

static void bad_choices_are_refused(void **state) {
    const struct fixture *fixture = *state;
    static const uint32_t twice[] = {1, 1}, beyond[] = {FEATURES};
    static const struct fathom_steer_pair empty[] = {{"music", ""}}, no_question[] = {{NULL, "bridge"}};
    static const struct fathom_layer_range backwards = {3, 1}, outside = {1, 9};
    static const char *const messages[] = {"dictionary",
                                           "at least one wanted answer",
                                           "at most 8 features",
                                           "tolerance",
                                           "tolerance",
                                           "clamped or added",
                                           "candidates, or labelled",
                                           "twice",
                                           "not 8",
                                           "wanted answer 1",
                                           "wanted answer 1",
                                           "layers 3 to 1",
                                           "layers 1 to 9",
                                           "maximum must be",
                                           "measures"};
    enum { BROKEN = sizeof messages / sizeof messages[0] };
    struct fathom_steer_choosing broken[BROKEN];
    struct fathom_feature_measure dead[FEATURES] = {{0}};
    struct fathom_steer_chosen chosen;
    for (size_t i = 0; i < BROKEN; i++) {
        broken[i] = choose_among_all(fixture);
    }
    broken[0].dictionary = NULL;
    broken[1].n_wanted = 0;
    broken[2].most = 9;
    broken[3].tolerance = -1;
    broken[4].tolerance = NAN;
    broken[5].mode = FATHOM_STEER_ABLATE;
    broken[6].candidates = NULL;
    broken[7].candidates = twice;
    broken[7].n_candidates = 2;
    broken[8].candidates = beyond;
    broken[8].n_candidates = 1;
    broken[9].wanted = empty;
    broken[9].n_wanted = 1;
    broken[10].wanted = no_question;
    broken[10].n_wanted = 1;
    broken[11].ranges = &backwards;
    broken[11].n_ranges = 1;
    broken[12].ranges = &outside;
    broken[12].n_ranges = 1;
    broken[13].measures = dead;
    broken[14].measures = NULL;
    for (size_t i = 0; i < BROKEN; i++) {
        assert_int_not_equal(fathom_steer_choose(&chosen, fixture->model, &broken[i]), FATHOM_OK);
        assert_non_null(strstr(fathom_error_message(), messages[i]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_planted_features_are_chosen_over_decoys),
        cmocka_unit_test(clamps_ranges_and_parts_of_the_text_are_scored_as_they_are_steered),
        cmocka_unit_test(plain_answers_lose_no_more_than_is_worth_it),
        cmocka_unit_test(threads_and_repetition_change_nothing),
        cmocka_unit_test(a_derived_copy_gives_nearly_the_same),
        cmocka_unit_test(candidates_are_found_on_texts),
        cmocka_unit_test(progress_is_told_and_can_stop),
        cmocka_unit_test(nothing_is_chosen_where_nothing_helps),
        cmocka_unit_test(bad_choices_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
