/* Answers, their figures, and the search over settings, on a tiny model that knows nothing. */
#include "base/scratch.h"
#include "steer/answer.h"
#include "steer/asker.h"
#include "steer/concept.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/steer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HOOK "blocks.2.hook_resid_post"

static const char *const questions[] = {"what is in the sea", "who was the king of the city", "music"};
static const char *const words[] = {"bridge", "/[a-m]/"};

struct fixture {
    fathom_model *model;
    fathom_dictionary *dictionary;
    fathom_concept *concept;
};

static int setup(void **state) {
    static struct fixture fixture;
    const char *path = scratch("model.gguf"), *dictionary = scratch("toy.gguf");
    struct toy_options options = {.hook = HOOK, .scale = 1, .skip_positions = 1, .max_norm = INFINITY};
    assert_int_equal(fathom_test_tiny_model(path, "llama", 5), FATHOM_OK);
    assert_int_equal(fathom_model_open(&fixture.model, path, NULL), FATHOM_OK);
    assert_int_equal(toy_dictionary_write(dictionary, fixture.model, &options), FATHOM_OK);
    assert_int_equal(fathom_dictionary_open(&fixture.dictionary, dictionary), FATHOM_OK);
    assert_int_equal(fathom_concept_open(&fixture.concept, fixture.model, words, 2), FATHOM_OK);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    fathom_concept_close(fixture->concept);
    fathom_dictionary_close(fixture->dictionary);
    fathom_model_close(fixture->model);
    return 0;
}

static struct fathom_steer_asking ask_three(void) {
    return (struct fathom_steer_asking){.questions = questions,
                                        .n_questions = 3,
                                        .style = {.prefix = "Q: ", .suffix = "\nA:"},
                                        .n_seeds = 2,
                                        .max_new = 6,
                                        .sampling = {.seed = 11, .temperature = 1}};
}

static void styles_make_prompts(void **state) {
    struct fixture *fixture = *state;
    struct fathom_prompt_style raw = {.prefix = "Q: ", .suffix = "\nA:"}, chat = {.chat = true},
                               empty = FATHOM_PROMPT_STYLE_INIT;
    int32_t *tokens = NULL;
    size_t n = 0;
    char *text = NULL;
    assert_int_equal(fathom_prompt_tokens(&tokens, &n, fixture->model, &raw, "the sea"), FATHOM_OK);
    assert_int_equal(fathom_detokenize(&text, fixture->model, tokens, n), FATHOM_OK);
    assert_string_equal(text, "Q: the sea\nA:");
    fathom_free(text);
    fathom_free(tokens);
    assert_int_equal(fathom_prompt_tokens(&tokens, &n, fixture->model, &chat, "the sea"), FATHOM_OK);
    assert_int_equal(fathom_detokenize(&text, fixture->model, tokens, n), FATHOM_OK);
    assert_non_null(strstr(text, "user\nthe sea"));
    assert_true(fathom_token_is_special(fixture->model, tokens[0]));
    fathom_free(text);
    fathom_free(tokens);
    assert_int_equal(fathom_prompt_tokens(&tokens, &n, fixture->model, &empty, ""), FATHOM_ERROR_ARGUMENT);
}

static void kept_prompts_give_the_sessions_probabilities(void **state) {
    struct fixture *fixture = *state;
    enum { N = 7, PROMPT = 4, PROMPTS = 3 };
    int32_t all[PROMPTS][N] = {{40, 41, 42, 100, 101, 7, 8}, {60, 61, 62, 63, 101, 7, 8}, {9, 10, 11, 12, 101, 7, 8}};
    struct fathom__prompt prompts[PROMPTS] = {{all[0], PROMPT}, {all[1], PROMPT}, {all[2] + PROMPT - 1, 1}};
    struct fathom_session_options options = {
        .n_context = 128, .n_batch = 64, .n_sequences = 2 * PROMPTS, .n_threads = 1};
    static const size_t which[PROMPTS] = {2, 0, 1};
    fathom_session *session = NULL;
    double each[N - 1], expected[PROMPTS] = {0}, found[PROMPTS];
    assert_int_equal(fathom_session_open(&session, fixture->model, &options), FATHOM_OK);
    for (size_t q = 0; q < PROMPTS; q++) {
        size_t first = q < 2 ? 0 : PROMPT - 1; /* the last prompt is a single token */
        assert_int_equal(fathom_log_probabilities(each, session, all[q] + first, N - first), FATHOM_OK);
        for (size_t i = PROMPT - 1 - first; i < N - 1 - first; i++) {
            expected[q] += each[i];
        }
    }
    assert_int_equal(fathom__prompts_keep(session, prompts, PROMPTS), FATHOM_OK);
    for (size_t n = 1; n <= PROMPTS; n++) { /* later ones find the prompts as the first did */
        assert_int_equal(
            fathom__prompts_probabilities(found, session, prompts, PROMPTS, which, n, all[0] + PROMPT, N - PROMPT),
            FATHOM_OK);
        for (size_t i = 0; i < n; i++) {
            assert_true(fabs(found[i] - expected[which[i]]) < 1e-3 * fabs(expected[which[i]]));
        }
    }
    assert_true(fabs(expected[0] - expected[1]) > 0.01 && fabs(expected[0] - expected[2]) > 0.01);
    fathom_session_close(session);
}

static void answer_one(struct fathom__answer *out, fathom_session *session, const int32_t *prompt, uint64_t seed,
                       const char *stop) {
    const struct fathom_sampling sampling = {.temperature = 1};
    const struct fathom__request request = {prompt, 3, seed};
    assert_int_equal(fathom__answers_generate(out, session, NULL, &request, 1, 12, &sampling, stop, NULL), FATHOM_OK);
}

static void answers_stop_before_the_stop_text(void **state) {
    struct fixture *fixture = *state;
    struct fathom_session_options options = {.n_context = 64, .n_batch = 64, .n_threads = 1};
    const int32_t prompt[] = {40, 41, 42};
    struct fathom__answer whole, cut;
    fathom_session *session = NULL;
    assert_int_equal(fathom_session_open(&session, fixture->model, &options), FATHOM_OK);
    answer_one(&whole, session, prompt, 3, NULL);
    assert_true(whole.n > 4 && strlen(whole.text) > 4);
    /* A stop text out of the middle of the answer. */
    char stop[2] = {whole.text[strlen(whole.text) / 2], '\0'};
    const char *where = strstr(whole.text, stop);
    answer_one(&cut, session, prompt, 3, stop);
    assert_int_equal(strlen(cut.text), where - whole.text);
    assert_memory_equal(cut.text, whole.text, strlen(cut.text));
    assert_true(cut.n < whole.n);
    assert_memory_equal(cut.tokens, whole.tokens, cut.n * sizeof(int32_t));
    fathom__answer_free(&whole);
    fathom__answer_free(&cut);
    fathom_session_close(session);
}

static void answers_side_by_side_are_those_one_by_one(void **state) {
    struct fixture *fixture = *state;
    enum { N = 5 };
    struct fathom_session_options options = {.n_context = 128, .n_batch = 64, .n_sequences = N, .n_threads = 1};
    const struct fathom_sampling sampling = {.temperature = 1, .repeat_penalty = 1.2f};
    const int32_t prompts[][3] = {{40, 41, 42}, {100, 101, 7}, {60, 61, 62}};
    static const size_t of[N] = {0, 0, 1, 2, 2}; /* a prompt that comes again is run once */
    struct fathom__request requests[N];
    struct fathom__answer together[N];
    fathom_session *session = NULL;
    char *alone = NULL;
    assert_int_equal(fathom_session_open(&session, fixture->model, &options), FATHOM_OK);
    for (size_t i = 0; i < N; i++) {
        requests[i] = (struct fathom__request){prompts[of[i]], 3, 20 + i};
    }
    assert_int_equal(
        fathom__answers_generate(together, session, NULL, requests, N, 10, &sampling, NULL, fixture->concept),
        FATHOM_OK);
    for (size_t i = 0; i < N; i++) {
        struct fathom_sampling own = sampling;
        own.seed = 20 + i;
        assert_int_equal(fathom_generate(&alone, session, prompts[of[i]], 3, 10, &own, NULL, NULL), FATHOM_OK);
        assert_string_equal(together[i].text, alone);
        fathom_free(alone);
        assert_true(together[i].concept < 0 && together[i].concept > -30);
        fathom__answer_free(&together[i]);
    }
    assert_int_equal(
        fathom__answers_generate(together, session, NULL, requests, N, 0, &sampling, NULL, fixture->concept),
        FATHOM_OK);
    assert_true(together[2].n == 0 && together[2].text[0] == '\0');
    for (size_t i = 0; i < N; i++) {
        fathom__answer_free(&together[i]);
    }
    fathom_session_close(session);
}

static void scores_follow_their_definitions(void **state) {
    struct fixture *fixture = *state;
    struct fathom_steer_asking asking = ask_three();
    struct fathom_steer_score plain, again, steered;
    struct fathom_answers answers = FATHOM_ANSWERS_INIT, second = FATHOM_ANSWERS_INIT, turned = FATHOM_ANSWERS_INIT;
    struct fathom_steer_feature edit = {
        .dictionary = fixture->dictionary, .feature = 3, .mode = FATHOM_STEER_ADD, .value = 60};
    fathom_steer *plan = NULL;
    assert_int_equal(fathom_steer_ask(&plain, &answers, fixture->model, NULL, &asking, fixture->concept, NULL),
                     FATHOM_OK);
    assert_int_equal(plain.n_answers, 6);
    assert_int_equal(answers.n, 6);
    assert_string_not_equal(answers.texts[0], answers.texts[1]); /* another seed */
    size_t mentioning = 0;
    for (size_t i = 0; i < answers.n; i++) {
        mentioning += fathom_concept_mentions(fixture->concept, answers.texts[i]) > 0;
    }
    assert_true(plain.mention_rate == (double)mentioning / 6 && plain.concept_part == plain.mention_rate);
    assert_true(plain.log_probability < 0 && plain.repetition >= 0 && plain.distinct_1 > 0 && plain.distinct_1 <= 1);
    assert_true(fabs(plain.fluency_part - (1 - plain.repetition)) < 1e-12);

    assert_int_equal(fathom_steer_ask(&again, &second, fixture->model, NULL, &asking, fixture->concept, NULL),
                     FATHOM_OK);
    for (size_t i = 0; i < answers.n; i++) {
        assert_string_equal(answers.texts[i], second.texts[i]);
    }
    assert_true(again.log_probability == plain.log_probability && again.objective == plain.objective);

    assert_int_equal(fathom_steer_open(&plan, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_steer_add_feature(plan, &edit), FATHOM_OK);
    assert_int_equal(fathom_steer_ask(&steered, &turned, fixture->model, plan, &asking, fixture->concept, &plain),
                     FATHOM_OK);
    size_t changed = 0;
    for (size_t i = 0; i < answers.n; i++) {
        changed += strcmp(answers.texts[i], turned.texts[i]) != 0;
    }
    assert_true(changed >= 4);
    assert_true(steered.log_probability < plain.log_probability); /* the plain model finds them less likely */
    double fluency = (1 - steered.repetition) * exp((steered.log_probability - plain.log_probability) / 2);
    assert_true(fabs(steered.fluency_part - fluency) < 1e-9);
    double relevance = plain.relevance > 0 ? fmin(1, fmax(0, steered.relevance / plain.relevance)) : 0;
    assert_true(fabs(steered.relevance_part - relevance) < 1e-9);
    fathom_steer_close(plan);
    fathom_answers_free(&answers);
    fathom_answers_free(&second);
    fathom_answers_free(&turned);

    asking.n_questions = 1; /* compared with questions that are not answered */
    assert_int_equal(fathom_steer_ask(&plain, NULL, fixture->model, NULL, &asking, NULL, NULL), FATHOM_OK);
    assert_int_equal(plain.n_answers, 2);
    assert_true(isnan(plain.mention_rate) && isfinite(plain.relevance) && plain.relevance != 0);
    asking.others = questions + 1;
    asking.n_others = 2;
    assert_int_equal(fathom_steer_ask(&again, NULL, fixture->model, NULL, &asking, NULL, NULL), FATHOM_OK);
    assert_true(again.log_probability == plain.log_probability && again.relevance != plain.relevance);
    asking.n_questions = 0;
    assert_int_equal(fathom_steer_ask(&plain, NULL, fixture->model, NULL, &asking, NULL, NULL), FATHOM_ERROR_ARGUMENT);
}

struct watching {
    uint64_t calls, last, total, stop_at;
};

static int watch_progress(const struct fathom_progress *progress, void *payload) {
    struct watching *watching = payload;
    assert_true(progress->done > watching->last && progress->done <= progress->total);
    watching->last = progress->done;
    watching->total = progress->total;
    watching->calls++;
    return watching->calls == watching->stop_at;
}

static void the_search_tries_the_grid_and_refines(void **state) {
    struct fixture *fixture = *state;
    const uint32_t features[] = {2, 5};
    const float maxima[] = {3, 4}, strengths[] = {1, 3, 8};
    const struct fathom_layer_range ranges[] = {{-1, -1}, {1, 3}};
    struct watching watching = {0};
    struct fathom_steer_search search = {.dictionary = fixture->dictionary,
                                         .features = features,
                                         .maxima = maxima,
                                         .n_features = 2,
                                         .mode = FATHOM_STEER_ADD,
                                         .ranges = ranges,
                                         .n_ranges = 2,
                                         .strengths = strengths,
                                         .n_strengths = 3,
                                         .asking = ask_three(),
                                         .held_out = questions,
                                         .n_held_out = 2,
                                         .concept = fixture->concept,
                                         .n_refine = 2,
                                         .progress = watch_progress,
                                         .payload = &watching};
    struct fathom_steer_found found, again;
    search.asking.n_questions = 2;
    search.asking.n_seeds = 1;
    search.asking.max_new = 4;
    assert_int_equal(fathom_steer_search(&found, fixture->model, &search), FATHOM_OK);
    assert_int_equal(found.n_trials, 2 * 2 * 3 + 4);
    assert_int_equal(watching.last, watching.total);
    assert_int_equal(watching.total, 2 * (1 + 16) + 2 * 2);
    assert_true(found.trials[0].has_feature && found.trials[0].feature == 2 && found.trials[0].strength == 1 &&
                found.trials[0].first_layer == -1);
    assert_true(found.trials[3].first_layer == 1 && found.trials[3].last_layer == 3);
    assert_true(found.trials[6].feature == 5);
    float best = 0;
    for (size_t i = 0; i < 12; i++) {
        best = fmaxf(best, (float)found.trials[i].score.objective);
    }
    for (size_t i = 0; i < found.n_trials; i++) {
        assert_true(found.trials[found.best].score.objective >= found.trials[i].score.objective);
    }
    assert_true(found.trials[found.best].score.objective >= best);
    assert_true(found.has_held_out && found.held_out.n_answers == 2 && found.held_out_plain.n_answers == 2);
    search.progress = NULL;
    assert_int_equal(fathom_steer_search(&again, fixture->model, &search), FATHOM_OK);
    assert_int_equal(again.best, found.best);
    for (size_t i = 0; i < found.n_trials; i++) {
        assert_true(again.trials[i].strength == found.trials[i].strength &&
                    again.trials[i].score.log_probability == found.trials[i].score.log_probability);
    }
    fathom_steer_found_free(&found);
    fathom_steer_found_free(&again);

    watching = (struct watching){.stop_at = 5};
    search.progress = watch_progress;
    assert_int_equal(fathom_steer_search(&found, fixture->model, &search), FATHOM_ERROR_STOPPED);
    assert_true(watching.calls == 5 && watching.last < watching.total);
}

static void a_direction_can_be_searched_over_parts_of_its_layers(void **state) {
    struct fixture *fixture = *state;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct fathom_direction direction;
    const struct fathom_layer_range ranges[] = {{1, 1}, {1, 2}, {0, 2}};
    const float strengths[] = {0.5f};
    assert_int_equal(fathom_texts_append(&texts, "the golden bridge", 17, FATHOM_LABEL_POSITIVE), FATHOM_OK);
    assert_int_equal(fathom_texts_append(&texts, "the red city", 12, FATHOM_LABEL_NEGATIVE), FATHOM_OK);
    assert_int_equal(fathom_direction_contrast(&direction, fixture->model, &texts, FATHOM_HOOK_RESID_POST, 1, 2),
                     FATHOM_OK);
    struct fathom_steer_search search = {.direction = &direction,
                                         .ranges = ranges,
                                         .n_ranges = 2,
                                         .strengths = strengths,
                                         .n_strengths = 1,
                                         .asking = ask_three(),
                                         .concept = fixture->concept,
                                         .n_refine = 1};
    struct fathom_steer_found found;
    search.asking.max_new = 3;
    assert_int_equal(fathom_steer_search(&found, fixture->model, &search), FATHOM_OK);
    assert_int_equal(found.n_trials, 2); /* one strength leaves no step to halve */
    assert_true(!found.trials[0].has_feature && !found.has_held_out);
    assert_true(found.trials[0].score.log_probability != found.trials[1].score.log_probability);
    fathom_steer_found_free(&found);
    search.n_ranges = 3;
    assert_int_equal(fathom_steer_search(&found, fixture->model, &search), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "layers 0 to 2: the direction was made for layers 1 to 2"));
    fathom_direction_free(&direction);
    fathom_texts_free(&texts);
}

static void searches_without_a_subject_are_refused(void **state) {
    struct fixture *fixture = *state;
    const uint32_t feature = 1;
    const float one = 1, zero = 0;
    const struct fathom_layer_range own = {-1, -1};
    const struct fathom_steer_search sound = {.dictionary = fixture->dictionary,
                                              .features = &feature,
                                              .maxima = &one,
                                              .n_features = 1,
                                              .ranges = &own,
                                              .n_ranges = 1,
                                              .strengths = &one,
                                              .n_strengths = 1,
                                              .asking = ask_three(),
                                              .concept = fixture->concept};
    struct fathom_steer_search broken[] = {sound, sound, sound, sound, sound, sound};
    struct fathom_steer_found found;
    broken[0].dictionary = NULL;
    broken[1].n_ranges = 0;
    broken[2].n_strengths = 0;
    broken[3].concept = NULL;
    broken[4].maxima = &zero;
    broken[5].mode = FATHOM_STEER_ABLATE;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_int_equal(fathom_steer_search(&found, fixture->model, &broken[i]), FATHOM_ERROR_ARGUMENT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(styles_make_prompts),
        cmocka_unit_test(kept_prompts_give_the_sessions_probabilities),
        cmocka_unit_test(answers_stop_before_the_stop_text),
        cmocka_unit_test(answers_side_by_side_are_those_one_by_one),
        cmocka_unit_test(scores_follow_their_definitions),
        cmocka_unit_test(the_search_tries_the_grid_and_refines),
        cmocka_unit_test(a_direction_can_be_searched_over_parts_of_its_layers),
        cmocka_unit_test(searches_without_a_subject_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
