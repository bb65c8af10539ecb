/* The selection of a refusal's direction, on a tiny model: figures against their definitions. */
#include "base/memory.h"
#include "steer/refusal.h"
#include "tests/support/open_model.h"
#include <math.h>

enum { N = 6, TRAIN = 3, LAYERS = 4 };

static const char *const harmful[N] = {"the king of the sea",  "a bridge and a stone", "who is the king",
                                       "the wind of the city", "music of the river",   "a golden stone"};
static const char *const harmless[N] = {"sea", "river and gate", "music", "the golden gate", "city", "what is a stone"};
static const char *const refusals[] = {"the king", "a"};

static struct fathom_refusal_search search_of(void) {
    return (struct fathom_refusal_search){.harmful = harmful,
                                          .harmless = harmless,
                                          .n_harmful = N,
                                          .n_harmless = N,
                                          .n_train = TRAIN,
                                          .refusals = refusals,
                                          .n_refusals = 2,
                                          .style = {.prefix = "Q: ", .suffix = "\nA:"},
                                          .most_divergence = 1000,
                                          .least_induce = -1000};
}

static void the_metric_is_the_log_odds(void **state) {
    (void)state;
    const float logits[4] = {logf(1), logf(2), logf(3), logf(4)};
    const int32_t tokens[2] = {1, 3};
    assert_true(fabs(fathom__refusal_metric(logits, log(10), tokens, 2) - log(0.6 / 0.4)) < 1e-6);
}

static void prompts_end_alike(void **state) {
    struct fathom__refusal_bench bench;
    struct fathom_refusal_search search = search_of();
    int32_t *tokens = NULL;
    size_t n = 0;
    assert_int_equal(fathom__refusal_bench_open(&bench, *state, &search), FATHOM_OK);
    assert_int_equal(fathom_tokenize(&tokens, &n, *state, "\nA:", 3, false, false), FATHOM_OK);
    assert_true(fathom__refusal_common_end(&bench) >= n);
    assert_int_equal(bench.n_refusals, 2);
    fathom_free(tokens);
    fathom__refusal_bench_close(&bench);
}

/* Keeps the row at a distance from the end. */
struct kept {
    float row[64];
    size_t from_end;
};

static int keep_row(const struct fathom_block *block, void *payload) {
    struct kept *kept = payload;
    memcpy(kept->row, block->rows + (block->n_rows - 1 - kept->from_end) * block->width, sizeof kept->row);
    return 0;
}

static void the_best_is_a_difference_of_means(void **state) {
    fathom_model *model = *state;
    struct fathom_refusal_search search = search_of();
    struct fathom_refusal refusal = FATHOM_REFUSAL_INIT;
    int status = fathom_refusal_select(&refusal, model, &search);
    if (status != FATHOM_OK) {
        fail_msg("%s", fathom_error_message());
    }
    const struct fathom_refusal_trial *best = &refusal.trials[refusal.best];
    assert_true(refusal.n_trials % 2 == 0 && refusal.n_trials > 0); /* layers 1 and 2 of four */
    for (size_t t = 0; t < refusal.n_trials; t++) {
        const struct fathom_refusal_trial *trial = &refusal.trials[t];
        assert_true(trial->divergence >= 0 && isfinite(trial->bypass) && isfinite(trial->induce));
        assert_int_equal(trial->admitted, trial->induce > -1000 && trial->divergence < 1000);
        assert_true(!trial->admitted || trial->bypass >= best->bypass);
    }
    assert_true(best->admitted && best->layer >= 1 && best->layer < 3);
    /* Its vector, from the rows themselves. */
    struct kept kept = {.from_end = (size_t)(-1 - best->position)};
    double difference[64] = {0};
    double length = 0;
    fathom_session *session = NULL;
    assert_int_equal(fathom_session_open(&session, model, NULL), FATHOM_OK);
    assert_int_equal(
        fathom_session_tap(NULL, session, (struct fathom_hook){FATHOM_HOOK_RESID_PRE, best->layer}, keep_row, &kept),
        FATHOM_OK);
    for (size_t i = 0; i < 2 * TRAIN; i++) {
        int32_t *tokens = NULL;
        size_t n = 0;
        const char *question = i < TRAIN ? harmful[i] : harmless[i - TRAIN];
        assert_int_equal(fathom_prompt_tokens(&tokens, &n, model, &search.style, question), FATHOM_OK);
        fathom_session_forget(session, -1, 0);
        assert_int_equal(fathom_session_feed(session, tokens, n, 0, 0, false), FATHOM_OK);
        for (size_t j = 0; j < 64; j++) {
            difference[j] += (i < TRAIN ? 1.0 : -1.0) / TRAIN * (double)kept.row[j];
        }
        fathom_free(tokens);
    }
    for (size_t j = 0; j < 64; j++) {
        length += difference[j] * difference[j];
    }
    length = sqrt(length);
    assert_true(fabs((double)refusal.direction.lengths[0] - length) < 1e-3 * length);
    for (size_t j = 0; j < 64; j++) {
        assert_true(fabs((double)refusal.direction.vectors[j] - difference[j] / length) < 1e-3);
    }
    fathom_session_close(session);
    fathom_refusal_free(&refusal);
}

static void an_ablation_leaves_nothing_of_it(void **state) {
    fathom_model *model = *state;
    float vectors[LAYERS * 64];
    float ones[LAYERS] = {1, 1, 1, 1};
    struct fathom_direction direction = {.kind = FATHOM_HOOK_RESID_PRE,
                                         .last_layer = LAYERS - 1,
                                         .width = 64,
                                         .vectors = vectors,
                                         .lengths = ones,
                                         .median_norms = ones};
    const int32_t tokens[] = {40, 41, 42, 100};
    struct kept kept = {.from_end = 3}; /* position 0, which directions leave alone otherwise */
    fathom_session *session = NULL;
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    for (size_t i = 0; i < LAYERS * 64; i++) {
        vectors[i] = i % 2 == 0 ? 0.125f : -0.125f;
    }
    assert_int_equal(fathom_session_open(&session, model, NULL), FATHOM_OK);
    assert_int_equal(fathom_steer_open(&plan, model), FATHOM_OK);
    assert_int_equal(fathom_refusal_ablate(plan, &direction), FATHOM_OK);
    assert_int_equal(fathom_steer_count(plan), 3 * LAYERS);
    assert_int_equal(fathom_steer_attach(&steering, session, plan), FATHOM_OK);
    assert_int_equal(
        fathom_session_tap(NULL, session, (struct fathom_hook){FATHOM_HOOK_RESID_POST, LAYERS - 1}, keep_row, &kept),
        FATHOM_OK);
    assert_int_equal(fathom_session_feed(session, tokens, 4, 0, 0, true), FATHOM_OK);
    double along = 0;
    double length = 0;
    for (size_t i = 0; i < 64; i++) {
        along += (double)kept.row[i] * (double)vectors[i];
        length += (double)kept.row[i] * (double)kept.row[i];
    }
    assert_true(fabs(along) < 1e-4 * sqrt(length)); /* nothing wrote it after the last layer began either */
    fathom_steer_detach(steering);
    fathom_steer_close(plan);
    fathom_session_close(session);
}

/* Bypass and induce against questions asked one by one. */
static void figures_are_those_of_questions_asked_alone(void **state) {
    fathom_model *model = *state;
    struct fathom_refusal_search search = search_of();
    struct fathom_refusal refusal = FATHOM_REFUSAL_INIT;
    struct fathom__refusal_bench bench;
    fathom_session *session = NULL;
    fathom_steer *plan = NULL;
    fathom_steering *steering = NULL;
    double mean = 0;
    assert_int_equal(fathom_refusal_select(&refusal, model, &search), FATHOM_OK);
    assert_int_equal(fathom__refusal_bench_open(&bench, model, &search), FATHOM_OK);
    assert_int_equal(fathom_steer_open(&plan, model), FATHOM_OK);
    assert_int_equal(fathom_refusal_ablate(plan, &refusal.direction), FATHOM_OK);
    assert_int_equal(fathom_session_open(&session, model, NULL), FATHOM_OK);
    assert_int_equal(fathom_steer_attach(&steering, session, plan), FATHOM_OK);
    for (size_t i = TRAIN; i < N; i++) {
        const struct fathom__prompt *prompt = &bench.asked[1][i];
        fathom_session_forget(session, -1, 0);
        assert_int_equal(fathom_session_feed(session, prompt->tokens, prompt->n, 0, 0, false), FATHOM_OK);
        const float *logits = fathom_session_logits(session, prompt->n - 1);
        double sum = 0;
        for (size_t v = 0; v < bench.n_vocab; v++) {
            sum += exp((double)logits[v]);
        }
        mean += fathom__refusal_metric(logits, log(sum), bench.refusals, bench.n_refusals) / (N - TRAIN);
    }
    assert_true(fabs(refusal.trials[refusal.best].bypass - mean) < 1e-2);
    fathom_steer_detach(steering);
    fathom_session_close(session);
    fathom_steer_close(plan);
    fathom__refusal_bench_close(&bench);
    fathom_refusal_free(&refusal);
}

/* Candidates that one figure rules out are not measured further. */
static void no_more_is_measured_than_it_takes(void **state) {
    struct fathom_refusal_search search = search_of();
    struct fathom_refusal all = FATHOM_REFUSAL_INIT;
    struct fathom_refusal some = FATHOM_REFUSAL_INIT;
    assert_int_equal(fathom_refusal_select(&all, *state, &search), FATHOM_OK);
    const struct fathom_refusal_trial *best = &all.trials[all.best];
    search.most_divergence = best->divergence * 1.001;
    search.least_induce = best->induce - 1e-3;
    assert_int_equal(fathom_refusal_select(&some, *state, &search), FATHOM_OK);
    assert_int_equal(some.best, all.best);
    size_t n_bypass = 0;
    for (size_t t = 0; t < some.n_trials; t++) {
        const struct fathom_refusal_trial *trial = &some.trials[t];
        assert_int_equal(isnan(trial->induce), !(trial->divergence < search.most_divergence));
        assert_int_equal(isnan(trial->bypass), !trial->admitted);
        n_bypass += trial->admitted;
    }
    assert_true(n_bypass >= 1 && n_bypass < some.n_trials);
    fathom_refusal_free(&all);
    fathom_refusal_free(&some);
}

static int stop(const struct fathom_progress *progress, void *payload) {
    (void)payload;
    return progress->done == 1;
}

static void what_cannot_be_selected_is_refused(void **state) {
    struct fathom_refusal refusal = FATHOM_REFUSAL_INIT;
    struct fathom_refusal_search search = search_of();
    search.n_train = N - 1;
    assert_int_equal(fathom_refusal_select(&refusal, *state, &search), FATHOM_ERROR_ARGUMENT);
    search = search_of();
    search.style.suffix = NULL;
    assert_int_equal(fathom_refusal_select(&refusal, *state, &search), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "no token stands after"));
    search = search_of();
    search.least_induce = 1000;
    assert_int_equal(fathom_refusal_select(&refusal, *state, &search), FATHOM_ERROR_NOT_FOUND);
    search = search_of();
    search.most_divergence = 1e-12;
    assert_int_equal(fathom_refusal_select(&refusal, *state, &search), FATHOM_ERROR_NOT_FOUND);
    search = search_of();
    search.progress = stop;
    assert_int_equal(fathom_refusal_select(&refusal, *state, &search), FATHOM_ERROR_STOPPED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_metric_is_the_log_odds),
        cmocka_unit_test(prompts_end_alike),
        cmocka_unit_test(the_best_is_a_difference_of_means),
        cmocka_unit_test(an_ablation_leaves_nothing_of_it),
        cmocka_unit_test(figures_are_those_of_questions_asked_alone),
        cmocka_unit_test(no_more_is_measured_than_it_takes),
        cmocka_unit_test(what_cannot_be_selected_is_refused),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
