/* The whole way on tiny random models: corpus to catalogue, stopped and gone on with, found again, and the matrix. */
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/safetensors.h"
#include "base/scratch.h"
#include "tests/support/tiny_model.h"

#include <fathom/catalogue.h>
#include <math.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { WIDTH = 64, FEATURES = 96, DOCUMENTS = 60, CONTEXT = 32 };

static char model_path[2 * SCRATCH_PATH], dictionary_path[2 * SCRATCH_PATH], corpus_path[2 * SCRATCH_PATH];
static fathom_model *model;
static fathom_dictionary *dictionary;
static struct fathom_corpus_source source;

static void assert_ok(int status) {
    if (status) fail_msg("%s: %s", fathom_error_name(status), fathom_error_message());
}

static int write_dictionary(const char *path, const char *identity, uint64_t seed) {
    struct fathom__random random;
    static float encoder[FEATURES * WIDTH], bias[FEATURES], zeros[WIDTH], threshold[FEATURES];
    fathom__random_seed(&random, seed);
    for (int i = 0; i < FEATURES * WIDTH; i++)
        encoder[i] = (float)fathom__random_normal(&random) / 8;
    for (int i = 0; i < FEATURES; i++)
        threshold[i] = i % 8 ? 0.5f : 0.01f;
    const struct fathom_dictionary_parts parts = {
        .info = {.name = "random",
                 .architecture = "batchtopk",
                 .hook_in = "blocks.1.hook_resid_post",
                 .hook_out = "blocks.1.hook_resid_post",
                 .model_identity = identity,
                 .model_name = "tiny",
                 .training = "{}",
                 .d_in = WIDTH,
                 .d_out = WIDTH,
                 .n_features = FEATURES,
                 .k = 8,
                 .input_scale = 1,
                 .skip_positions = 1,
                 .max_norm = INFINITY},
        .encoder = encoder,
        .encoder_bias = bias,
        .decoder = encoder,
        .decoder_bias = zeros,
        .threshold = threshold,
    };
    return fathom_dictionary_write(path, &parts, "f32");
}

static int set_up(void **state) {
    (void)state;
    snprintf(model_path, sizeof model_path, "%s", scratch("tiny.gguf"));
    snprintf(dictionary_path, sizeof dictionary_path, "%s", scratch("random.gguf"));
    snprintf(corpus_path, sizeof corpus_path, "%s", scratch("corpus.jsonl"));
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    setenv("XDG_DATA_HOME", scratch("data"), 1);
    setenv("FATHOM_SHARE", scratch("share"), 1);
    FILE *file = fopen(corpus_path, "wb");
    if (!file) return -1;
    for (int i = 0; i < DOCUMENTS; i++)
        fprintf(file, "{\"text\": \"document %d of the bridge and %d of the old town, number %d\"}\n", i, i * 7 % 13,
                i * i);
    source = (struct fathom_corpus_source){.path = corpus_path};
    return fclose(file) || fathom_test_tiny_model(model_path, "llama", 5) ||
           fathom_model_open(&model, model_path, NULL) ||
           write_dictionary(dictionary_path, fathom_model_describe(model)->source_identity, 9) ||
           fathom_dictionary_open(&dictionary, dictionary_path);
}

static int tear_down(void **state) {
    (void)state;
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    return 0;
}

/* Everything in a catalogue but when it was made, as one number a table. */
static void fingerprint(char *out, size_t size, const char *path) {
    static const char sql[] =
        "SELECT (SELECT count(*) || ':' || sum(count) || ':' || sum(mean) FROM features) || ' ' ||"
        " (SELECT count(*) || ':' || sum(value) || ':' || sum(first) FROM examples) || ' ' ||"
        " (SELECT count(*) || ':' || sum(length(tokens)) FROM passages) || ' ' ||"
        " (SELECT count(*) || ':' || coalesce(group_concat(text), '') FROM labels)";
    sqlite3 *database;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    snprintf(out, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(database);
}

static void a_corpus_becomes_a_catalogue(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    snprintf(path, sizeof path, "%s", scratch("whole.sqlite"));
    const struct fathom_index_options options = {.context = CONTEXT, .n_threads = 2, .seed = 3};
    struct fathom_index_result result;
    assert_ok(fathom_index(&result, path, dictionary, model, &source, 1, &options));
    fathom_catalogue *catalogue;
    assert_ok(fathom_catalogue_open(&catalogue, path, dictionary));
    const struct fathom_catalogue_info *info = fathom_catalogue_describe(catalogue);
    assert_string_equal(info->corpus, "corpus.jsonl");
    assert_int_equal(info->n_documents, DOCUMENTS);
    assert_int_equal(info->n_tokens, result.n_tokens);
    assert_int_equal(info->n_alive, result.n_alive);
    assert_in_range(info->n_alive, 1, FEATURES);
    /* Features with a low threshold fire on about half of all rows. */
    assert_true(fathom_catalogue_feature(catalogue, 8)->density > 0.2);
    struct fathom_feature_details *details;
    assert_ok(fathom_catalogue_details(&details, catalogue, 8));
    assert_int_equal(details->n_raised, 10);
    assert_int_equal(details->n_lowered, 10);
    assert_int_equal(details->n_neighbours, 8);
    assert_true(details->raised[0].value >= details->raised[1].value);
    assert_true(details->neighbours[0].cosine >= details->neighbours[1].cosine);
    assert_true(details->examples[0].value == details->feature.max_activation);
    fathom_feature_details_free(details);
    fathom_catalogue_close(catalogue);
    assert_false(fathom__file_exists(scratch("whole.sqlite.index-checkpoint")));
}

/* The stored effect of a token, computed here from the model's own parts. */
static void effects_are_what_the_decoder_does_to_the_logits(void **state) {
    (void)state;
    fathom_catalogue *catalogue;
    struct fathom_feature_details *details;
    struct fathom_final_norm norm;
    float direction[WIDTH], *unembedding;
    size_t rows, columns;
    assert_ok(fathom_catalogue_open(&catalogue, scratch("whole.sqlite"), dictionary));
    assert_ok(fathom_catalogue_details(&details, catalogue, 5));
    assert_ok(fathom_dictionary_direction(direction, dictionary, 5));
    assert_ok(fathom_model_unembedding(&unembedding, &rows, &columns, model));
    assert_ok(fathom_model_final_norm(&norm, model));
    double length = 0, mean = 0, best = -INFINITY;
    double *effects = malloc(rows * sizeof *effects);
    assert_non_null(effects);
    for (int i = 0; i < WIDTH; i++)
        length += (double)direction[i] * (double)direction[i];
    for (size_t t = 0; t < rows; t++) {
        effects[t] = 0;
        for (int i = 0; i < WIDTH; i++)
            effects[t] += (double)unembedding[t * columns + (size_t)i] * (double)norm.gain[i] * (double)direction[i] /
                          sqrt(length);
        mean += effects[t] / (double)rows;
    }
    for (size_t t = 0; t < rows; t++)
        if (effects[t] - mean > best) best = effects[t] - mean;
    assert_true(fabs((double)details->raised[0].value - best) < 1e-4);
    for (size_t i = 0; i < details->n_lowered; i++)
        assert_true(fabs((double)details->lowered[i].value - (effects[details->lowered[i].token] - mean)) < 1e-4);
    free(effects);
    fathom_free(unembedding);
    fathom_free(norm.gain);
    fathom_free(norm.bias);
    fathom_feature_details_free(details);
    fathom_catalogue_close(catalogue);
}

struct stopper {
    uint64_t after;
};

static int stop_after(const struct fathom_progress *progress, void *payload) {
    const struct stopper *stopper = payload;
    return strcmp(progress->stage, "index") == 0 && progress->done >= stopper->after;
}

static void a_stopped_index_goes_on_to_the_same_end(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH], whole[4096], resumed[4096];
    struct stopper stopper = {600};
    struct fathom_index_options options = {
        .context = CONTEXT, .n_threads = 2, .seed = 3, .progress = stop_after, .payload = &stopper};
    struct fathom_index_result result;
    snprintf(path, sizeof path, "%s", scratch("stopped.sqlite"));
    assert_int_equal(fathom_index(NULL, path, dictionary, model, &source, 1, &options), FATHOM_ERROR_STOPPED);
    assert_non_null(strstr(fathom_error_message(), "the same command goes on from token"));
    assert_false(fathom__file_exists(path)); /* no catalogue that says nothing */
    options.progress = NULL;
    assert_ok(fathom_index(&result, path, dictionary, model, &source, 1, &options));
    assert_true(result.n_resumed >= 600);
    fingerprint(whole, sizeof whole, scratch("whole.sqlite"));
    fingerprint(resumed, sizeof resumed, path);
    assert_string_equal(whole, resumed);
    assert_false(fathom__file_exists(scratch("stopped.sqlite.index-checkpoint")));
}

static void a_damaged_checkpoint_costs_no_more_than_a_new_start(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    struct stopper stopper = {300};
    struct fathom_index_options options = {
        .context = CONTEXT, .n_threads = 1, .seed = 3, .progress = stop_after, .payload = &stopper};
    struct fathom_index_result result;
    snprintf(path, sizeof path, "%s", scratch("damaged.sqlite"));
    assert_int_equal(fathom_index(NULL, path, dictionary, model, &source, 1, &options), FATHOM_ERROR_STOPPED);
    scratch_text("damaged.sqlite.index-checkpoint", "not what it was");
    options.progress = NULL;
    assert_ok(fathom_index(&result, path, dictionary, model, &source, 1, &options));
    assert_int_equal(result.n_resumed, 0);
    assert_int_equal(result.n_documents, DOCUMENTS);
}

static void unquoted_text_counts_without_examples(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH], other[2 * SCRATCH_PATH];
    snprintf(path, sizeof path, "%s", scratch("unquoted.sqlite"));
    snprintf(other, sizeof other, "%s", scratch_text("short.txt", "a text of our own that may be quoted"));
    const struct fathom_corpus_source quoted = {.path = other};
    const struct fathom_index_options options = {.context = CONTEXT, .unquoted = &source, .n_unquoted = 1};
    struct fathom_index_result result;
    assert_ok(fathom_index(&result, path, dictionary, model, &quoted, 1, &options));
    assert_int_equal(result.n_documents, DOCUMENTS + 1);
    fathom_catalogue *catalogue;
    assert_ok(fathom_catalogue_open(&catalogue, path, dictionary));
    assert_string_equal(fathom_catalogue_describe(catalogue)->corpus, "short.txt, corpus.jsonl");
    for (uint32_t f = 0; f < FEATURES; f++) {
        struct fathom_feature_details *details;
        assert_ok(fathom_catalogue_details(&details, catalogue, f));
        for (size_t i = 0; i < details->n_examples; i++)
            assert_int_equal(details->examples[i].document, 0);
        fathom_feature_details_free(details);
    }
    fathom_catalogue_close(catalogue);
}

static void dictionaries_of_other_models_and_bad_paths_are_refused(void **state) {
    (void)state;
    fathom_dictionary *other;
    char path[2 * SCRATCH_PATH];
    snprintf(path, sizeof path, "%s", scratch("other.gguf"));
    assert_ok(write_dictionary(path, "ffffffffffffffffffffffffffffffff", 1));
    assert_ok(fathom_dictionary_open(&other, path));
    assert_int_equal(fathom_index(NULL, scratch("none.sqlite"), other, model, &source, 1, NULL), FATHOM_ERROR_MISMATCH);
    assert_false(fathom__file_exists(scratch("none.sqlite")));
    fathom_dictionary_close(other);
    assert_int_equal(fathom_index(NULL, scratch("no/such/folder.sqlite"), dictionary, model, &source, 1, NULL),
                     FATHOM_ERROR_IO);
    const struct fathom_index_options many = {.n_top = 1000};
    assert_int_equal(fathom_index(NULL, scratch("none.sqlite"), dictionary, model, &source, 1, &many),
                     FATHOM_ERROR_ARGUMENT);
    const struct fathom_corpus_source missing = {.path = "/nonexistent.jsonl"};
    assert_int_equal(fathom_index(NULL, scratch("none.sqlite"), dictionary, model, &missing, 1, NULL), FATHOM_ERROR_IO);
    assert_non_null(strstr(fathom_error_message(), "/nonexistent.jsonl"));
}

static void copy(const char *to, const char *from) {
    char *bytes;
    size_t length;
    assert_ok(fathom__file_read(&bytes, &length, from, SIZE_MAX));
    assert_ok(fathom__file_write(to, bytes, length));
    fathom_free(bytes);
}

static void assert_located(int status, char **found, const char *wanted) {
    assert_ok(status);
    assert_string_equal(*found, wanted);
    fathom_free(*found);
}

static void defaults_are_found_in_their_order(void **state) {
    (void)state;
    char *found = NULL, *own, name[128];
    assert_int_equal(fathom_locate_dictionary(&found, model, NULL), FATHOM_ERROR_NOT_FOUND);
    assert_located(fathom_locate_dictionary(&found, model, "given.gguf"), &found, "given.gguf");
    assert_int_equal(fathom_locate_catalogue(&found, dictionary, NULL), FATHOM_ERROR_NOT_FOUND);
    assert_non_null(strstr(fathom_error_message(), "fathom index"));
    /* Shipped: folders are searched for what fits, whatever their names; another model's is passed over. */
    assert_ok(fathom__make_folders(scratch("share/a")));
    assert_ok(fathom__make_folders(scratch("share/b")));
    assert_ok(write_dictionary(scratch("share/a/dictionary.gguf"), "ffffffffffffffffffffffffffffffff", 1));
    copy(scratch("share/b/dictionary.gguf"), dictionary_path);
    copy(scratch("share/b/catalogue.sqlite"), scratch("whole.sqlite"));
    assert_located(fathom_locate_dictionary(&found, model, NULL), &found, scratch("share/b/dictionary.gguf"));
    assert_located(fathom_locate_catalogue(&found, dictionary, NULL), &found, scratch("share/b/catalogue.sqlite"));
    /* To write in, the shipped one is copied to the user's own place, where it is found from then on. */
    assert_ok(fathom_catalogue_default_path(&own, dictionary));
    snprintf(name, sizeof name, "data/fathom/%s/catalogue.sqlite", fathom_model_describe(model)->source_identity);
    assert_string_equal(own, scratch(name));
    assert_located(fathom_locate_writable_catalogue(&found, dictionary, NULL), &found, own);
    assert_located(fathom_locate_catalogue(&found, dictionary, NULL), &found, own);
    assert_ok(fathom_catalogue_label(own, dictionary, 3, "mine", "user"));
    fathom_catalogue *catalogue;
    assert_ok(fathom_catalogue_open(&catalogue, own, dictionary));
    assert_string_equal(fathom_catalogue_feature(catalogue, 3)->label, "mine");
    fathom_catalogue_close(catalogue);
    fathom_free(own);
}

static void the_matrix_is_what_the_encoder_says(void **state) {
    (void)state;
    char path[2 * SCRATCH_PATH];
    uint64_t n_tokens, n_entries;
    const struct fathom_matrix_options options = {.context = CONTEXT, .n_threads = 1};
    fathom__safetensors *file;
    fathom_catalogue *catalogue;
    snprintf(path, sizeof path, "%s", scratch("matrix.safetensors"));
    assert_ok(fathom_feature_matrix(&n_tokens, &n_entries, path, dictionary, model, &source, 1, &options));
    assert_ok(fathom__safetensors_open(&file, path));
    const struct fathom__tensor *columns = fathom__safetensors_find(file, "columns"),
                                *values = fathom__safetensors_find(file, "values");
    const struct fathom__tensor *rows = fathom__safetensors_find(file, "rows"),
                                *documents = fathom__safetensors_find(file, "documents");
    assert_int_equal(rows->shape[0], n_entries);
    assert_int_equal(documents->shape[0], n_tokens);
    char shape[64];
    snprintf(shape, sizeof shape, "%d,%d", (int)n_tokens, FEATURES);
    assert_string_equal(fathom__safetensors_metadata(file, "shape"), shape);
    /* The same corpus gave the catalogue its counts and maxima. */
    assert_ok(fathom_catalogue_open(&catalogue, scratch("whole.sqlite"), dictionary));
    uint64_t counts[FEATURES] = {0};
    float maxima[FEATURES] = {0};
    for (uint64_t i = 0; i < n_entries; i++) {
        int32_t column, row;
        float value;
        memcpy(&column, (const char *)columns->data + 4 * i, 4);
        memcpy(&row, (const char *)rows->data + 4 * i, 4);
        memcpy(&value, (const char *)values->data + 4 * i, 4);
        assert_in_range(row, 0, n_tokens - 1);
        counts[column]++;
        if (value > maxima[column]) maxima[column] = value;
    }
    for (uint32_t f = 0; f < FEATURES; f++) {
        assert_int_equal(counts[f], fathom_catalogue_feature(catalogue, f)->count);
        assert_true(maxima[f] == fathom_catalogue_feature(catalogue, f)->max_activation);
    }
    int32_t last;
    memcpy(&last, (const char *)documents->data + 4 * (n_tokens - 1), 4);
    assert_int_equal(last, DOCUMENTS - 1);
    fathom_catalogue_close(catalogue);
    fathom__safetensors_close(file);
    assert_int_equal(
        fathom_feature_matrix(NULL, NULL, scratch("no/such/folder"), dictionary, model, &source, 1, &options),
        FATHOM_ERROR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_corpus_becomes_a_catalogue),
        cmocka_unit_test(effects_are_what_the_decoder_does_to_the_logits),
        cmocka_unit_test(a_stopped_index_goes_on_to_the_same_end),
        cmocka_unit_test(a_damaged_checkpoint_costs_no_more_than_a_new_start),
        cmocka_unit_test(unquoted_text_counts_without_examples),
        cmocka_unit_test(dictionaries_of_other_models_and_bad_paths_are_refused),
        cmocka_unit_test(defaults_are_found_in_their_order),
        cmocka_unit_test(the_matrix_is_what_the_encoder_says),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
