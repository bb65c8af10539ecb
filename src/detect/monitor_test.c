#include "base/scratch.h"
#include "detect/read.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/detect.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SCALE 0.5f
#define HOOK "blocks.2.hook_resid_post"
enum { TEXTS = 5, MOST_TOKENS = 64 };

static char *const written[TEXTS] = {
    (char[]){"the golden gate bridge in the red sea"},
    (char[]){"the team was on the river with a ship"},
    (char[]){"x"}, /* one token: only position 0 */
    (char[]){""},
    (char[]){"music for the king and war in the city of the sea"},
};
static int8_t labels[TEXTS] = {1, 0, 0, 0, 1};

struct fixture {
    fathom_model *model;
    fathom_dictionary *dictionary;
    struct fathom_texts texts;
    float rows[TEXTS][MOST_TOKENS * TOY_WIDTH]; /* by hand: one text, one session */
    size_t n_tokens[TEXTS];
};

static int keep(const struct fathom_block *block, void *payload) {
    memcpy(payload, block->rows, sizeof(float) * block->n_rows * TOY_WIDTH);
    return 0;
}

/* Every text by itself, without the code under test. */
static void read_by_hand(struct fixture *fixture) {
    struct fathom_session_options options = {.n_context = 64, .n_batch = 64, .n_threads = 1};
    fathom_session *session = NULL;
    assert_int_equal(fathom_session_open(&session, fixture->model, &options), FATHOM_OK);
    for (size_t t = 0; t < TEXTS; t++) {
        int32_t *tokens = NULL;
        int id = 0;
        assert_int_equal(fathom_tokenize(&tokens, &fixture->n_tokens[t], fixture->model, written[t], strlen(written[t]),
                                         true, false),
                         FATHOM_OK);
        if (fixture->n_tokens[t] > 0) {
            fathom_session_forget(session, -1, 0);
            assert_int_equal(fathom_session_tap(&id, session, (struct fathom_hook){FATHOM_HOOK_RESID_POST, 2}, keep,
                                                fixture->rows[t]),
                             FATHOM_OK);
            assert_int_equal(fathom_session_feed(session, tokens, fixture->n_tokens[t], 0, 0, true), FATHOM_OK);
            fathom_session_unhook(session, id);
        }
        fathom_free(tokens);
    }
    fathom_session_close(session);
}

static int setup(void **state) {
    static struct fixture fixture;
    const char *path = scratch("model.gguf"), *dictionary = scratch("toy.gguf");
    struct toy_options options = {.hook = HOOK, .scale = SCALE, .skip_positions = 1, .max_norm = INFINITY};
    assert_int_equal(fathom_test_tiny_model(path, "llama", 5), FATHOM_OK);
    assert_int_equal(fathom_model_open(&fixture.model, path, NULL), FATHOM_OK);
    assert_int_equal(toy_dictionary_write(dictionary, fixture.model, &options), FATHOM_OK);
    assert_int_equal(fathom_dictionary_open(&fixture.dictionary, dictionary), FATHOM_OK);
    for (size_t t = 0; t < TEXTS; t++) {
        assert_int_equal(
            fathom_texts_append(&fixture.texts, written[t], strlen(written[t]), (enum fathom_text_label)labels[t]),
            FATHOM_OK);
    }
    read_by_hand(&fixture);
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

static double level_by_hand(const struct fixture *fixture, size_t text, size_t token, uint32_t feature) {
    return token > 0 ? toy_level(fixture->rows[text] + token * TOY_WIDTH, feature, SCALE) : 0;
}

struct seen {
    const struct fixture *fixture;
    size_t n, alerts;
    double above;
};

static int check_reading(const struct fathom_reading *reading, void *payload) {
    static const uint32_t features[2] = {3, 6};
    struct seen *seen = payload;
    assert_int_equal(reading->text, seen->n);
    assert_int_equal(reading->n_tokens, seen->fixture->n_tokens[seen->n]);
    for (size_t w = 0; w < 2; w++) {
        double highest = reading->n_tokens > 0 ? 0 : NAN, sum = 0;
        for (size_t t = 0; t < reading->n_tokens; t++) {
            double expected = level_by_hand(seen->fixture, seen->n, t, features[w]);
            assert_true(fabs(reading->levels[w * reading->n_tokens + t] - expected) < 1e-2 * (1 + fabs(expected)));
            highest = fmax(highest, reading->levels[w * reading->n_tokens + t]);
            sum += reading->levels[w * reading->n_tokens + t];
        }
        double document = w == 0 ? highest : sum / (double)reading->n_tokens;
        if (reading->n_tokens == 0) {
            assert_true(isnan(reading->document[w]));
        } else {
            assert_true(fabs(reading->document[w] - document) < 1e-6);
        }
        assert_true(reading->alerts[w] == (reading->document[w] >= seen->above));
    }
    assert_true(reading->alert == (reading->alerts[0] || reading->alerts[1]));
    seen->alerts += reading->alert;
    seen->n++;
    return 0;
}

static fathom_monitor *watch_two(const struct fixture *fixture, double above) {
    fathom_monitor *monitor = NULL;
    struct fathom_watch one = {.dictionary = fixture->dictionary, .feature = 3, .above = above};
    struct fathom_watch other = {.dictionary = fixture->dictionary,
                                 .feature = 6,
                                 .above = above,
                                 .window = FATHOM_WINDOW_DOCUMENT,
                                 .name = "six"};
    assert_int_equal(fathom_monitor_open(&monitor, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_monitor_add(monitor, &one), FATHOM_OK);
    assert_int_equal(fathom_monitor_add(monitor, &other), FATHOM_OK);
    return monitor;
}

static void levels_are_the_dictionarys(void **state) {
    struct fixture *fixture = *state;
    struct seen seen = {.fixture = fixture, .above = 0.2};
    fathom_monitor *monitor = watch_two(fixture, seen.above);
    assert_int_equal(fathom_monitor_count(monitor), 2);
    assert_string_equal(fathom_monitor_at(monitor, 0)->name, "feature 3");
    assert_string_equal(fathom_monitor_at(monitor, 1)->name, "six");
    assert_null(fathom_monitor_at(monitor, 2));
    assert_int_equal(fathom_monitor_run(monitor, &fixture->texts, check_reading, &seen), FATHOM_OK);
    assert_int_equal(seen.n, TEXTS);
    assert_true(seen.alerts > 0 && seen.alerts < TEXTS); /* the level tells the texts apart */
    /* A level that nothing reaches. */
    seen = (struct seen){.fixture = fixture, .above = 1e6};
    assert_int_equal(fathom_monitor_set_level(monitor, 0, seen.above), FATHOM_OK);
    assert_int_equal(fathom_monitor_set_level(monitor, 1, seen.above), FATHOM_OK);
    assert_int_equal(fathom_monitor_run(monitor, &fixture->texts, check_reading, &seen), FATHOM_OK);
    assert_int_equal(seen.alerts, 0);
    fathom_monitor_close(monitor);
}

static void candidates_are_judged_by_their_levels(void **state) {
    struct fixture *fixture = *state;
    struct fathom_watch_candidate *candidates = NULL;
    struct fathom_texts one_class = FATHOM_TEXTS_INIT;
    double by_chance = 0, scores[TEXTS], auroc = 0;
    size_t n = 0, kept = 0;
    assert_int_equal(fathom_watch_candidates(&candidates, &n, &by_chance, fixture->model, fixture->dictionary,
                                             &fixture->texts, 100, 1),
                     FATHOM_OK);
    assert_true(n > 3 && n <= TOY_FEATURES);
    for (size_t i = 0; i < n; i++) {
        for (size_t t = 0; t < TEXTS; t++) {
            scores[t] = 0;
            for (size_t token = 0; token < fixture->n_tokens[t]; token++) {
                scores[t] = fmax(scores[t], level_by_hand(fixture, t, token, candidates[i].feature));
            }
        }
        assert_int_equal(fathom_auroc(&auroc, scores, labels, TEXTS), FATHOM_OK);
        assert_true(fabs(candidates[i].auroc - auroc) < 1e-9);
        if (i > 0) {
            assert_true(fathom_balanced_accuracy(&candidates[i - 1].threshold.counts) >=
                        fathom_balanced_accuracy(&candidates[i].threshold.counts));
        }
    }
    assert_true(by_chance >= 0.5 && by_chance <= 1);
    fathom_free(candidates);
    assert_int_equal(
        fathom_watch_candidates(&candidates, &kept, NULL, fixture->model, fixture->dictionary, &fixture->texts, 2, 1),
        FATHOM_OK);
    assert_int_equal(kept, 2);
    fathom_free(candidates);
    assert_int_equal(fathom_texts_append(&one_class, "the sea", 7, FATHOM_LABEL_POSITIVE), FATHOM_OK);
    assert_int_equal(
        fathom_watch_candidates(&candidates, &n, NULL, fixture->model, fixture->dictionary, &one_class, 2, 1),
        FATHOM_ERROR_ARGUMENT);
    fathom_texts_free(&one_class);
}

static int stop_at_once(const struct fathom_reading *reading, void *payload) {
    (void)reading;
    ++*(int *)payload;
    return 1;
}

static void a_callback_can_stop(void **state) {
    struct fixture *fixture = *state;
    fathom_monitor *monitor = watch_two(fixture, 0.2);
    int calls = 0;
    assert_int_equal(fathom_monitor_run(monitor, &fixture->texts, stop_at_once, &calls), FATHOM_ERROR_STOPPED);
    assert_int_equal(calls, 1);
    fathom_monitor_close(monitor);
}

struct live {
    const struct fixture *fixture;
    size_t n, alerts;
    size_t text;
};

static int check_live(const struct fathom_live_level *level, void *payload) {
    struct live *live = payload;
    if (level->watch == 0) {
        double expected = level_by_hand(live->fixture, live->text, (size_t)level->position, 3);
        assert_true(fabs(level->level - expected) < 1e-2 * (1 + fabs(expected)));
        live->n++;
    }
    assert_true(level->alert == (level->level >= 0.2));
    live->alerts += level->alert;
    return 0;
}

static void a_label_is_measured_on_texts(void **state) {
    struct fixture *fixture = *state;
    struct fathom_texts some = FATHOM_TEXTS_INIT;
    struct fathom_label label;
    double levels[TEXTS], level = 0;
    /* At the level of one of the positive texts, so that something is right and the other text may be wrong. */
    for (size_t t = 0; t < TEXTS; t++) {
        levels[t] = 0;
        for (size_t token = 0; token < fixture->n_tokens[t]; token++)
            levels[t] = fmax(levels[t], level_by_hand(fixture, t, token, 3));
    }
    level = fmin(levels[0], levels[4]) - 0.01;
    assert_true(level > 0);
    struct fathom_counts counts;
    fathom_count_alerts(&counts, levels, labels, TEXTS, level);
    assert_int_equal(fathom_label_measure(&label, fixture->model, fixture->dictionary, 3, &fixture->texts, level, 1),
                     FATHOM_OK);
    assert_true(fabs((double)label.score - fathom_balanced_accuracy(&counts)) < 1e-6);
    assert_int_equal(label.n_active, 2);
    assert_int_equal(label.n_inactive, 3);
    assert_true(fabs((double)label.prevalence - 0.4) < 1e-6);
    assert_true(label.recall == 1);
    const double alerts = (double)(counts.true_positive + counts.false_positive);
    assert_true(fabs((double)label.f1 - 2 * 2 / (2 + alerts)) < 1e-6);
    assert_true(label.shuffled > 0.35F && label.shuffled < 0.65F);
    assert_true(label.single_token == 1); /* "in" stands in both texts that it holds for, and in no other */
    assert_null(label.text);
    assert_int_equal(fathom_label_measure(&label, fixture->model, fixture->dictionary, 3, &fixture->texts, 1e6, 1),
                     FATHOM_OK);
    assert_true(label.score == 0.5F && label.f1 == 0 && label.precision == 0);

    assert_int_equal(
        fathom_label_measure(&label, fixture->model, fixture->dictionary, TOY_FEATURES, &fixture->texts, 1, 1),
        FATHOM_ERROR_NOT_FOUND);
    assert_int_equal(fathom_label_measure(&label, fixture->model, fixture->dictionary, 3, &fixture->texts, 0, 1),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_label_measure(&label, fixture->model, fixture->dictionary, 3, &fixture->texts, NAN, 1),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_texts_append(&some, written[0], strlen(written[0]), FATHOM_LABEL_POSITIVE), FATHOM_OK);
    assert_int_equal(fathom_label_measure(&label, fixture->model, fixture->dictionary, 3, &some, 1, 1),
                     FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "1 true, 0 false, of 1"));
    fathom_texts_free(&some);
}

static void a_session_is_watched_while_it_runs(void **state) {
    struct fixture *fixture = *state;
    struct live live = {.fixture = fixture, .text = 4};
    struct fathom_session_options options = {.n_context = 64, .n_batch = 4, .n_threads = 1}; /* several decodes */
    fathom_monitor *monitor = watch_two(fixture, 0.2);
    fathom_session *session = NULL;
    int32_t *tokens = NULL;
    size_t n = 0;
    assert_int_equal(fathom_session_open(&session, fixture->model, &options), FATHOM_OK);
    assert_int_equal(fathom_tokenize(&tokens, &n, fixture->model, written[4], strlen(written[4]), true, false),
                     FATHOM_OK);
    assert_int_equal(fathom_monitor_attach(monitor, session, check_live, &live), FATHOM_OK);
    assert_int_equal(fathom_monitor_attach(monitor, session, check_live, &live), FATHOM_ERROR_ARGUMENT);
    struct fathom_watch late = {.dictionary = fixture->dictionary, .feature = 1};
    assert_int_equal(fathom_monitor_add(monitor, &late), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_session_feed(session, tokens, n, 0, 0, true), FATHOM_OK);
    assert_int_equal(live.n, n);
    assert_true(live.alerts > 0);
    fathom_monitor_detach(monitor);
    fathom_session_forget(session, -1, 0);
    assert_int_equal(fathom_session_feed(session, tokens, n, 0, 0, true), FATHOM_OK);
    assert_int_equal(live.n, n);
    fathom_free(tokens);
    fathom_session_close(session);
    fathom_monitor_close(monitor);
}

static void wrong_watches_are_refused(void **state) {
    struct fixture *fixture = *state;
    fathom_monitor *monitor = NULL;
    fathom_dictionary *foreign = NULL;
    const char *path = scratch("foreign.gguf");
    struct toy_options options = {
        .hook = HOOK, .scale = 1, .max_norm = INFINITY, .identity = "11111111111111111111111111111111"};
    assert_int_equal(toy_dictionary_write(path, fixture->model, &options), FATHOM_OK);
    assert_int_equal(fathom_dictionary_open(&foreign, path), FATHOM_OK);
    assert_int_equal(fathom_monitor_open(&monitor, fixture->model), FATHOM_OK);
    assert_int_equal(fathom_monitor_run(monitor, &fixture->texts, check_reading, NULL), FATHOM_ERROR_ARGUMENT);
    struct fathom_watch none = {.above = 1}, missing = {.dictionary = fixture->dictionary, .feature = TOY_FEATURES};
    struct fathom_watch level = {.dictionary = fixture->dictionary, .above = NAN}, other = {.dictionary = foreign};
    assert_int_equal(fathom_monitor_add(monitor, &none), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_monitor_add(monitor, &missing), FATHOM_ERROR_NOT_FOUND);
    assert_non_null(strstr(fathom_error_message(), "features 0 … 7, not 8"));
    assert_int_equal(fathom_monitor_add(monitor, &level), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_monitor_add(monitor, &other), FATHOM_ERROR_MISMATCH);
    assert_int_equal(fathom_monitor_count(monitor), 0);
    assert_int_equal(fathom_monitor_set_level(monitor, 0, 1), FATHOM_ERROR_ARGUMENT);
    fathom_monitor_close(monitor);
    fathom_dictionary_close(foreign);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_the_dictionarys),   cmocka_unit_test(a_callback_can_stop),
        cmocka_unit_test(a_label_is_measured_on_texts), cmocka_unit_test(a_session_is_watched_while_it_runs),
        cmocka_unit_test(wrong_watches_are_refused),    cmocka_unit_test(candidates_are_judged_by_their_levels),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
