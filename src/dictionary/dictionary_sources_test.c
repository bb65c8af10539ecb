/* The sources of a crosscoder in the native file: written, read, and refused. */
#include <base/error.h>
#include <base/file.h>
#include <base/gguf_file.h>
#include <base/scratch.h>
#include <dictionary/dictionary_internal.h>
#include <fathom/formats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { A = 3, B = 5, D = A + B, FEATURES = 4 };

static struct fathom_dictionary_source sources[2];
static float matrix[FEATURES * D], vector[D];

static struct fathom_dictionary_parts make_parts(void) {
    for (int i = 0; i < FEATURES * D; i++)
        matrix[i] = (float)i / 8;
    sources[0] = (struct fathom_dictionary_source){"blocks.1.hook_resid_post", "0123", "one", A, 0.25F};
    sources[1] = (struct fathom_dictionary_source){"b:blocks.2.hook_resid_post", "4567", "\"two\"", B, 8};
    return (struct fathom_dictionary_parts){.info = {.architecture = "standard",
                                                     .hook_in = "x+b:y",
                                                     .hook_out = "x+b:y",
                                                     .d_in = D,
                                                     .d_out = D,
                                                     .n_features = FEATURES,
                                                     .k = 1,
                                                     .input_scale = 1,
                                                     .sources = sources,
                                                     .n_sources = 2},
                                            .encoder = matrix,
                                            .encoder_bias = vector,
                                            .decoder = matrix,
                                            .decoder_bias = vector};
}

static void check_sources(const struct fathom_dictionary_info *info) {
    assert_int_equal(info->n_sources, 2);
    for (int s = 0; s < 2; s++) {
        assert_string_equal(info->sources[s].hook, sources[s].hook);
        assert_string_equal(info->sources[s].model_identity, sources[s].model_identity);
        assert_string_equal(info->sources[s].model_name, sources[s].model_name);
        assert_int_equal(info->sources[s].width, sources[s].width);
        assert_true(info->sources[s].scale == sources[s].scale);
    }
}

static void test_round_trip(void **state) {
    (void)state;
    const struct fathom_dictionary_parts parts = make_parts();
    fathom_dictionary *dictionary = NULL;
    assert_int_equal(fathom_dictionary_write(scratch("dictionary.gguf"), &parts, "f32"), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, scratch("dictionary.gguf")), 0);
    check_sources(fathom_dictionary_describe(dictionary));
    assert_int_equal(fathom_dictionary_quantise(scratch("dictionary.gguf"), dictionary, "f16"), 0);
    fathom_dictionary_close(dictionary);
    assert_int_equal(fathom_dictionary_open(&dictionary, scratch("dictionary.gguf")), 0);
    check_sources(fathom_dictionary_describe(dictionary));
    assert_string_equal(fathom_dictionary_describe(dictionary)->dtype, "f16");
    for (size_t i = 0; fathom_format_at(i); i++)
        assert_int_equal(fathom_dictionary_export(scratch("no"), dictionary, fathom_format_at(i)->name),
                         FATHOM_ERROR_UNSUPPORTED);
    assert_false(fathom__file_exists(scratch("no")));
    fathom_dictionary_close(dictionary);
}

static void check_not_written(const struct fathom_dictionary_parts *parts, const char *part) {
    assert_int_equal(fathom_dictionary_write(scratch("dictionary.gguf"), parts, "f32"), FATHOM_ERROR_ARGUMENT);
    if (!strstr(fathom_error_message(), part)) fail_msg("%s", fathom_error_message());
}

static void test_bad_parts(void **state) {
    (void)state;
    struct fathom_dictionary_parts parts = make_parts();
    parts.info.n_sources = 1;
    check_not_written(&parts, "1 sources of width 3 together");
    parts = make_parts();
    sources[1].width = 4;
    check_not_written(&parts, "2 sources of width 7 together");
    parts = make_parts();
    sources[1].scale = 0;
    check_not_written(&parts, "source 1 needs a hook");
    parts = make_parts();
    sources[0].hook = NULL;
    check_not_written(&parts, "source 0 needs a hook");
}

/* A file that says this of its sources. */
static void check_not_opened(const char *text, int status, const char *part) {
    const int64_t F = FEATURES, shape[] = {D, F}, d = D;
    fathom__gguf_writer *writer = NULL;
    fathom_dictionary *dictionary = NULL;
    assert_int_equal(fathom__gguf_writer_open(&writer), 0);
    assert_int_equal(fathom__gguf_put_string(writer, "general.architecture", FATHOM__DICTIONARY_ARCHITECTURE), 0);
    assert_int_equal(fathom__gguf_put_string(writer, FATHOM__DICTIONARY_KEY "architecture", "standard"), 0);
    assert_int_equal(fathom__gguf_put_string(writer, FATHOM__DICTIONARY_KEY "hook_in", "x"), 0);
    assert_int_equal(fathom__gguf_put_string(writer, FATHOM__DICTIONARY_KEY "hook_out", "x"), 0);
    assert_int_equal(fathom__gguf_put_string(writer, FATHOM__DICTIONARY_KEY "sources", text), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "version", 3), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "d_in", D), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "d_out", D), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "n_features", FEATURES), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "k", 1), 0);
    assert_int_equal(fathom__gguf_put_bool(writer, FATHOM__DICTIONARY_KEY "subtract_decoder_bias", true), 0);
    assert_int_equal(fathom__gguf_put_number(writer, FATHOM__DICTIONARY_KEY "input_scale", 1), 0);
    assert_int_equal(fathom__gguf_put_tensor(writer, "encoder.weight", GGML_TYPE_F32, shape, 2, matrix), 0);
    assert_int_equal(fathom__gguf_put_tensor(writer, "encoder.bias", GGML_TYPE_F32, &F, 1, vector), 0);
    assert_int_equal(fathom__gguf_put_tensor(writer, "decoder.weight", GGML_TYPE_F32, shape, 2, matrix), 0);
    assert_int_equal(fathom__gguf_put_tensor(writer, "decoder.bias", GGML_TYPE_F32, &d, 1, vector), 0);
    assert_int_equal(fathom__gguf_writer_commit(writer, scratch("dictionary.gguf")), 0);
    fathom__gguf_writer_close(writer);
    const int found = fathom_dictionary_open(&dictionary, scratch("dictionary.gguf"));
    if (found != status || (status && !strstr(fathom_error_message(), part)))
        fail_msg("%s: %d, %s", text, found, fathom_error_message());
    fathom_dictionary_close(dictionary);
}

#define SOURCE(width, scale)                                                                                           \
    "{\"hook\": \"x\", \"model_identity\": \"\", \"model_name\": \"\", \"width\": " width ", \"scale\": " scale "}"

static void test_bad_files(void **state) {
    (void)state;
    check_not_opened("[" SOURCE("3", "1") ", " SOURCE("5", "0.5") "]", 0, "");
    check_not_opened("[", FATHOM_ERROR_FORMAT, "sources");
    check_not_opened("[" SOURCE("8", "1") "]", FATHOM_ERROR_FORMAT, "an array of 2 to 64 is expected");
    check_not_opened("[" SOURCE("3", "1") ", " SOURCE("4", "1") "]", FATHOM_ERROR_FORMAT, "widths of 7 together");
    check_not_opened("[" SOURCE("3", "1") ", " SOURCE("0", "1") "]", FATHOM_ERROR_FORMAT, "width");
    check_not_opened("[" SOURCE("3", "1") ", " SOURCE("5", "-1") "]", FATHOM_ERROR_FORMAT, "scale is -1");
    check_not_opened("[" SOURCE("3", "1") ", {}]", FATHOM_ERROR_FORMAT, "hook");
    check_not_opened("[" SOURCE("3", "1") ", 5]", FATHOM_ERROR_FORMAT, "sources");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bad_parts),
        cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
