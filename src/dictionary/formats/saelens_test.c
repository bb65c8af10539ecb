/* Folders that SAELens wrote (tests/reference/saelens.py): what Fathom reads off them is what SAELens computed. */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/safetensors.h>
#include <base/scratch.h>
#include <fathom/formats.h>
#include <fathom/model.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tests/support/relative_error.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#define CASES "tests/reference/saelens"
#define TOLERANCE 1e-5 /* norm-wise; SAELens computes in f32 too */

static float *load(const fathom__safetensors *file, const char *name, size_t *n) {
    const struct fathom__tensor *tensor = fathom__safetensors_find(file, name);
    float *out = NULL;
    assert_non_null(tensor);
    assert_int_equal(fathom__safetensors_f32(&out, file, name, tensor->shape, tensor->n_dimensions), 0);
    *n = tensor->shape[0];
    return out;
}

static void check_case(const char *name, const char *architecture) {
    char path[192];
    fathom_dictionary *dictionary = NULL;
    fathom__safetensors *numbers = NULL;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    size_t n;
    snprintf(path, sizeof path, CASES "/%s", name);
    assert_int_equal(fathom_dictionary_import(scratch("native.gguf"), path, NULL), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, scratch("native.gguf")), 0);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_string_equal(info->architecture, architecture);
    assert_string_equal(info->name, name);
    assert_string_equal(info->hook_in,
                        strstr(name, "transcoder") ? "blocks.1.mlp.hook_in" : "blocks.1.hook_resid_post");
    snprintf(path, sizeof path, CASES "/%s/numbers.safetensors", name);
    assert_int_equal(fathom__safetensors_open(&numbers, path), 0);
    float *input = load(numbers, "input", &n), *features = load(numbers, "features", &n),
          *output = load(numbers, "output", &n);
    float *dense = calloc(n * info->n_features, sizeof *dense), *decoded = calloc(n * info->d_out, sizeof *decoded);
    assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, input, NULL, n, FATHOM_ENCODE_TRAIN), 0);
    for (size_t r = 0; r < n; r++)
        for (size_t i = sparse.offsets[r]; i < sparse.offsets[r + 1]; i++)
            dense[r * info->n_features + sparse.features[i]] = sparse.values[i];
    assert_true(relative_error(dense, features, n * info->n_features) < TOLERANCE);
    assert_int_equal(fathom_dictionary_reconstruct(decoded, dictionary, &sparse, input), 0);
    assert_true(relative_error(decoded, output, n * info->d_out) < TOLERANCE);
    fathom_sparse_free(&sparse);
    fathom_free(input);
    fathom_free(features);
    fathom_free(output);
    free(dense);
    free(decoded);
    fathom__safetensors_close(numbers);
    fathom_dictionary_close(dictionary);
}

static void test_import_agrees(void **state) {
    (void)state;
    check_case("standard", "standard");
    check_case("standard-no-b-dec", "standard");
    check_case("topk", "topk");
    check_case("topk-rescaled", "topk");
    check_case("jumprelu", "jumprelu");
    check_case("batchtopk", "jumprelu");
    check_case("version5-standard", "standard");
    check_case("version5-topk", "topk");
    check_case("version5-jumprelu", "jumprelu");
    check_case("scaled", "standard");
    check_case("gated", "gated");
    check_case("layer-norm", "standard");
    check_case("constant-norm", "jumprelu");
    check_case("transcoder", "standard");
    check_case("skip-transcoder", "standard");
    check_case("jumprelu-transcoder", "jumprelu");
    check_case("jumprelu-skip-transcoder", "jumprelu");
    check_case("matryoshka-in-training", "batchtopk");
}

/* Out again and in again: the same features, with the input scale folded into the weights. */
static void test_round_trip(void **state) {
    (void)state;
    static const char *const names[] = {"topk-rescaled", "jumprelu",      "scaled",
                                        "gated",         "constant-norm", "jumprelu-skip-transcoder"};
    for (size_t c = 0; c < sizeof names / sizeof *names; c++) {
        char path[192];
        const char *exported = scratch("exported");
        fathom_dictionary *first = NULL, *second = NULL;
        struct fathom_sparse a = FATHOM_SPARSE_INIT, b = FATHOM_SPARSE_INIT;
        fathom__safetensors *numbers = NULL;
        size_t n;
        snprintf(path, sizeof path, CASES "/%s", names[c]);
        assert_int_equal(fathom_dictionary_import(scratch("first.gguf"), path, NULL), 0);
        assert_int_equal(fathom_dictionary_open(&first, scratch("first.gguf")), 0);
        assert_int_equal(fathom_dictionary_export(exported, first, "saelens"), 0);
        assert_int_equal(fathom_dictionary_import(scratch("second.gguf"), exported, NULL), 0);
        assert_int_equal(fathom_dictionary_open(&second, scratch("second.gguf")), 0);
        assert_true(fathom_dictionary_describe(second)->input_scale == 1);
        snprintf(path, sizeof path, CASES "/%s/numbers.safetensors", names[c]);
        assert_int_equal(fathom__safetensors_open(&numbers, path), 0);
        float *input = load(numbers, "input", &n);
        assert_int_equal(fathom_dictionary_encode(&a, first, input, NULL, n, FATHOM_ENCODE_TRAIN), 0);
        assert_int_equal(fathom_dictionary_encode(&b, second, input, NULL, n, FATHOM_ENCODE_TRAIN), 0);
        assert_memory_equal(a.offsets, b.offsets, (n + 1) * sizeof *a.offsets);
        assert_memory_equal(a.features, b.features, a.offsets[n] * sizeof *a.features);
        assert_true(relative_error(a.values, b.values, a.offsets[n]) < TOLERANCE);
        fathom_sparse_free(&a);
        fathom_sparse_free(&b);
        fathom_free(input);
        fathom__safetensors_close(numbers);
        fathom_dictionary_close(first);
        fathom_dictionary_close(second);
    }
}

static void write_text(const char *path, const char *text) {
    assert_int_equal(fathom__file_write(path, text, strlen(text)), 0);
}

/* Imports the folder "bad" with this configuration and the weights of `standard`. */
static int import_bad(const char *config) {
    enum { MOST_BYTES = 1 << 20 };
    const char *bad = scratch("bad");
    char *weights = NULL;
    size_t length = 0;
    assert_int_equal(fathom__make_folders(bad), 0);
    assert_int_equal(fathom__file_read(&weights, &length, CASES "/standard/sae_weights.safetensors", MOST_BYTES), 0);
    assert_int_equal(fathom__file_write(scratch("bad/sae_weights.safetensors"), weights, length), 0);
    fathom_free(weights);
    write_text(scratch("bad/cfg.json"), config);
    return fathom_dictionary_import(scratch("bad.gguf"), bad, NULL);
}

static void expect_message(const char *part) {
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

#define STANDARD "{\"architecture\": \"standard\", \"d_in\": 24, \"d_sae\": 80"

static void expect_refusal(const char *config, int status, const char *part) {
    assert_int_equal(import_bad(config), status);
    expect_message(part);
}

static void test_refusals(void **state) {
    (void)state;
    expect_refusal("{\"architecture\": \"temporal\", \"d_in\": 24, \"d_sae\": 80, \"hook_name\": \"h\"}",
                   FATHOM_ERROR_UNSUPPORTED, "temporal");
    expect_refusal("{\"architecture\": \"matching_pursuit\", \"d_in\": 24, \"d_sae\": 80, \"hook_name\": \"h\"}",
                   FATHOM_ERROR_UNSUPPORTED, "matching_pursuit");
    expect_refusal("{\"architecture\": \"gated\", \"d_in\": 24, \"d_sae\": 80, \"hook_name\": \"h\"}",
                   FATHOM_ERROR_FORMAT, "b_gate");
    expect_refusal(STANDARD ", \"hook_name\": \"h\", \"normalize_activations\": \"covariance_whitening\"}",
                   FATHOM_ERROR_UNSUPPORTED, "covariance_whitening");
    expect_refusal(STANDARD ", \"hook_name\": \"h\", \"activation_fn_str\": \"tanh-relu\"}", FATHOM_ERROR_UNSUPPORTED,
                   "tanh-relu");
    expect_refusal("{\"architecture\": \"topk\", \"d_in\": 24, \"d_sae\": 80, \"hook_name\": \"h\"}",
                   FATHOM_ERROR_FORMAT, "k");
    expect_refusal(STANDARD "}", FATHOM_ERROR_ARGUMENT, "hook_name");
    expect_refusal(STANDARD ", \"hook_name\": \"h\", \"hook_head_index\": 3}", FATHOM_ERROR_UNSUPPORTED, "one head");
    expect_refusal("{\"architecture\": \"transcoder\", \"d_in\": 24, \"d_sae\": 80, \"hook_name\": \"h\"}",
                   FATHOM_ERROR_FORMAT, "d_out");
    expect_refusal(
        "{\"architecture\": \"transcoder\", \"d_in\": 24, \"d_out\": 24, \"d_sae\": 80, \"hook_name\": \"h\"}",
        FATHOM_ERROR_ARGUMENT, "hook_name_out");
    expect_refusal("{\"architecture\": \"standard\", \"d_in\": 25, \"d_sae\": 80, \"hook_name\": \"h\"}",
                   FATHOM_ERROR_FORMAT, "W_enc");
    expect_refusal("{\"architecture\": \"jumprelu\", \"d_in\": 24, \"d_sae\": 80, \"hook_name\": \"h\"}",
                   FATHOM_ERROR_FORMAT, "threshold");
    expect_refusal(
        "{\"architecture\": \"standard\", \"d_in\": 24, \"d_sae\": 9223372036854775807, \"hook_name\": \"h\"}",
        FATHOM_ERROR_FORMAT, "d_sae");
    expect_refusal("[]", FATHOM_ERROR_FORMAT, "an object");
    assert_false(fathom__file_exists(scratch("bad.gguf")));
    const char *absent = scratch("absent");
    assert_int_equal(fathom_dictionary_import(scratch("bad.gguf"), absent, NULL), FATHOM_ERROR_IO);
    expect_message("absent");
}

static int import_with(const char *config, const struct fathom_import_options *options, fathom_dictionary **out) {
    expect_refusal(config, FATHOM_ERROR_ARGUMENT, "");
    int status = fathom_dictionary_import(scratch("good.gguf"), scratch("bad"), options);
    return status ? status : fathom_dictionary_open(out, scratch("good.gguf"));
}

/* The unfolded norm: a factor that the folder does not hold is asked for, not taken for 1. */
static void test_scale_that_is_not_said(void **state) {
    (void)state;
    static const char config[] =
        STANDARD ", \"hook_name\": \"h\", \"normalize_activations\": \"expected_average_only_in\"}";
    fathom_dictionary *dictionary = NULL;
    const struct fathom_import_options options = {.input_scale = 0.25};
    assert_int_equal(import_with(config, &options, &dictionary), 0);
    assert_true(fathom_dictionary_describe(dictionary)->input_scale == 0.25F);
    fathom_dictionary_close(dictionary);
}

/* TransformerLens's processing: a model with LayerNorms may have been loaded with its writing weights centred. */
static void test_centred_models(void **state) {
    (void)state;
    static const char config[] =
        STANDARD ", \"hook_name\": \"blocks.8.hook_resid_pre\", \"model_name\": \"gpt2-small\"%s}";
    char said[512];
    fathom_dictionary *dictionary = NULL;
    struct fathom_import_options options = {.centred = FATHOM_CENTRED_YES};
    snprintf(said, sizeof said, config, "");
    assert_int_equal(import_with(said, &options, &dictionary), 0);
    assert_string_equal(fathom_dictionary_describe(dictionary)->input_norm, "centre");
    assert_true(fathom_dictionary_describe(dictionary)->undo_input_norm);
    fathom_dictionary_close(dictionary);
    options.centred = FATHOM_CENTRED_NO;
    assert_int_equal(import_with(said, &options, &dictionary), 0);
    assert_string_equal(fathom_dictionary_describe(dictionary)->input_norm, "none");
    fathom_dictionary_close(dictionary);
    snprintf(said, sizeof said, config, ", \"model_from_pretrained_kwargs\": {\"center_writing_weights\": true}");
    assert_int_equal(import_bad(said), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, scratch("bad.gguf")), 0);
    assert_string_equal(fathom_dictionary_describe(dictionary)->input_norm, "centre");
    fathom_dictionary_close(dictionary);
    snprintf(said, sizeof said, config, ", \"model_from_pretrained_kwargs\": {\"center_writing_weights\": false}");
    assert_int_equal(import_bad(said), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, scratch("bad.gguf")), 0);
    assert_string_equal(fathom_dictionary_describe(dictionary)->input_norm, "none");
    fathom_dictionary_close(dictionary);
    assert_int_equal(unlink(scratch("bad.gguf")), 0);
    expect_refusal(STANDARD ", \"hook_name\": \"blocks.8.attn.hook_z\", \"model_name\": \"gpt2-small\", "
                            "\"model_from_pretrained_kwargs\": {\"fold_value_biases\": true}}",
                   FATHOM_ERROR_UNSUPPORTED, "value biases");
    /* RMS norms leave the mean alone, whatever was asked for. */
    assert_int_equal(import_bad(STANDARD ", \"hook_name\": \"blocks.8.hook_resid_pre\", \"model_name\": \"gemma-2b\"}"),
                     0);
    assert_int_equal(unlink(scratch("bad.gguf")), 0);
}

static void test_groups_of_a_checkpoint(void **state) {
    (void)state;
    static const uint32_t sizes[] = {8, 16, 56};
    fathom_dictionary *dictionary = NULL;
    assert_int_equal(fathom_dictionary_import(scratch("native.gguf"), CASES "/matryoshka-in-training", NULL), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, scratch("native.gguf")), 0);
    assert_int_equal(fathom_dictionary_describe(dictionary)->n_groups, 3);
    assert_memory_equal(fathom_dictionary_describe(dictionary)->group_sizes, sizes, sizeof sizes);
    fathom_dictionary_close(dictionary);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_agrees),  cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_scale_that_is_not_said),
        cmocka_unit_test(test_centred_models), cmocka_unit_test(test_groups_of_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
