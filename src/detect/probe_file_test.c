/* Probe files: what is written comes back, and every kind of damage is told by file and key. */
#include "base/gguf_file.h"
#include "base/scratch.h"
#include "detect/probe_internal.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { WIDTH = 3, SHUFFLES = 2, BAG = 2, TEXTS = 2, PAIRS = 5 };

struct parts {
    float mean[WIDTH], deviation[WIDTH], weights[WIDTH], shuffled[SHUFFLES * WIDTH], bag_weights[BAG];
    int32_t bag_tokens[BAG], pairs[PAIRS];
    int64_t wholes[TEXTS], offsets[TEXTS + 1];
};

static const struct parts sound = {
    .mean = {1, 2, 3},
    .deviation = {1, 0.5f, 2},
    .weights = {0.25f, -1, 4},
    .shuffled = {1, 2, 3, 4, 5, 6},
    .bag_weights = {0.5f, -2},
    .bag_tokens = {7, 900},
    .pairs = {1, -2, 3, 4, 5},
    .wholes = {INT64_MIN, 12},
    .offsets = {0, 2, 5},
};

/* A probe whose arrays are those of `parts`. */
static fathom_probe make(struct parts *parts) {
    fathom_probe probe = {
        .info = {.hook = "blocks.2.hook_resid_post",
                 .model_identity = "0123456789abcdef0123456789abcdef",
                 .model_name = "tiny",
                 .pool = FATHOM_POOL_LAST,
                 .d_in = WIDTH,
                 .max_norm = 12.5f,
                 .threshold = -0.75,
                 .regularisation = 0.25,
                 .cross_validated_auroc = 0.875,
                 .n_positive = 30,
                 .n_negative = 31,
                 .n_duplicates = 2,
                 .n_shuffled = SHUFFLES,
                 .seed = UINT64_MAX},
        .mean = parts->mean,
        .deviation = parts->deviation,
        .weights = parts->weights,
        .bias = -0.5f,
        .shuffled = parts->shuffled,
        .n_bag = BAG,
        .bag_tokens = parts->bag_tokens,
        .bag_weights = parts->bag_weights,
        .bag_bias = 0.125f,
        .n_texts = TEXTS,
        .wholes = parts->wholes,
        .pair_offsets = parts->offsets,
        .pairs = parts->pairs,
    };
    return probe;
}

static const char *write_parts(const struct parts *parts) {
    struct parts copy = *parts;
    fathom_probe probe = make(&copy);
    const char *path = scratch("probe.gguf");
    assert_int_equal(fathom_probe_write(&probe, path), FATHOM_OK);
    return path;
}

static void what_is_written_comes_back(void **state) {
    (void)state;
    fathom_probe *probe = NULL;
    const char *path = write_parts(&sound);
    assert_int_equal(fathom_probe_open(&probe, path), FATHOM_OK);
    const struct fathom_probe_info *info = fathom_probe_describe(probe);
    assert_string_equal(info->path, path);
    assert_string_equal(info->hook, "blocks.2.hook_resid_post");
    assert_string_equal(info->model_identity, "0123456789abcdef0123456789abcdef");
    assert_string_equal(info->model_name, "tiny");
    assert_true(info->pool == FATHOM_POOL_LAST && info->d_in == WIDTH && info->max_norm == 12.5f &&
                info->threshold == -0.75);
    assert_true(info->regularisation == 0.25 && info->cross_validated_auroc == 0.875 && info->seed == UINT64_MAX);
    assert_true(info->n_positive == 30 && info->n_negative == 31 && info->n_duplicates == 2 &&
                info->n_shuffled == SHUFFLES);
    assert_memory_equal(probe->shuffled, sound.shuffled, sizeof sound.shuffled);
    assert_memory_equal(probe->bag_tokens, sound.bag_tokens, sizeof sound.bag_tokens);
    assert_memory_equal(probe->wholes, sound.wholes, sizeof sound.wholes);
    assert_memory_equal(probe->pair_offsets, sound.offsets, sizeof sound.offsets);
    assert_memory_equal(probe->pairs, sound.pairs, sizeof sound.pairs);
    assert_true(probe->n_texts == TEXTS && probe->n_bag == BAG && probe->bag_bias == 0.125f);
    /* 0.25·(3-1)/1 - 1·(1-2)/0.5 + 4·(5-3)/2 - 0.5 */
    const float row[WIDTH] = {3, 1, 5};
    assert_true(fathom_probe_row_score(probe, row) == 6.0);
    /* Each token counts once, unknown ones not at all. */
    const int32_t tokens[] = {900, 3, 7, 900};
    assert_true(fathom__probe_bag_score(probe, tokens, 4) == 0.125 + 0.5 - 2);
    fathom_probe_close(probe);
}

static void check_refused(const char *path, int status, const char *expected) {
    fathom_probe *probe = NULL;
    assert_int_equal(fathom_probe_open(&probe, path), status);
    assert_null(probe);
    if (strstr(fathom_error_message(), expected) == NULL || strstr(fathom_error_message(), path) == NULL) {
        fail_msg("\"%s\" does not name %s and \"%s\"", fathom_error_message(), path, expected);
    }
}

static void damaged_numbers_are_refused(void **state) {
    (void)state;
    struct parts parts = sound;
    parts.weights[1] = NAN;
    check_refused(write_parts(&parts), FATHOM_ERROR_NUMERIC, "\"weights\", value 1");
    parts = sound;
    parts.deviation[2] = 0;
    check_refused(write_parts(&parts), FATHOM_ERROR_NUMERIC, "\"deviation\", value 2");
    parts = sound;
    parts.shuffled[5] = INFINITY;
    check_refused(write_parts(&parts), FATHOM_ERROR_NUMERIC, "\"shuffled\", value 5");
    parts = sound;
    parts.bag_tokens[1] = 7;
    check_refused(write_parts(&parts), FATHOM_ERROR_FORMAT, "\"bag.tokens\" is not ascending");
    parts = sound;
    parts.offsets[1] = 6;
    check_refused(write_parts(&parts), FATHOM_ERROR_FORMAT, "\"texts.offsets\" is not ascending");
    parts = sound;
    parts.offsets[0] = 1;
    check_refused(write_parts(&parts), FATHOM_ERROR_FORMAT, "does not span");
}

/* Copies a sound file's keys into a new one without its tensors, and lets the caller spoil it. */
static const char *spoil(const char *key, const char *string, bool keep_weights) {
    fathom__gguf *file = NULL;
    fathom__gguf_writer *writer = NULL;
    const int64_t wrong[1] = {WIDTH + 1};
    static const float values[WIDTH + 1];
    const char *path = scratch("spoilt.gguf");
    assert_int_equal(fathom__gguf_open(&file, write_parts(&sound)), FATHOM_OK);
    assert_int_equal(fathom__gguf_writer_open(&writer), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_all(writer, file), FATHOM_OK);
    if (key != NULL) {
        fathom__gguf_remove(writer, key);
    }
    if (string != NULL) {
        assert_int_equal(fathom__gguf_put_string(writer, key, string), FATHOM_OK);
    }
    if (keep_weights) {
        assert_int_equal(fathom__gguf_put_tensor(writer, "mean", GGML_TYPE_F32, wrong, 1, values), FATHOM_OK);
    }
    assert_int_equal(fathom__gguf_writer_commit(writer, path), FATHOM_OK);
    fathom__gguf_writer_close(writer);
    fathom__gguf_close(file);
    return path;
}

static void damaged_keys_are_refused(void **state) {
    (void)state;
    check_refused(spoil("general.architecture", "llama", false), FATHOM_ERROR_FORMAT, "is a \"llama\" file");
    check_refused(spoil("fathom.probe.hook", NULL, false), FATHOM_ERROR_FORMAT, "fathom.probe.hook");
    check_refused(spoil("fathom.probe.pool", "median", false), FATHOM_ERROR_FORMAT, "fathom.probe.pool");
    check_refused(spoil("fathom.probe.seed", "12x", false), FATHOM_ERROR_FORMAT, "fathom.probe.seed");
    check_refused(spoil("fathom.probe.d_in", "wide", false), FATHOM_ERROR_FORMAT, "fathom.probe.d_in");
    check_refused(spoil("fathom.probe.threshold", NULL, false), FATHOM_ERROR_FORMAT, "fathom.probe.threshold");
    check_refused(spoil(NULL, NULL, false), FATHOM_ERROR_FORMAT, "tensor \"mean\" is missing");
    check_refused(spoil(NULL, NULL, true), FATHOM_ERROR_FORMAT, "tensor \"mean\" has not the type and shape");
}

static void a_newer_file_is_told(void **state) {
    (void)state;
    fathom__gguf *file = NULL;
    fathom__gguf_writer *writer = NULL;
    const char *path = scratch("newer.gguf");
    assert_int_equal(fathom__gguf_open(&file, write_parts(&sound)), FATHOM_OK);
    assert_int_equal(fathom__gguf_writer_open(&writer), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_all(writer, file), FATHOM_OK);
    assert_int_equal(fathom__gguf_put_integer(writer, "fathom.probe.version", 2), FATHOM_OK);
    assert_int_equal(fathom__gguf_writer_commit(writer, path), FATHOM_OK);
    fathom__gguf_writer_close(writer);
    fathom__gguf_close(file);
    check_refused(path, FATHOM_ERROR_UNSUPPORTED, "version 2 is newer than 1");
}

static void a_cut_file_is_refused(void **state) {
    (void)state;
    char bytes[4096];
    FILE *file = fopen(write_parts(&sound), "rb");
    assert_non_null(file);
    size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_true(length > 200 && length < sizeof bytes); /* the last 32 bytes may be padding */
    for (size_t kept = 0; kept + 32 < length; kept += 13) {
        fathom_probe *probe = NULL;
        int status = fathom_probe_open(&probe, scratch_file("cut.gguf", bytes, kept));
        if (status != FATHOM_ERROR_FORMAT && status != FATHOM_ERROR_IO) {
            fail_msg("%zu of %zu bytes: %d, %s", kept, length, status, fathom_error_message());
        }
        assert_null(probe);
    }
    fathom_probe *probe = NULL;
    assert_int_equal(fathom_probe_open(&probe, scratch("missing.gguf")), FATHOM_ERROR_IO);
}

static void a_folder_that_is_not_there_is_told(void **state) {
    (void)state;
    struct parts parts = sound;
    fathom_probe probe = make(&parts);
    assert_int_equal(fathom_probe_write(&probe, scratch("nowhere/probe.gguf")), FATHOM_ERROR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back), cmocka_unit_test(damaged_numbers_are_refused),
        cmocka_unit_test(damaged_keys_are_refused),   cmocka_unit_test(a_newer_file_is_told),
        cmocka_unit_test(a_cut_file_is_refused),      cmocka_unit_test(a_folder_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
