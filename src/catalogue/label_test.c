#include "catalogue/label_internal.h"
#include "tests/support/labelled_stream.h"

#include <fathom/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    ATHLETES,  /* on every athlete */
    FRANCISCO, /* on "Francisco", but only after "San" */
    NUMBERS,   /* on every number */
    NOISE,     /* anywhere, now and then */
    DENSE,     /* on every other row */
    RARE,      /* on two rows in all */
    GOLDEN,    /* on one token */
    ENDINGS,   /* on words that end in -ing */
    POETS,     /* strong on "poets", weak anywhere */
    FEATURES
};
enum { DOCUMENTS = 500 };

static struct text_stream opened;
static struct fathom__stream *stream;

static const char *const filler[] = {
    "the",      "of",         "and",      "saw",           "near",      "with", "old",     "new",      "teacher",
    "baker",    "driver",     "writer",   "house",         "tower",     "wall", "kid",     "athletes", "striker",
    "sprinter", "goalkeeper", "swimmers", "San Francisco", "Francisco", "San",  "running", "eating",   "asking",
    "crossing", "building",   "12",       "345",           "7",         "1937", "golden",  "poets",    "bridges",
};

static bool one_of(const char *word, size_t length, const char *list) {
    for (const char *at = list; (at = strstr(at, word)); at++)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
    return false;
}

/* Rows that RARE may still have. */
static int rare = 2;

/* Which features are on at a word. */
static size_t features_of(uint32_t *features, float *values, const char *word, const char *before,
                          struct fathom__random *random) {
    size_t n = 0, length = strlen(word);
    if (one_of(word, length, "athletes striker sprinter goalkeeper swimmers")) features[n++] = ATHLETES;
    if (strcmp(word, "Francisco") == 0 && strcmp(before, "San") == 0) features[n++] = FRANCISCO;
    if (word[0] >= '0' && word[0] <= '9') features[n++] = NUMBERS;
    if (fathom__random_below(random, 30) == 0) features[n++] = NOISE;
    if (fathom__random_below(random, 2) == 0) features[n++] = DENSE;
    if (rare > 0 && fathom__random_below(random, 1000) == 0) {
        features[n++] = RARE;
        rare--;
    }
    if (strcmp(word, "golden") == 0) features[n++] = GOLDEN;
    if (length > 3 && strcmp(word + length - 3, "ing") == 0) features[n++] = ENDINGS;
    if (strcmp(word, "poets") == 0 || fathom__random_below(random, 8) == 0) features[n++] = POETS;
    for (size_t i = 0; i < n; i++) {
        const float base = features[i] != POETS ? 0.2f : strcmp(word, "poets") == 0 ? 2.5f : 0.7f;
        const float spread = features[i] == POETS && base < 1 ? 1.3f : 1;
        values[i] = base + spread * (float)fathom__random_unit(random);
    }
    return n;
}

static int set_up(void **state) {
    static const struct labelled_stream of = {filler,     sizeof filler / sizeof *filler, DOCUMENTS, FEATURES, 11,
                                              features_of};
    (void)state;
    if (labelled_stream_open(&opened, &of, NULL)) return -1;
    stream = opened.stream;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    text_stream_close(&opened);
    return 0;
}

static const struct fathom_label *find(const struct fathom__feature_label *labels, size_t n, uint32_t feature) {
    for (size_t i = 0; i < n; i++)
        if (labels[i].feature == feature) return &labels[i].label;
    return NULL;
}

static void features_get_the_labels_they_deserve(void **state) {
    (void)state;
    struct fathom__feature_label *labels;
    const struct fathom__label_options options = {.seed = 5, .n_threads = 1};
    size_t n;
    struct fathom_label_counts counts;
    assert_int_equal(fathom__labels_make(&labels, &n, &counts, stream, &options), FATHOM_OK);
    assert_string_equal(find(labels, n, ATHLETES)->text, "athletes");
    assert_string_equal(find(labels, n, FRANCISCO)->text, "‘Francisco’ after ‘San’");
    assert_string_equal(find(labels, n, NUMBERS)->text, "numbers");
    assert_non_null(strstr(find(labels, n, GOLDEN)->text, "‘golden’"));
    assert_string_equal(find(labels, n, ENDINGS)->text, "words ending in ‘-ing’");
    assert_null(find(labels, n, NOISE));
    assert_null(find(labels, n, DENSE));
    assert_null(find(labels, n, RARE));
    assert_string_equal(find(labels, n, POETS)->text, "‘poets’ (where strong)");
    assert_int_equal(n, 6);
    assert_int_equal(counts.n_candidates, 7);
    assert_int_equal(counts.all.n, 6);
    assert_int_equal(counts.n_strong, 1);
    assert_int_equal(counts.n_distinct, 6);
    assert_int_equal(counts.n_dense, 1);
    assert_int_equal(counts.n_rare, 1);
    assert_int_equal(counts.n_no_rule + counts.n_low_score + counts.n_low_f1, 1); /* the noise */
    assert_int_equal(counts.kinds[FATHOM_LABEL_CLASS].n, 1);
    assert_int_equal(counts.kinds[FATHOM_LABEL_SHAPE].n, 2); /* numbers and endings */
    assert_true(counts.all.score > 0.7 && counts.all.score > counts.all.shuffled + 0.1);
    fathom__labels_free(labels, n);
}

static void scores_come_with_their_controls(void **state) {
    (void)state;
    struct fathom__feature_label *labels;
    const struct fathom__label_options options = {.seed = 5, .n_threads = 1};
    size_t n;
    struct fathom_label_counts counts;
    assert_int_equal(fathom__labels_make(&labels, &n, &counts, stream, &options), FATHOM_OK);
    const struct fathom_label *athletes = find(labels, n, ATHLETES), *golden = find(labels, n, GOLDEN);
    assert_true(athletes->score == 1 && athletes->f1 == 1 && athletes->recall == 1);
    /* One word of five tells a fifth of the active rows and all the others: 0.6. */
    assert_in_range((int)(athletes->single_token * 100), 54, 68);
    assert_in_range((int)(athletes->shuffled * 100), 40, 60);
    assert_in_range((int)(athletes->prevalence * 1000), 100, 170); /* 5 of 36 */
    assert_in_range(athletes->n_active, 64, 96);                   /* as many of each quarter as there are contexts */
    assert_int_equal(athletes->n_inactive, 96);
    assert_true(golden->single_token == golden->score);
    assert_string_equal(athletes->origin, "offline");
    assert_non_null(strstr(athletes->rule, "\"class\""));
    const struct fathom_label *poets = find(labels, n, POETS);
    assert_non_null(strstr(poets->rule, "\"above\":0.5"));
    assert_null(strstr(athletes->rule, "\"above\""));
    assert_true(poets->score > 0.75f && poets->recall < 0.5f && poets->precision == 1); /* told where strong alone */
    fathom__labels_free(labels, n);
}

static struct fathom__rule list_of(const char *const *words, uint32_t n) {
    struct fathom__rule rule = {.n = 1, .conditions = {{.kind = FATHOM__WORDS, .n_ids = n}}};
    for (uint32_t i = 0; i < n; i++)
        assert_true(fathom__intern_find(&rule.conditions[0].ids[i], &stream->word_table, words[i], strlen(words[i])));
    return rule;
}

static void lists_get_the_name_of_what_most_members_share(void **state) {
    (void)state;
    static const char *const athletes[] = {"striker", "house", "sprinter", "goalkeeper", "swimmers", "athletes"};
    static const char *const nothing[] = {"striker", "house", "and"}, *const names[] = {"san", "francisco"};
    const struct fathom__label_options options = {.seed = 5};
    struct fathom__label_context context;
    assert_int_equal(fathom__label_context_open(&context, stream, &options), FATHOM_OK);
    struct fathom__rule rule = list_of(athletes, 6);
    const uint32_t house = rule.conditions[0].ids[1];
    fathom__label_name(&rule, &context);
    assert_int_equal(rule.conditions[0].name, FATHOM__NAME_CLASS);
    assert_int_equal(rule.conditions[0].class_id, 2);
    assert_int_equal(rule.conditions[0].n_named, 5);
    assert_int_equal(rule.conditions[0].ids[5], house); /* the outsider comes last */
    rule = list_of(athletes, 2);
    fathom__label_name(&rule, &context);
    assert_int_equal(rule.conditions[0].name, FATHOM__NAME_NONE);
    rule = list_of(nothing, 3);
    fathom__label_name(&rule, &context);
    assert_int_equal(rule.conditions[0].name, FATHOM__NAME_NONE);
    assert_int_equal(rule.conditions[0].n_named, 0);
    rule = list_of(names, 2);
    fathom__label_name(&rule, &context);
    assert_int_equal(rule.conditions[0].name, FATHOM__NAME_NAMES);
    rule = list_of(names, 1); /* one word is no list */
    fathom__label_name(&rule, &context);
    assert_int_equal(rule.conditions[0].name, FATHOM__NAME_NONE);
    fathom__label_context_close(&context);
}

static void labels_that_read_alike_are_told_apart(void **state) {
    (void)state;
    struct fathom_label labels[FEATURES] = {{0}};
    static const struct {
        uint32_t feature;
        const char *text, *wanted;
    } cases[] = {
        {GOLDEN, "colours", "colours, above all ‘golden’"},
        {FRANCISCO, "colours", "colours, above all ‘Francisco’"},
        {POETS, "people (where strong)", "people, above all ‘poets’ (where strong)"},
        {ENDINGS, "people (where strong)", NULL},
        {NUMBERS, "after ‘in’", NULL},
        {ATHLETES, "words like ‘striker’, ‘sprinter’, ‘goalkeeper’, ‘swimmers’ and ‘athletes’",
         "words like ‘striker’, ‘sprinter’, ‘goalkeeper’, ‘swimmers’ and ‘athletes’"}, /* quoted already */
        {DENSE, "words like ‘striker’, ‘sprinter’, ‘goalkeeper’, ‘swimmers’ and ‘athletes’", NULL},
        {NOISE, "houses", "houses"},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    for (size_t i = 0; i < CASES; i++)
        assert_int_equal(fathom__copy_string((char **)(uintptr_t)&labels[cases[i].feature].text, cases[i].text),
                         FATHOM_OK);
    assert_int_equal(fathom__labels_tell_apart(labels, FEATURES, stream), FATHOM_OK);
    for (size_t i = 0; i < CASES; i++)
        if (cases[i].wanted) assert_string_equal(labels[cases[i].feature].text, cases[i].wanted);
    for (size_t i = 0; i < CASES; i++)
        fathom_free((char *)(uintptr_t)labels[cases[i].feature].text);
}

static void threads_do_not_change_the_result(void **state) {
    (void)state;
    struct fathom__feature_label *one, *two;
    struct fathom__label_options options = {.seed = 9, .n_threads = 1};
    size_t n_one, n_two;
    struct fathom_label_counts counts;
    assert_int_equal(fathom__labels_make(&one, &n_one, &counts, stream, &options), FATHOM_OK);
    options.n_threads = 3;
    assert_int_equal(fathom__labels_make(&two, &n_two, &counts, stream, &options), FATHOM_OK);
    assert_int_equal(n_one, n_two);
    for (size_t i = 0; i < n_one; i++) {
        assert_string_equal(one[i].label.text, two[i].label.text);
        assert_true(one[i].label.score == two[i].label.score && one[i].label.shuffled == two[i].label.shuffled);
    }
    fathom__labels_free(one, n_one);
    fathom__labels_free(two, n_two);
}

static void without_quotes_only_classes_and_shapes_remain(void **state) {
    (void)state;
    struct fathom__feature_label *labels;
    const struct fathom__label_options options = {.seed = 5, .n_threads = 1, .no_quotes = true};
    size_t n;
    struct fathom_label_counts counts;
    assert_int_equal(fathom__labels_make(&labels, &n, &counts, stream, &options), FATHOM_OK);
    assert_string_equal(find(labels, n, ATHLETES)->text, "athletes");
    assert_string_equal(find(labels, n, NUMBERS)->text, "numbers");
    assert_null(find(labels, n, GOLDEN));
    for (size_t i = 0; i < n; i++)
        assert_null(strstr(labels[i].label.text, "‘"));
    fathom__labels_free(labels, n);
}

static int stop(const struct fathom_progress *progress, void *payload) {
    (void)progress;
    ++*(int *)payload;
    return 1;
}

static void stopping_leaves_nothing(void **state) {
    (void)state;
    struct fathom__feature_label *labels = NULL;
    int calls = 0;
    const struct fathom__label_options options = {.seed = 5, .n_threads = 2, .progress = stop, .payload = &calls};
    size_t n = 0;
    struct fathom_label_counts counts;
    assert_int_equal(fathom__labels_make(&labels, &n, &counts, stream, &options), FATHOM_ERROR_STOPPED);
    assert_int_equal(calls, 1);
    assert_null(labels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_get_the_labels_they_deserve),
        cmocka_unit_test(scores_come_with_their_controls),
        cmocka_unit_test(lists_get_the_name_of_what_most_members_share),
        cmocka_unit_test(labels_that_read_alike_are_told_apart),
        cmocka_unit_test(threads_do_not_change_the_result),
        cmocka_unit_test(without_quotes_only_classes_and_shapes_remain),
        cmocka_unit_test(stopping_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
