/* The search for a condition, on a tiny model: what it says of a prompt against what a plan then does with it. */
#include "base/memory.h"
#include "base/random.h"
#include "steer/cast.h"
#include "tests/support/open_model.h"
#include <math.h>

enum { N_TRAIN = 4, N_WORDS = 10, LAYERS = 4 };

static const char *const on[N_WORDS] = {
    "the king of the sea", "a king and a stone",    "who is the king",   "the wind of the king", "king of the river",
    "a golden king",       "the city and the king", "music of the king", "is the king golden",   "king"};
static const char *const off[N_WORDS] = {
    "the wind of the sea", "a bridge and a stone",  "who is the wind",  "the wind of the city", "music of the river",
    "a golden stone",      "the city and the gate", "music of the sea", "is the gate golden",   "stone"};
static const struct fathom_prompt_style style = {.prefix = "Q: ", .suffix = "\nA:"};

static void fill(struct fathom_texts *texts, size_t first, size_t last) {
    for (size_t i = first; i < last; i++) {
        check_ok(fathom_texts_append(texts, on[i], strlen(on[i]), FATHOM_LABEL_POSITIVE));
        check_ok(fathom_texts_append(texts, off[i], strlen(off[i]), FATHOM_LABEL_NEGATIVE));
    }
}

static struct fathom_cast_search search_of(const struct fathom_texts *texts, const struct fathom_texts *test) {
    return (struct fathom_cast_search){.texts = texts,
                                       .n_train = N_TRAIN,
                                       .test = test,
                                       .style = style,
                                       .method = FATHOM_DIRECTION_COMPONENT,
                                       .measure = FATHOM_STEER_CAST,
                                       .kind = FATHOM_HOOK_RESID_POST,
                                       .first_layer = 0,
                                       .last_layer = -1,
                                       .n_shuffles = 3,
                                       .seed = 1};
}

/* Whether a condition with this level lets a level pass. */
static bool passes(float level, float limit, bool below) {
    return below ? level < limit : level >= limit;
}

static double f1_by_hand(const float *levels, const int8_t *labels, size_t n, float limit, bool below) {
    double right = 0, wrong = 0, missed = 0;
    for (size_t i = 0; i < n; i++) {
        bool passed = passes(levels[i], limit, below);
        right += passed && labels[i] == 1;
        wrong += passed && labels[i] == 0;
        missed += !passed && labels[i] == 1;
    }
    return 2 * right / (2 * right + wrong + missed);
}

static void the_level_goes_into_the_widest_of_the_best_gaps(void **state) {
    (void)state;
    const float levels[6] = {0.1f, 0.3f, 0.2f, 0.7f, 0.8f, 0.75f};
    const int8_t up[6] = {0, 0, 0, 1, 1, 1}, down[6] = {1, 1, 1, 0, 0, 0}, mixed[6] = {0, 0, 0, 1, 0, 1};
    struct fathom_cast_point point;
    check_ok(fathom__cast_choose(&point, levels, up, 6));
    assert_true(point.f1 == 1 && !point.below && point.level == 0.5f && point.auroc == 1);
    assert_int_equal(point.counts.true_positive, 3);
    assert_int_equal(point.counts.true_negative, 3);
    /* gap 0.4; the levels' deviation by hand */
    assert_true(fabs(point.margin - 0.4 / 0.28247) < 1e-3);
    check_ok(fathom__cast_choose(&point, levels, down, 6));
    assert_true(point.f1 == 1 && point.below && point.level == 0.5f && point.auroc == 0);
    check_ok(fathom__cast_choose(&point, levels, mixed, 6));
    assert_true(fabs(point.f1 - 0.8) < 1e-12 && !point.below && point.level == 0.5f);
    assert_int_equal(point.counts.false_positive, 1);
    assert_true(fabs(fathom__cast_always(mixed, 6) - 0.5) < 1e-12);
}

static void a_prompt_without_a_level_is_a_miss(void **state) {
    (void)state;
    const float levels[4] = {NAN, 1, 2, NAN}, equal[3] = {2, 2, 2};
    const int8_t labels[4] = {1, 0, 1, 0};
    struct fathom_cast_point point;
    check_ok(fathom__cast_choose(&point, levels, labels, 4));
    assert_true(fabs(point.f1 - 2.0 / 3) < 1e-12 && isnan(point.auroc));
    assert_int_equal(point.counts.false_negative, 1);
    assert_int_equal(point.counts.true_negative, 2);
    check_ok(fathom__cast_judge(&point, levels, labels, 4));
    assert_true(fabs(point.f1 - 2.0 / 3) < 1e-12);
    check_ok(fathom__cast_choose(&point, equal, labels, 3));
    assert_true(isnan(point.f1));
}

static void no_level_is_better(void **state) {
    enum { N = 15, ROUNDS = 200, KINDS = 9 };
    struct fathom__random random;
    (void)state;
    fathom__random_seed(&random, 7);
    for (int round = 0; round < ROUNDS; round++) {
        float levels[N];
        int8_t labels[N];
        struct fathom_cast_point point;
        double best = 0;
        for (size_t i = 0; i < N; i++) {
            levels[i] = (float)fathom__random_below(&random, KINDS) / 7;
            labels[i] = i < 2 ? (int8_t)i : (int8_t)fathom__random_below(&random, 2);
        }
        check_ok(fathom__cast_choose(&point, levels, labels, N));
        for (size_t i = 0; i < N; i++) {
            for (int below = 0; below < 2; below++) {
                size_t n_passed = 0;
                for (size_t j = 0; j < N; j++) {
                    n_passed += passes(levels[j], levels[i], below);
                }
                double f1 = f1_by_hand(levels, labels, N, levels[i], below);
                best = n_passed > 0 && n_passed < N && f1 > best ? f1 : best;
            }
        }
        assert_true(fabs(point.f1 - best) < 1e-12);
        assert_true(fabs(f1_by_hand(levels, labels, N, point.level, point.below) - best) < 1e-12);
    }
}

/* Whether a plan with this condition touches a row of the answer. */
static bool acts(fathom_session *session, const fathom_steer *plan, const char *question) {
    const fathom_model *model = fathom_session_model(session);
    fathom_steering *steering = NULL;
    uint64_t edited = 0;
    int32_t *tokens = NULL;
    size_t n = 0;
    check_ok(fathom_prompt_tokens(&tokens, &n, model, &style, question));
    fathom_session_forget(session, -1, 0);
    check_ok(fathom_steer_attach(&steering, session, plan));
    check_ok(fathom_steering_prompt(steering, 0, (int32_t)n));
    check_ok(fathom_session_feed(session, tokens, n, 0, 0, false));
    check_ok(fathom_session_feed(session, tokens, 1, 0, (int32_t)n, false));
    fathom_steering_rows(&edited, NULL, steering);
    fathom_steer_detach(steering);
    fathom_free(tokens);
    return edited > 0;
}

static void a_plan_does_what_the_search_said(void **state) {
    fathom_model *model = *state;
    struct fathom_texts texts = FATHOM_TEXTS_INIT, test = FATHOM_TEXTS_INIT;
    struct fathom_session_options options = {.n_context = 64, .n_batch = 64, .n_sequences = 1, .n_threads = 1};
    fathom_session *session = NULL;
    fill(&texts, 0, 7);
    fill(&test, 7, N_WORDS);
    check_ok(fathom_session_open(&session, model, &options));
    for (int measure = FATHOM_STEER_LEVEL; measure <= FATHOM_STEER_CAST; measure++) {
        struct fathom_cast cast = FATHOM_CAST_INIT;
        struct fathom_cast_search search = search_of(&texts, &test);
        fathom_steer *plan = NULL;
        uint64_t passed[2] = {0, 0};
        search.measure = (enum fathom_steer_measure)measure;
        check_ok(fathom_cast_find(&cast, model, &search));
        assert_int_equal(cast.n_points, LAYERS);
        struct fathom_steer_condition condition = fathom_cast_condition(&cast, search.measure);
        struct fathom_steer_edit edit = {.what = FATHOM_STEER_ROW,
                                         .how = FATHOM_STEER_HOW_AFFINE,
                                         .value = 2,
                                         .placed = true,
                                         .kind = FATHOM_HOOK_RESID_POST,
                                         .first_layer = LAYERS - 1,
                                         .last_layer = LAYERS - 1,
                                         .conditions = &condition,
                                         .n_conditions = 1};
        check_ok(fathom_steer_open(&plan, model));
        check_ok(fathom_steer_add(plan, &edit));
        for (size_t t = 0; t < test.n; t++) {
            passed[test.labels[t]] += acts(session, plan, test.texts[t]);
        }
        assert_int_equal(passed[1], cast.test.counts.true_positive);
        assert_int_equal(passed[0], cast.test.counts.false_positive);
        assert_true(fabs(cast.always - 2.0 / 3) < 1e-12 && fabs(cast.test_always - 2.0 / 3) < 1e-12);
        for (size_t l = 0; l < cast.n_points; l++) {
            assert_true(cast.points[l].f1 <= cast.points[cast.best].f1);
        }
        fathom_steer_close(plan);
        fathom_cast_free(&cast);
    }
    fathom_session_close(session);
    fathom_texts_free(&texts);
    fathom_texts_free(&test);
}

static void a_word_is_found_and_chance_is_not(void **state) {
    struct fathom_texts texts = FATHOM_TEXTS_INIT, test = FATHOM_TEXTS_INIT;
    struct fathom_cast cast = FATHOM_CAST_INIT, again = FATHOM_CAST_INIT;
    fill(&texts, 0, 7);
    fill(&test, 7, N_WORDS);
    struct fathom_cast_search search = search_of(&texts, &test);
    search.method = FATHOM_DIRECTION_MEANS;
    check_ok(fathom_cast_find(&cast, *state, &search));
    assert_true(cast.points[cast.best].f1 == 1);
    assert_true(cast.chance.mean < 1 && cast.chance.highest >= cast.chance.mean);
    assert_true(cast.test_chance.highest >= cast.test_chance.mean && cast.test.f1 <= 1);
    check_ok(fathom_cast_find(&again, *state, &search));
    assert_true(again.chance.mean == cast.chance.mean && again.test.f1 == cast.test.f1);
    fathom_cast_free(&again);
    search.test = NULL;
    search.n_shuffles = 0;
    check_ok(fathom_cast_find(&again, *state, &search));
    assert_true(isnan(again.chance.mean) && isnan(again.test.f1) && isnan(again.test_always));
    assert_true(again.points[again.best].level == cast.points[cast.best].level);
    fathom_cast_free(&again);
    fathom_cast_free(&cast);
    fathom_texts_free(&texts);
    fathom_texts_free(&test);
}

static int stop(const struct fathom_progress *progress, void *payload) {
    (void)progress, (void)payload;
    return 1;
}

static void bad_searches_are_refused(void **state) {
    struct fathom_texts texts = FATHOM_TEXTS_INIT, one = FATHOM_TEXTS_INIT;
    struct fathom_cast cast = FATHOM_CAST_INIT;
    fill(&texts, 0, 7);
    check_ok(fathom_texts_append(&one, on[9], strlen(on[9]), FATHOM_LABEL_POSITIVE));
    struct fathom_cast_search search = search_of(&texts, &one);
    assert_int_equal(fathom_cast_find(&cast, *state, &search), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "both classes"));
    search = search_of(&texts, NULL);
    search.n_train = 6;
    assert_int_equal(fathom_cast_find(&cast, *state, &search), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "too few"));
    search = search_of(&texts, NULL);
    search.n_train = 0;
    assert_int_equal(fathom_cast_find(&cast, *state, &search), FATHOM_ERROR_ARGUMENT);
    search = search_of(&texts, NULL);
    search.last_layer = LAYERS;
    assert_int_equal(fathom_cast_find(&cast, *state, &search), FATHOM_ERROR_ARGUMENT);
    search = search_of(&texts, NULL);
    search.kind = FATHOM_HOOK_PATTERN;
    assert_int_equal(fathom_cast_find(&cast, *state, &search), FATHOM_ERROR_UNSUPPORTED);
    search = search_of(&texts, NULL);
    search.progress = stop;
    assert_int_equal(fathom_cast_find(&cast, *state, &search), FATHOM_ERROR_STOPPED);
    texts.labels[13] = FATHOM_LABEL_NONE;
    search = search_of(&texts, NULL);
    assert_int_equal(fathom_cast_find(&cast, *state, &search), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "prompt 14"));
    fathom_texts_free(&texts);
    fathom_texts_free(&one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_level_goes_into_the_widest_of_the_best_gaps),
        cmocka_unit_test(a_prompt_without_a_level_is_a_miss),
        cmocka_unit_test(no_level_is_better),
        cmocka_unit_test(a_plan_does_what_the_search_said),
        cmocka_unit_test(a_word_is_found_and_chance_is_not),
        cmocka_unit_test(bad_searches_are_refused),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
