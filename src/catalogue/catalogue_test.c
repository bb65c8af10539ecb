#include "base/file.h"
#include "tests/support/tiny_catalogue.h"

#include <fathom/labels.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct tiny_catalogue tiny;

static int set_up(void **state) {
    (void)state;
    return tiny_catalogue_open(&tiny) || tiny_catalogue_write(&tiny);
}

static int tear_down(void **state) {
    (void)state;
    tiny_catalogue_close(&tiny);
    return 0;
}

static fathom_catalogue *opened(void) {
    fathom_catalogue *catalogue = NULL;
    if (fathom_catalogue_open(&catalogue, tiny.path, tiny.dictionary)) fail_msg("%s", fathom_error_message());
    return catalogue;
}

static void short_records_are_loaded(void **state) {
    (void)state;
    fathom_catalogue *catalogue = opened();
    const struct fathom_catalogue_info *info = fathom_catalogue_describe(catalogue);
    assert_string_equal(info->model_name, "a model");
    assert_string_equal(info->model_identity, tiny.model.source_identity);
    assert_string_equal(info->dictionary_name, "tiny");
    assert_string_equal(info->hook, "blocks.1.hook_resid_post");
    assert_string_equal(info->corpus, "a few words");
    assert_int_equal(info->n_features, TINY_FEATURES);
    assert_int_equal(info->n_alive, 3);
    assert_int_equal(info->n_labelled, 2);
    assert_int_equal(info->n_documents, TINY_DOCUMENTS);
    assert_int_equal(info->n_tokens, TINY_DOCUMENTS * 13); /* 14 words, the first not covered */
    assert_true(info->has_text);
    const struct fathom_feature *bridge = fathom_catalogue_feature(catalogue, 0),
                                *silent = fathom_catalogue_feature(catalogue, 4);
    assert_string_equal(bridge->label, "suspension bridges");
    assert_string_equal(bridge->label_origin, "offline");
    assert_true(fabsf(bridge->label_score - 0.9f) < 1e-6f);
    assert_true(bridge->max_activation == TINY_DOCUMENTS);
    assert_true(bridge->mean_active == 15.5f);
    assert_int_equal(bridge->count, TINY_DOCUMENTS);
    assert_true(fabs(bridge->density - 1.0 / 13) < 1e-12);
    assert_null(silent->label);
    assert_true(isnan(silent->label_score));
    assert_true(silent->max_activation == 0);
    assert_null(fathom_catalogue_feature(catalogue, TINY_FEATURES));
    fathom_catalogue_close(catalogue);
}

static void details_come_back_as_written(void **state) {
    (void)state;
    fathom_catalogue *catalogue = opened();
    struct fathom_feature_details *details;
    assert_int_equal(fathom_catalogue_details(&details, catalogue, 0), FATHOM_OK);
    assert_int_equal(details->n_raised, 2);
    assert_int_equal(details->raised[0].token, 7);
    assert_true(details->raised[0].value == 2.5f);
    assert_int_equal(details->n_lowered, 1);
    assert_int_equal(details->lowered[0].token, 8);
    assert_true(details->lowered[0].value == -3);
    assert_int_equal(details->n_neighbours, TINY_FEATURES - 1);
    assert_int_equal(details->neighbours[0].feature, 1);
    assert_int_equal(details->n_labels, 1);
    assert_true(fabsf(details->labels[0].single_token - 0.75f) < 1e-6f);
    assert_int_equal(details->labels[0].n_inactive, 95);
    assert_string_equal(details->labels[0].rule, "{\"all\":[]}");
    uint64_t in_bins = 0;
    for (int i = 0; i < FATHOM_HISTOGRAM_BINS; i++)
        in_bins += details->histogram[i];
    assert_int_equal(in_bins, TINY_DOCUMENTS);
    assert_true(details->histogram_top == 32);
    fathom_feature_details_free(details);
    fathom_catalogue_close(catalogue);
}

static void examples_have_their_text_and_levels(void **state) {
    (void)state;
    fathom_catalogue *catalogue = opened();
    struct fathom_feature_details *details;
    assert_int_equal(fathom_catalogue_details(&details, catalogue, 0), FATHOM_OK);
    assert_int_equal(details->n_examples, 5 + 4 * 3); /* five strongest, three of each quarter */
    float last = INFINITY;
    for (size_t i = 0; i < details->n_examples; i++) {
        const struct fathom_example *example = &details->examples[i];
        assert_int_equal(example->band, i < 5 ? 0 : (int)(i - 5) / 3 + 1);
        if (example->band == 0) {
            assert_true(example->value == (float)(TINY_DOCUMENTS - i));
            assert_true(example->value < last);
            last = example->value;
        } else {
            assert_true(example->value > (float)(TINY_DOCUMENTS * (example->band - 1)) / 4);
            assert_true(example->value <= (float)(TINY_DOCUMENTS * example->band) / 4);
        }
        assert_int_equal(example->n, 14);
        assert_int_equal(example->peak, 5);
        assert_int_equal(example->position, 5);
        assert_int_equal(example->document, (int)example->value - 1);
        assert_string_equal(fathom__intern_text(NULL, &tiny.pieces.table, (uint32_t)example->tokens[5]), " bridge");
        assert_string_equal(fathom__intern_text(NULL, &tiny.pieces.table, (uint32_t)example->tokens[13]), " river");
        for (size_t j = 0; j < example->n; j++)
            assert_true(example->activations[j] == (j == 5 ? example->value : 0));
    }
    fathom_feature_details_free(details);
    /* Two strengths in one window: levels are to 1/255 of the larger. */
    assert_int_equal(fathom_catalogue_details(&details, catalogue, 2), FATHOM_OK);
    assert_true(details->examples[0].activations[3] == 0.5f);
    assert_true(details->examples[0].activations[5] == 0.5f);
    fathom_feature_details_free(details);
    assert_int_equal(fathom_catalogue_details(&details, catalogue, TINY_FEATURES), FATHOM_ERROR_NOT_FOUND);
    assert_string_equal(fathom_error_message(), "no feature 6: dictionary \"tiny\" has features 0 to 5");
    fathom_catalogue_close(catalogue);
}

static void words_are_found_in_labels_and_examples(void **state) {
    (void)state;
    fathom_catalogue *catalogue = opened();
    struct fathom_hit hits[4];
    size_t n;
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "suspension brid"), FATHOM_OK);
    assert_int_equal(n, 1);
    assert_int_equal(hits[0].feature, 0);
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "BRIDGE"), FATHOM_OK);
    assert_int_equal(n, 2); /* the label of one, the label and the examples of both */
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 1, catalogue, "bridge"), FATHOM_OK);
    assert_int_equal(n, 1);
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "the"), FATHOM_OK);
    assert_int_equal(n, 2);
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "athletes"), FATHOM_OK);
    assert_int_equal(n, 0);
    /* What would be operators, quotes and columns of the query language are plain words or nothing. */
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "label:bridge OR \"NOT"), FATHOM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, " * \"( "), FATHOM_ERROR_ARGUMENT);
    fathom_catalogue_close(catalogue);
}

static void features_of_one_label_stand_best_first(void **state) {
    (void)state;
    const struct fathom__feature_label labels[] = {
        {1, {.text = "old walls", .origin = "offline", .score = 0.72f}},
        {2, {.text = "walls", .origin = "offline", .score = 0.99f}},
        {3, {.text = "old walls", .origin = "offline", .score = 0.93f}},
    };
    struct tiny_catalogue walls = tiny;
    struct fathom_hit hits[4];
    fathom_catalogue *catalogue;
    size_t n;
    snprintf(walls.path, sizeof walls.path, "%s/walls.sqlite", tiny.folder);
    walls.content.labels = labels;
    walls.content.n_labels = 3;
    assert_int_equal(tiny_catalogue_write(&walls), FATHOM_OK);
    assert_int_equal(fathom_catalogue_open(&catalogue, walls.path, tiny.dictionary), FATHOM_OK);
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "old walls"), FATHOM_OK);
    assert_int_equal(n, 2);
    assert_int_equal(hits[0].feature, 3);
    assert_int_equal(hits[1].feature, 1);
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "walls"), FATHOM_OK);
    assert_int_equal(n, 3);
    const int first = hits[0].feature == 2; /* one label's features are together */
    assert_int_equal(hits[first].feature, 3);
    assert_int_equal(hits[first + 1].feature, 1);
    assert_int_equal(hits[first ? 0 : 2].feature, 2);
    fathom_catalogue_close(catalogue);
    unlink(walls.path);
}

static void a_text_is_about_what_is_strong_and_rare(void **state) {
    (void)state;
    fathom_catalogue *catalogue = opened();
    struct fathom_hit hits[4];
    size_t n, offsets[] = {0, 2, 3};
    uint32_t features[] = {0, 1, 1};
    float values[] = {15, 4, 2};
    const struct fathom_sparse sparse = {.n_rows = 2, .offsets = offsets, .features = features, .values = values};
    assert_int_equal(fathom_catalogue_search_text(hits, &n, 4, catalogue, &sparse), FATHOM_OK);
    assert_int_equal(n, 2);
    /* Feature 1: (4 + 2) / 2 · ln(13 / 3); feature 0: 15 / 30 · ln 13. */
    assert_int_equal(hits[0].feature, 1);
    assert_true(fabs(hits[0].score - 3 * log(13.0 / 3)) < 1e-6);
    assert_true(fabs(hits[1].score - 0.5 * log(13.0)) < 1e-6);
    const struct fathom_sparse nothing = {.n_rows = 0};
    assert_int_equal(fathom_catalogue_search_text(hits, &n, 4, catalogue, &nothing), FATHOM_OK);
    assert_int_equal(n, 0);
    fathom_catalogue_close(catalogue);
}

static void output_tokens_find_their_features(void **state) {
    (void)state;
    fathom_catalogue *catalogue = opened();
    struct fathom_hit hits[4];
    size_t n;
    assert_int_equal(fathom_catalogue_search_token(hits, &n, 4, catalogue, 7, false), FATHOM_OK);
    assert_int_equal(n, 2);
    assert_int_equal(hits[0].feature, 1);
    assert_true(hits[0].score == 4);
    assert_int_equal(fathom_catalogue_search_token(hits, &n, 4, catalogue, 8, false), FATHOM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(fathom_catalogue_search_token(hits, &n, 4, catalogue, 8, true), FATHOM_OK);
    assert_int_equal(n, 1);
    assert_true(hits[0].score == 3);
    fathom_catalogue_close(catalogue);
}

static void a_persons_label_comes_first_and_stays(void **state) {
    (void)state;
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, "the bridge at San Francisco", "user"),
                     FATHOM_OK);
    assert_int_equal(tiny_catalogue_write(&tiny), FATHOM_OK); /* indexed again */
    fathom_catalogue *catalogue = opened();
    const struct fathom_feature *bridge = fathom_catalogue_feature(catalogue, 0);
    assert_string_equal(bridge->label, "the bridge at San Francisco");
    assert_string_equal(bridge->label_origin, "user");
    assert_true(isnan(bridge->label_score));
    struct fathom_feature_details *details;
    assert_int_equal(fathom_catalogue_details(&details, catalogue, 0), FATHOM_OK);
    assert_int_equal(details->n_labels, 2);
    assert_string_equal(details->labels[1].text, "suspension bridges");
    assert_string_equal(details->feature.label, "the bridge at San Francisco");
    fathom_feature_details_free(details);
    struct fathom_hit hits[4];
    size_t n;
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "san francisco"), FATHOM_OK);
    assert_int_equal(n, 1);
    fathom_catalogue_close(catalogue);
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, NULL, "user"), FATHOM_OK);
    catalogue = opened();
    assert_string_equal(fathom_catalogue_feature(catalogue, 0)->label, "suspension bridges");
    struct fathom_label_change *changes;
    assert_int_equal(fathom_catalogue_label_changes(&changes, &n, catalogue, 0), FATHOM_OK);
    assert_int_equal(n, 2); /* the latest first */
    assert_null(changes[0].text);
    assert_string_equal(changes[1].text, "the bridge at San Francisco");
    assert_string_equal(changes[1].origin, "user");
    assert_int_equal(strlen(changes[1].at), strlen("2026-11-22T19:06:22Z"));
    fathom_label_changes_free(changes, n);
    assert_int_equal(fathom_catalogue_label_changes(&changes, &n, catalogue, 1), FATHOM_OK);
    assert_int_equal(n, 0);
    assert_null(changes);
    assert_int_equal(fathom_catalogue_label_changes(&changes, &n, catalogue, 99), FATHOM_ERROR_NOT_FOUND);
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "san francisco"), FATHOM_OK);
    assert_int_equal(n, 0);
    fathom_catalogue_close(catalogue);
}

static void a_persons_label_keeps_its_figures(void **state) {
    (void)state;
    const struct fathom_label measured = {.rule = "{\"texts\":[\"t.jsonl\"],\"above\":2.5}",
                                          .score = 0.875F,
                                          .f1 = 0.75F,
                                          .prevalence = 0.25F,
                                          .single_token = NAN,
                                          .shuffled = 0.5F,
                                          .n_active = 8,
                                          .n_inactive = 24};
    struct fathom_label broken = measured;
    assert_int_equal(fathom_catalogue_label_measured(tiny.path, tiny.dictionary, 0, "user", &measured),
                     FATHOM_ERROR_NOT_FOUND); /* it has none yet */
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, "mine", "user"), FATHOM_OK);
    assert_int_equal(fathom_catalogue_label_measured(tiny.path, tiny.dictionary, 0, "user", &measured), FATHOM_OK);
    fathom_catalogue *catalogue = opened();
    struct fathom_feature_details *details;
    assert_true(fathom_catalogue_feature(catalogue, 0)->label_score == 0.875F);
    assert_int_equal(fathom_catalogue_details(&details, catalogue, 0), FATHOM_OK);
    assert_string_equal(details->labels[0].text, "mine");
    assert_string_equal(details->labels[0].rule, measured.rule);
    assert_true(details->labels[0].f1 == 0.75F && details->labels[0].prevalence == 0.25F);
    assert_true(isnan(details->labels[0].single_token));
    assert_int_equal(details->labels[0].n_active, 8);
    assert_int_equal(details->labels[0].n_inactive, 24);
    assert_string_equal(details->labels[1].text, "suspension bridges");
    fathom_feature_details_free(details);
    fathom_catalogue_close(catalogue);
    broken.rule = "[1]";
    assert_int_equal(fathom_catalogue_label_measured(tiny.path, tiny.dictionary, 0, "user", &broken),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_catalogue_label_measured(tiny.path, tiny.dictionary, 99, "user", &measured),
                     FATHOM_ERROR_NOT_FOUND);
    /* Another text is another label. */
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, "another", "user"), FATHOM_OK);
    catalogue = opened();
    assert_true(isnan(fathom_catalogue_feature(catalogue, 0)->label_score));
    fathom_catalogue_close(catalogue);
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, NULL, "user"), FATHOM_OK);
}

static void labels_are_checked(void **state) {
    (void)state;
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, "", "user"), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, long_text, "user"), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, "two\nlines", "user"),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 0, "bad \xff byte", "user"),
                     FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom_catalogue_label(tiny.path, tiny.dictionary, 99, "text", "user"), FATHOM_ERROR_NOT_FOUND);
    assert_int_equal(fathom_catalogue_label("/nonexistent.sqlite", tiny.dictionary, 0, "text", "user"),
                     FATHOM_ERROR_IO);
}

static bool file_has(const char *path, const char *text) {
    char *bytes;
    size_t length;
    assert_int_equal(fathom__file_read(&bytes, &length, path, SIZE_MAX), FATHOM_OK);
    const bool found = memmem(bytes, length, text, strlen(text)) != NULL;
    fathom_free(bytes);
    return found;
}

static void without_text_no_token_and_no_word_is_stored(void **state) {
    (void)state;
    struct tiny_catalogue other = tiny;
    snprintf(other.path, sizeof other.path, "%s/numbers.sqlite", tiny.folder);
    other.content.no_text = true;
    other.content.n_labels = 1; /* a class: says nothing of the corpus's words */
    assert_int_equal(tiny_catalogue_write(&other), FATHOM_OK);
    assert_true(file_has(tiny.path, "river") || file_has(tiny.path, "bridge"));
    assert_false(file_has(other.path, "river"));
    assert_false(file_has(other.path, "‘bridge’"));
    fathom_catalogue *catalogue;
    struct fathom_feature_details *details;
    assert_int_equal(fathom_catalogue_open(&catalogue, other.path, tiny.dictionary), FATHOM_OK);
    assert_false(fathom_catalogue_describe(catalogue)->has_text);
    assert_int_equal(fathom_catalogue_details(&details, catalogue, 0), FATHOM_OK);
    assert_int_equal(details->n_examples, 17);
    assert_int_equal(details->examples[0].n, 0);
    assert_null(details->examples[0].tokens);
    assert_true(details->examples[0].value == TINY_DOCUMENTS);
    fathom_feature_details_free(details);
    struct fathom_hit hits[4];
    size_t n;
    assert_int_equal(fathom_catalogue_search_words(hits, &n, 4, catalogue, "the"), FATHOM_OK);
    assert_int_equal(n, 0);
    fathom_catalogue_close(catalogue);
    unlink(other.path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_records_are_loaded),
        cmocka_unit_test(details_come_back_as_written),
        cmocka_unit_test(examples_have_their_text_and_levels),
        cmocka_unit_test(words_are_found_in_labels_and_examples),
        cmocka_unit_test(features_of_one_label_stand_best_first),
        cmocka_unit_test(a_text_is_about_what_is_strong_and_rare),
        cmocka_unit_test(output_tokens_find_their_features),
        cmocka_unit_test(a_persons_label_comes_first_and_stays),
        cmocka_unit_test(a_persons_label_keeps_its_figures),
        cmocka_unit_test(labels_are_checked),
        cmocka_unit_test(without_text_no_token_and_no_word_is_stored),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
