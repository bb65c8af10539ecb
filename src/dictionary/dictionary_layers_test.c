/* Cross-layer transcoders in the native file: what is encoded and reconstructed, one feature, quantised; and what is
 * refused. */
#include <base/error.h>
#include <base/gguf_file.h>
#include <base/random.h>
#include <base/scratch.h>
#include <dictionary/dictionary_internal.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

/* More features of a layer than a tile of the product has, and no multiple of them. */
enum { LAYERS = 3, D = 32, WIDE = LAYERS * D, OF_LAYER = 300, FEATURES = LAYERS * OF_LAYER, K = 7, ROWS = 40 };
enum { DECODER = OF_LAYER * D * (3 + 2 + 1) };

static float encoder[FEATURES * D], encoder_bias[FEATURES], decoder[DECODER], decoder_bias[WIDE], threshold[FEATURES];
static float rows[ROWS * WIDE];
static struct fathom_dictionary_layer layers[LAYERS];
static char path[2 * SCRATCH_PATH];

static int fill(void **state) {
    (void)state;
    struct fathom__random random;
    fathom__random_seed(&random, 3);
    for (int i = 0; i < FEATURES * D; i++)
        encoder[i] = (float)fathom__random_normal(&random);
    for (int i = 0; i < DECODER; i++)
        decoder[i] = (float)fathom__random_normal(&random);
    for (int f = 0; f < FEATURES; f++) {
        encoder_bias[f] = (float)fathom__random_normal(&random);
        threshold[f] = 8 + (float)fathom__random_unit(&random);
    }
    for (int j = 0; j < WIDE; j++)
        decoder_bias[j] = (float)fathom__random_normal(&random);
    for (int i = 0; i < ROWS * WIDE; i++)
        rows[i] = (float)fathom__random_normal(&random);
    snprintf(path, sizeof path, "%s", scratch("layers.gguf"));
    return 0;
}

static struct fathom_dictionary_parts make_parts(const char *architecture) {
    static char names[2 * LAYERS][32];
    for (int l = 0; l < LAYERS; l++) {
        snprintf(names[2 * l], sizeof *names, "blocks.%d.mlp.hook_in", l);
        snprintf(names[2 * l + 1], sizeof *names, "blocks.%d.hook_mlp_out", l);
        layers[l] = (struct fathom_dictionary_layer){names[2 * l], names[2 * l + 1], 0.5F + (float)l, 0.25F};
    }
    return (struct fathom_dictionary_parts){.info = {.architecture = architecture,
                                                     .hook_in = "a+b+c",
                                                     .hook_out = "d+e+f",
                                                     .d_in = WIDE,
                                                     .d_out = WIDE,
                                                     .n_features = FEATURES,
                                                     .k = K,
                                                     .input_scale = 1,
                                                     .layers = layers,
                                                     .n_layers = LAYERS},
                                            .encoder = encoder,
                                            .encoder_bias = encoder_bias,
                                            .decoder = decoder,
                                            .decoder_bias = decoder_bias,
                                            .threshold = strcmp(architecture, "topk") == 0 ? NULL : threshold};
}

static fathom_dictionary *write_and_open(const char *architecture, const char *dtype) {
    const struct fathom_dictionary_parts parts = make_parts(architecture);
    fathom_dictionary *dictionary = NULL;
    assert_int_equal(fathom_dictionary_write(path, &parts, dtype), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, path), 0);
    return dictionary;
}

static double pre_activation(const float *row, size_t f) {
    double sum = encoder_bias[f];
    for (size_t j = 0; j < D; j++)
        sum += (double)encoder[f * D + j] * row[f / OF_LAYER * D + j];
    return sum;
}

/* What a feature writes to a number of all layers' outputs. */
static double written(size_t f, size_t j) {
    static const size_t before[LAYERS] = {0, OF_LAYER * D * 3, OF_LAYER * D * 5};
    const size_t layer = f / OF_LAYER, n = WIDE - layer * D;
    return j < layer * D ? 0 : decoder[before[layer] + f % OF_LAYER * n + j - layer * D];
}

static void check_rows(const fathom_dictionary *dictionary, bool by_rank) {
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    static float guess[ROWS * WIDE];
    const size_t n = fathom_dictionary_describe(dictionary)->n_features;
    assert_int_equal(n, FEATURES);
    assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, rows, NULL, ROWS, FATHOM_ENCODE_TRAIN), 0);
    assert_int_equal(fathom_dictionary_decode(guess, dictionary, &sparse), 0);
    size_t active = 0;
    for (size_t r = 0; r < ROWS; r++) {
        double expected[WIDE];
        size_t at = sparse.offsets[r];
        for (int j = 0; j < WIDE; j++)
            expected[j] = decoder_bias[j];
        for (size_t f = 0; f < FEATURES; f++) {
            const double value = pre_activation(rows + r * WIDE, f);
            size_t higher = 0;
            for (size_t g = 0; g < FEATURES && by_rank; g++)
                higher += pre_activation(rows + r * WIDE, g) > value;
            if (by_rank ? higher >= K : value <= threshold[f]) continue;
            assert_true(at < sparse.offsets[r + 1]);
            assert_int_equal(sparse.features[at], f);
            assert_true(fabs(sparse.values[at++] - value) < 1e-4);
            for (size_t j = 0; j < WIDE; j++)
                expected[j] += value * written(f, j);
        }
        assert_int_equal(at, sparse.offsets[r + 1]);
        active += sparse.offsets[r + 1] - sparse.offsets[r];
        for (int j = 0; j < WIDE; j++)
            assert_true(fabs(guess[r * WIDE + (size_t)j] - expected[j]) < 1e-3);
    }
    assert_true(active > ROWS);
    fathom_sparse_free(&sparse);
}

static void test_rows(void **state) {
    (void)state;
    fathom_dictionary *dictionary = write_and_open("topk", "f32");
    check_rows(dictionary, true);
    fathom_dictionary_close(dictionary);
    dictionary = write_and_open("jumprelu", "f32");
    check_rows(dictionary, false);
    fathom_dictionary_close(dictionary);
}

/* A feature by itself: full rows, with zeros where it neither reads nor writes. */
static void test_feature(void **state) {
    (void)state;
    fathom_dictionary *dictionary = write_and_open("jumprelu", "f32");
    const uint32_t features[] = {5, OF_LAYER + 299, 2 * OF_LAYER};
    float row[WIDE], bias, values[ROWS * 3];
    for (int i = 0; i < 3; i++) {
        const uint32_t f = features[i];
        assert_int_equal(fathom_dictionary_encoder_row(row, &bias, dictionary, f), 0);
        assert_true(bias == encoder_bias[f]);
        for (uint32_t j = 0; j < WIDE; j++)
            assert_true(row[j] == (j / D == f / OF_LAYER ? encoder[f * D + j % D] : 0));
        assert_int_equal(fathom_dictionary_direction(row, dictionary, f), 0);
        for (uint32_t j = 0; j < WIDE; j++)
            assert_true(row[j] == (float)written(f, j));
    }
    assert_int_equal(fathom_dictionary_read(values, dictionary, features, 3, rows, NULL, ROWS), 0);
    for (size_t r = 0; r < ROWS; r++)
        for (int i = 0; i < 3; i++) {
            const double value = pre_activation(rows + r * WIDE, features[i]);
            assert_true(fabs(values[r * 3 + (size_t)i] - (value > threshold[features[i]] ? value : 0)) < 1e-4);
        }
    assert_int_equal(fathom_dictionary_direction(row, dictionary, FEATURES), FATHOM_ERROR_NOT_FOUND);
    fathom_dictionary_close(dictionary);
}

static void test_quantised(void **state) {
    (void)state;
    fathom_dictionary *dictionary = write_and_open("jumprelu", "f32");
    float row[WIDE];
    double errors = 0, squares = 0;
    assert_int_equal(fathom_dictionary_quantise(path, dictionary, "q8_0"), 0);
    fathom_dictionary_close(dictionary);
    assert_int_equal(fathom_dictionary_open(&dictionary, path), 0);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_string_equal(info->dtype, "q8_0");
    assert_int_equal(info->n_layers, LAYERS);
    for (int l = 0; l < LAYERS; l++) {
        assert_string_equal(info->layers[l].hook_in, layers[l].hook_in);
        assert_string_equal(info->layers[l].hook_out, layers[l].hook_out);
        assert_true(info->layers[l].input_scale == layers[l].input_scale);
        assert_true(info->layers[l].output_scale == layers[l].output_scale);
    }
    for (uint32_t f = 0; f < FEATURES; f++) {
        assert_int_equal(fathom_dictionary_direction(row, dictionary, f), 0);
        for (uint32_t j = 0; j < WIDE; j++) {
            errors += pow(row[j] - written(f, j), 2);
            squares += pow(written(f, j), 2);
        }
    }
    assert_true(errors > 0 && errors < 1e-4 * squares);
    fathom_dictionary_close(dictionary);
}

static void check_not_written(const struct fathom_dictionary_parts *parts, const char *part) {
    assert_int_equal(fathom_dictionary_write(path, parts, "f32"), FATHOM_ERROR_ARGUMENT);
    if (!strstr(fathom_error_message(), part)) fail_msg("%s", fathom_error_message());
}

static void test_bad_parts(void **state) {
    (void)state;
    struct fathom_dictionary_parts parts = make_parts("topk");
    parts.info.n_layers = 1;
    check_not_written(&parts, "1 layers; 2 to 256 are expected");
    parts = make_parts("topk");
    parts.info.n_features--;
    check_not_written(&parts, "and 899 features together; equal layers");
    parts = make_parts("topk");
    parts.info.d_in = parts.info.d_out = LAYERS * 8;
    check_not_written(&parts, "a multiple of 16, are expected");
    parts = make_parts("topk");
    parts.info.subtract_decoder_bias = true;
    check_not_written(&parts, "subtracts no decoder bias");
    parts = make_parts("topk");
    layers[1].output_scale = 0;
    check_not_written(&parts, "layer 1 needs two hooks and scales above 0");
    parts = make_parts("topk");
    parts.skip = decoder;
    check_not_written(&parts, "has no skip");
}

/* A file of two layers, with this about them and without one of its tensors. */
static void check_not_opened(const char *text, const char *missing, const char *part) {
    const int64_t F = 2, shape[] = {16, F}, wide[] = {32, 1}, narrow[] = {16, 1}, d = 32;
    const struct {
        const char *name;
        const int64_t *shape;
        int n;
    } tensors[] = {{"encoder.weight", shape, 2},
                   {"encoder.bias", &F, 1},
                   {"decoder.weight.0", wide, 2},
                   {"decoder.weight.1", narrow, 2},
                   {"decoder.bias", &d, 1}};
    fathom__gguf_writer *writer = NULL;
    fathom_dictionary *dictionary = NULL;
    assert_int_equal(fathom__gguf_writer_open(&writer), 0);
    assert_int_equal(fathom__gguf_put_string(writer, "general.architecture", FATHOM__DICTIONARY_ARCHITECTURE), 0);
    assert_int_equal(fathom__gguf_put_string(writer, FATHOM__DICTIONARY_KEY "architecture", "standard"), 0);
    assert_int_equal(fathom__gguf_put_string(writer, FATHOM__DICTIONARY_KEY "hook_in", "x"), 0);
    assert_int_equal(fathom__gguf_put_string(writer, FATHOM__DICTIONARY_KEY "hook_out", "y"), 0);
    assert_int_equal(fathom__gguf_put_string(writer, FATHOM__DICTIONARY_KEY "layers", text), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "version", 4), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "d_in", 32), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "d_out", 32), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "n_features", 2), 0);
    assert_int_equal(fathom__gguf_put_integer(writer, FATHOM__DICTIONARY_KEY "k", 1), 0);
    assert_int_equal(fathom__gguf_put_bool(writer, FATHOM__DICTIONARY_KEY "subtract_decoder_bias", false), 0);
    assert_int_equal(fathom__gguf_put_number(writer, FATHOM__DICTIONARY_KEY "input_scale", 1), 0);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (!missing || strcmp(tensors[i].name, missing) != 0)
            assert_int_equal(fathom__gguf_put_tensor(writer, tensors[i].name, GGML_TYPE_F32, tensors[i].shape,
                                                     tensors[i].n, encoder),
                             0);
    assert_int_equal(fathom__gguf_writer_commit(writer, path), 0);
    fathom__gguf_writer_close(writer);
    const int found = fathom_dictionary_open(&dictionary, path);
    if (found != (part ? FATHOM_ERROR_FORMAT : 0) || (part && !strstr(fathom_error_message(), part)))
        fail_msg("%s: %d, %s", text, found, fathom_error_message());
    fathom_dictionary_close(dictionary);
}

#define LAYER(scale) "{\"hook_in\": \"x\", \"hook_out\": \"y\", \"input_scale\": 1, \"output_scale\": " scale "}"

static void test_bad_files(void **state) {
    (void)state;
    check_not_opened("[" LAYER("1") ", " LAYER("2") "]", NULL, NULL);
    check_not_opened("[" LAYER("1") ", " LAYER("2") "]", "decoder.weight.1", "decoder.weight.1 is missing");
    check_not_opened("[", NULL, "layers");
    check_not_opened("[" LAYER("1") "]", NULL, "an array of 2 to 256 is expected");
    check_not_opened("[" LAYER("1") ", " LAYER("1") ", " LAYER("1") "]", NULL, "3 layers of inputs of width 32");
    check_not_opened("[" LAYER("1") ", " LAYER("-2") "]", NULL, "layer 1 needs two hooks and scales above 0");
    check_not_opened("[" LAYER("1") ", {}]", NULL, "hook_in");
    check_not_opened("[" LAYER("1") ", 5]", NULL, "layers");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_feature),   cmocka_unit_test(test_quantised),
        cmocka_unit_test(test_bad_parts), cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
