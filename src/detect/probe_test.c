#include "base/random.h"
#include "base/scratch.h"
#include "detect/probe_internal.h"
#include "tests/support/tiny_model.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Texts of one class speak of the sea, those of the other of the court; both use the same small words. */
static const char *const sea[] = {"bridge", "gate", "golden", "sea", "ship", "river"};
static const char *const court[] = {"music", "king", "war", "team", "points", "game"};
static const char *const small[] = {"the", "of", "and", "to", "in", "is", "was", "for", "on", "with"};
enum { WORDS = 14, TRAIN = 160, TEST = 60 };

static void make_texts(struct fathom_texts *texts, size_t n, uint64_t seed) {
    struct fathom__random random;
    fathom__random_seed(&random, seed);
    for (size_t t = 0; t < n; t++) {
        char text[256] = "";
        for (int w = 0; w < WORDS; w++) {
            const char *word = small[fathom__random_below(&random, 10)];
            if (fathom__random_below(&random, 2) == 0) {
                word = (t % 2 ? sea : court)[fathom__random_below(&random, 6)];
            }
            strcat(strcat(text, w ? " " : ""), word);
        }
        assert_int_equal(fathom_texts_append(texts, text, strlen(text), (enum fathom_text_label)(t % 2)), FATHOM_OK);
    }
}

struct fixture {
    fathom_model *model;
    struct fathom_texts train, test;
    fathom_probe *probe;
};

static int setup(void **state) {
    static struct fixture fixture;
    const char *path = scratch("model.gguf");
    struct fathom_probe_options options = {.hook = "resid_post.2", .seed = 1};
    assert_int_equal(fathom_test_tiny_model(path, "llama", 5), FATHOM_OK);
    assert_int_equal(fathom_model_open(&fixture.model, path, NULL), FATHOM_OK);
    make_texts(&fixture.train, TRAIN, 1);
    make_texts(&fixture.test, TEST, 2);
    assert_int_equal(fathom_probe_train(&fixture.probe, fixture.model, &fixture.train, &options), FATHOM_OK);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    fathom_probe_close(fixture->probe);
    fathom_texts_free(&fixture->train);
    fathom_texts_free(&fixture->test);
    fathom_model_close(fixture->model);
    return 0;
}

static void a_probe_describes_itself(void **state) {
    struct fixture *fixture = *state;
    const struct fathom_probe_info *info = fathom_probe_describe(fixture->probe);
    struct fathom_hook hook;
    assert_string_equal(info->hook, "blocks.2.hook_resid_post");
    assert_string_equal(info->model_identity, fathom_model_describe(fixture->model)->source_identity);
    assert_string_equal(info->path, "");
    assert_int_equal(info->d_in, 64);
    assert_int_equal(info->n_positive, TRAIN / 2);
    assert_int_equal(info->n_negative, TRAIN / 2);
    assert_int_equal(info->n_duplicates, 0);
    assert_true(info->cross_validated_auroc > 0.8);
    assert_int_equal(fathom_probe_match(&hook, fixture->probe, fixture->model), FATHOM_OK);
    assert_int_equal(hook.kind, FATHOM_HOOK_RESID_POST);
    assert_int_equal(hook.layer, 2);
}

static void it_tells_unseen_texts_apart_and_its_controls_do_not(void **state) {
    struct fixture *fixture = *state;
    struct fathom_probe_evaluation options = {.n_random = 200, .seed = 3};
    struct fathom_probe_report report, again;
    double *scores = NULL;
    assert_int_equal(fathom_probe_evaluate(&report, &scores, fixture->probe, fixture->model, &fixture->test, &options),
                     FATHOM_OK);
    assert_int_equal(report.n_positive + report.n_negative, TEST);
    assert_true(report.auroc > 0.95);
    assert_true(report.auroc_low <= report.auroc && report.auroc <= report.auroc_high && report.auroc_low > 0.85);
    assert_true(report.shuffled_mean > 0.35 && report.shuffled_mean < 0.65);
    assert_true(report.bag_of_words > 0.9); /* the words give it away */
    assert_true(report.length >= 0.5 && report.length < 0.8);
    assert_true(report.random_mean > 0.5 && report.random_mean < report.random_p95 &&
                report.random_p95 <= report.random_highest);
    assert_true(report.random_highest < report.auroc && report.random_reaching == 0);
    assert_true(report.balanced_accuracy > 0.8);
    assert_int_equal(report.counts.true_positive + report.counts.false_negative, TEST / 2);
    assert_true(report.n_decoys == 0 && isnan(report.decoy_alerts));

    double *direct = NULL;
    double auroc = 0;
    direct = test_calloc(TEST, sizeof *direct);
    assert_int_equal(fathom_probe_score(direct, fixture->probe, fixture->model, &fixture->test), FATHOM_OK);
    for (size_t t = 0; t < TEST; t++) {
        assert_true(fabs(direct[t] - scores[t]) < 1e-3);
    }
    assert_int_equal(fathom_auroc(&auroc, direct, fixture->test.labels, TEST), FATHOM_OK);
    assert_true(fabs(auroc - report.auroc) < 0.02);
    assert_int_equal(fathom_probe_evaluate(&again, NULL, fixture->probe, fixture->model, &fixture->test, &options),
                     FATHOM_OK);
    assert_true(again.auroc == report.auroc && again.auroc_low == report.auroc_low &&
                again.random_p95 == report.random_p95);
    test_free(direct);
    fathom_free(scores);
}

static void add(struct fathom_texts *texts, const char *text, int label) {
    assert_int_equal(fathom_texts_append(texts, text, strlen(text), (enum fathom_text_label)label), FATHOM_OK);
}

static void repeats_are_left_out_and_near_repeats_refused(void **state) {
    struct fixture *fixture = *state;
    struct fathom_texts test = FATHOM_TEXTS_INIT;
    struct fathom_probe_report report;
    double *scores = NULL;
    assert_int_equal(fathom__texts_select(&test, &fixture->test, NULL), FATHOM_OK);
    add(&test, fixture->train.texts[4], fixture->train.labels[4]);
    add(&test, fixture->test.texts[0], fixture->test.labels[0]);
    assert_int_equal(fathom_probe_evaluate(&report, &scores, fixture->probe, fixture->model, &test, NULL), FATHOM_OK);
    assert_int_equal(report.n_duplicates, 2);
    assert_int_equal(report.n_positive + report.n_negative, TEST);
    assert_true(isnan(scores[TEST]) && isnan(scores[TEST + 1]) && !isnan(scores[0]));
    fathom_free(scores);

    char near[300];
    snprintf(near, sizeof near, "%s paint", fixture->train.texts[4]); /* all pairs but one, and one more word */
    add(&test, near, fixture->train.labels[4]);
    assert_int_equal(fathom_probe_evaluate(&report, NULL, fixture->probe, fixture->model, &test, NULL),
                     FATHOM_ERROR_MISMATCH);
    assert_non_null(strstr(fathom_error_message(), "test text 63 nearly repeats"));
    fathom_texts_free(&test);
}

static void decoys_are_counted(void **state) {
    struct fixture *fixture = *state;
    struct fathom_texts decoys = FATHOM_TEXTS_INIT;
    struct fathom_probe_evaluation options = {.decoys = &decoys, .n_random = 10};
    struct fathom_probe_report report;
    double scores[2];
    add(&decoys, "sea ship river sea golden gate bridge", -1);
    add(&decoys, "king war music team game points", -1);
    assert_int_equal(fathom_probe_evaluate(&report, NULL, fixture->probe, fixture->model, &fixture->test, &options),
                     FATHOM_OK);
    assert_int_equal(report.n_decoys, 2);
    assert_int_equal(fathom_probe_score(scores, fixture->probe, fixture->model, &decoys), FATHOM_OK);
    double threshold = fathom_probe_describe(fixture->probe)->threshold;
    assert_true(scores[0] > scores[1]);
    assert_true(report.decoy_alerts == 0.5 * ((scores[0] >= threshold) + (scores[1] >= threshold)));
    fathom_texts_free(&decoys);
}

static void training_refuses(void **state) {
    struct fixture *fixture = *state;
    struct fathom_probe_options options = {.hook = "resid_post.2"};
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    fathom_probe *probe = NULL;
    make_texts(&texts, 30, 9);
    options.hook = "resid_post.9";
    assert_int_equal(fathom_probe_train(&probe, fixture->model, &texts, &options), FATHOM_ERROR_ARGUMENT);
    options.hook = "nowhere";
    assert_int_equal(fathom_probe_train(&probe, fixture->model, &texts, &options), FATHOM_ERROR_NOT_FOUND);
    options.hook = "resid_post.2";
    options.target = 0.01; /* 15 negatives are not the 1,000 it takes */
    assert_int_equal(fathom_probe_train(&probe, fixture->model, &texts, &options), FATHOM_ERROR_LIMIT);
    options.target = 0;
    options.regularisation = NAN;
    assert_int_equal(fathom_probe_train(&probe, fixture->model, &texts, &options), FATHOM_ERROR_ARGUMENT);
    options.regularisation = 0;
    add(&texts, "x", 1); /* nothing after the first position */
    assert_int_equal(fathom_probe_train(&probe, fixture->model, &texts, &options), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "text 31"));
    texts.labels[30] = -1;
    assert_int_equal(fathom_probe_train(&probe, fixture->model, &texts, &options), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "1 of 31 texts carry no label"));
    fathom_texts_free(&texts);
    make_texts(&texts, 18, 9);
    assert_int_equal(fathom_probe_train(&probe, fixture->model, &texts, &options), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "at least 10 texts of each class; got 9 and 9"));
    fathom_texts_free(&texts);
    assert_null(probe);
}

static void evaluation_needs_both_classes(void **state) {
    struct fixture *fixture = *state;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    struct fathom_probe_report report;
    add(&texts, "a ship on the river", 1);
    assert_int_equal(fathom_probe_evaluate(&report, NULL, fixture->probe, fixture->model, &texts, NULL),
                     FATHOM_ERROR_ARGUMENT);
    fathom_texts_free(&texts);
}

static void a_probe_belongs_to_its_model(void **state) {
    struct fixture *fixture = *state;
    fathom_model *other = NULL;
    double score = 0;
    const char *path = scratch("other.gguf");
    struct fathom_texts one = FATHOM_TEXTS_INIT;
    add(&one, "the sea", -1);
    assert_int_equal(fathom_test_tiny_model(path, "llama", 99), FATHOM_OK);
    assert_int_equal(fathom_model_open(&other, path, NULL), FATHOM_OK);
    assert_int_equal(fathom_probe_score(&score, fixture->probe, other, &one), FATHOM_ERROR_MISMATCH);
    assert_non_null(strstr(fathom_error_message(), fathom_model_describe(other)->source_identity));
    fathom_texts_free(&one);
    fathom_model_close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_describes_itself),
        cmocka_unit_test(it_tells_unseen_texts_apart_and_its_controls_do_not),
        cmocka_unit_test(repeats_are_left_out_and_near_repeats_refused),
        cmocka_unit_test(decoys_are_counted),
        cmocka_unit_test(training_refuses),
        cmocka_unit_test(evaluation_needs_both_classes),
        cmocka_unit_test(a_probe_belongs_to_its_model),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
