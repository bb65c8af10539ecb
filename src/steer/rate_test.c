/* Points, their harmonic mean, and ratings of answers that a tiny model gives. */
#include "base/scratch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/steer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const questions[] = {"what is in the sea", "who was the king", "music"};
static const char *const words[] = {"/[a-m]/"};

static void points_are_thirds(void **state) {
    (void)state;
    static const struct {
        double mention_rate, mentions, relevance, fluency, concept_points, instruction, fluent;
    } cases[] = {
        {0, 0, 1, 1, 0, 2, 2},
        {1, 5, 0.66, 0.34, 2, 1, 1},
        {1, 21, 0.32, 0.67, 1, 0, 2},
        {1, 20, 0.34, 0.32, 2, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct fathom_steer_score score = {.mention_rate = cases[i].mention_rate,
                                                 .mentions_per_100_words = cases[i].mentions,
                                                 .relevance_part = cases[i].relevance,
                                                 .fluency_part = cases[i].fluency};
        double points[3];
        fathom_steer_points(points, &score);
        assert_true(points[0] == cases[i].concept_points && points[1] == cases[i].instruction &&
                    points[2] == cases[i].fluent);
    }
    assert_true(fabs(fathom_steer_harmonic((const double[]){2, 2, 2}) - 2) < 1e-12);
    assert_true(fabs(fathom_steer_harmonic((const double[]){2, 1, 2}) - 1.5) < 1e-12);
    assert_true(fathom_steer_harmonic((const double[]){2, 0, 2}) == 0);
}

struct judging {
    const struct fathom_answers *answers;
    size_t calls, stop_at;
};

static int judge(double points[3], const char *question, const char *answer, void *payload) {
    struct judging *judging = payload;
    size_t n_seeds = judging->answers->n / 3;
    assert_string_equal(question, questions[judging->calls / n_seeds]);
    assert_string_equal(answer, judging->answers->texts[judging->calls]);
    points[0] = points[2] = 2;
    points[1] = 1;
    return ++judging->calls == judging->stop_at && judging->stop_at < judging->answers->n;
}

static void ratings_are_means_over_answers(void **state) {
    (void)state;
    enum { SEEDS = 2, N = 3 * SEEDS };
    fathom_model *model = NULL;
    fathom_concept *concept = NULL;
    fathom_steer_rater *rater = NULL;
    const char *path = scratch("model.gguf");
    assert_int_equal(fathom_test_tiny_model(path, "llama", 5), FATHOM_OK);
    assert_int_equal(fathom_model_open(&model, path, NULL), FATHOM_OK);
    assert_int_equal(fathom_concept_open(&concept, model, words, 1), FATHOM_OK);
    struct fathom_steer_asking asking = {.questions = questions,
                                         .n_questions = 3,
                                         .style = {.prefix = "Q: ", .suffix = "\nA:"},
                                         .n_seeds = SEEDS,
                                         .max_new = 6,
                                         .sampling = {.seed = 11, .temperature = 1}};
    assert_int_equal(fathom_steer_rater_open(&rater, model, &asking, concept), FATHOM_OK);
    struct fathom_steer_rating rating;
    struct fathom_answers answers = FATHOM_ANSWERS_INIT;
    double points[N][3];
    assert_int_equal(fathom_steer_rater_rate(&rating, &answers, points, rater, NULL, NULL), FATHOM_OK);
    assert_int_equal(rating.n_answers, N);
    assert_int_equal(answers.n, N);
    double mentioned = 0;
    for (size_t a = 0; a < N; a++) {
        mentioned += fathom_concept_mentions(concept, answers.texts[a]) > 0;
    }
    assert_true(rating.score.mention_rate == mentioned / N && rating.score.n_answers == N);
    assert_true(fabs(rating.score.fluency_part - (1 - rating.score.repetition)) < 1e-12); /* they are the plain ones */
    double sums[4] = {0};
    for (size_t a = 0; a < N; a++) {
        sums[3] += fathom_steer_harmonic(points[a]) / N;
        for (int p = 0; p < 3; p++) {
            assert_true(points[a][p] == 0 || points[a][p] == 1 || points[a][p] == 2);
            sums[p] += points[a][p] / N;
        }
        assert_int_equal(points[a][0] > 0, fathom_concept_mentions(concept, answers.texts[a]) > 0);
    }
    assert_true(fabs(rating.concept - sums[0]) < 1e-9 && fabs(rating.instruction - sums[1]) < 1e-9 &&
                fabs(rating.fluency - sums[2]) < 1e-9 && fabs(rating.harmonic - sums[3]) < 1e-9);
    /* The same answers as all questions asked together give, and other ones after an instruction. */
    struct fathom_steer_score score;
    struct fathom_answers together = FATHOM_ANSWERS_INIT;
    asking.n_questions = 1;
    asking.n_seeds = 1;
    assert_int_equal(fathom_steer_ask(&score, &together, model, NULL, &asking, concept, NULL), FATHOM_OK);
    assert_string_equal(together.texts[0], answers.texts[0]);
    struct fathom_answers instructed = FATHOM_ANSWERS_INIT;
    assert_int_equal(fathom_steer_rater_rate(&rating, &instructed, NULL, rater, NULL, "Speak of the river. "),
                     FATHOM_OK);
    bool same = true;
    for (size_t a = 0; a < N; a++) {
        same = same && strcmp(instructed.texts[a], answers.texts[a]) == 0;
    }
    assert_false(same);
    /* A judge is asked about each answer, and may stop. */
    struct judging judging = {.answers = &instructed, .stop_at = N};
    fathom_steer_rater_judge(rater, judge, &judging);
    assert_int_equal(fathom_steer_rater_rate(&rating, NULL, points, rater, NULL, "Speak of the river. "), FATHOM_OK);
    assert_int_equal(judging.calls, N);
    assert_true(fabs(rating.concept - 2) < 1e-9 && fabs(rating.instruction - 1) < 1e-9 &&
                fabs(rating.fluency - 2) < 1e-9 && fabs(rating.harmonic - 1.5) < 1e-9 && points[N - 1][1] == 1);
    judging = (struct judging){.answers = &answers, .stop_at = 2};
    assert_int_equal(fathom_steer_rater_rate(&rating, NULL, NULL, rater, NULL, NULL), FATHOM_ERROR_STOPPED);
    assert_int_equal(judging.calls, 2);
    fathom_answers_free(&instructed);
    fathom_answers_free(&together);
    fathom_answers_free(&answers);
    fathom_steer_rater_close(rater);
    asking.n_questions = 0;
    assert_int_equal(fathom_steer_rater_open(&rater, model, &asking, concept), FATHOM_ERROR_ARGUMENT);
    asking.n_questions = 1;
    assert_int_equal(fathom_steer_rater_open(&rater, model, &asking, NULL), FATHOM_ERROR_ARGUMENT);
    fathom_concept_close(concept);
    fathom_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_are_thirds),
        cmocka_unit_test(ratings_are_means_over_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
