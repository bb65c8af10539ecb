/* The native file: what is written is read; encoding against brute force in double; bad files. */
#include <base/error.h>
#include <base/file.h>
#include <base/gguf_file.h>
#include <base/memory.h>
#include <base/random.h>
#include <base/scratch.h>
#include <fathom/dictionary.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum { D = 64, FEATURES = 600, ROWS = 300, K = 7 };

static float encoder[FEATURES * D], decoder[FEATURES * D], encoder_bias[FEATURES], decoder_bias[D], threshold[FEATURES];
static float rows[ROWS * D];
static char path[2 * SCRATCH_PATH];

static int make_numbers(void **state) {
    (void)state;
    struct fathom__random random;
    fathom__random_seed(&random, 1);
    for (int i = 0; i < FEATURES * D; i++) {
        encoder[i] = (float)fathom__random_normal(&random) / 8;
        decoder[i] = (float)fathom__random_normal(&random) / 8;
    }
    for (int f = 0; f < FEATURES; f++) {
        encoder_bias[f] = (float)fathom__random_normal(&random) / 10;
        threshold[f] = 0.5F + (float)fathom__random_unit(&random);
    }
    for (int j = 0; j < D; j++)
        decoder_bias[j] = (float)fathom__random_normal(&random) / 4;
    for (int i = 0; i < ROWS * D; i++)
        rows[i] = 3 * (float)fathom__random_normal(&random);
    snprintf(path, sizeof path, "%s", scratch("dictionary.gguf"));
    return 0;
}

static struct fathom_dictionary_parts parts_of(const char *architecture) {
    return (struct fathom_dictionary_parts){
        .info = {.name = "test",
                 .architecture = architecture,
                 .hook_in = "blocks.1.hook_resid_post",
                 .hook_out = "blocks.1.hook_resid_post",
                 .model_identity = "00112233445566778899aabbccddeeff",
                 .model_name = "tiny",
                 .training = "{\"seed\": 1}",
                 .d_in = D,
                 .d_out = D,
                 .n_features = FEATURES,
                 .k = K,
                 .subtract_decoder_bias = true,
                 .input_scale = 0.5F,
                 .skip_positions = 1,
                 .max_norm = INFINITY},
        .encoder = encoder,
        .encoder_bias = encoder_bias,
        .decoder = decoder,
        .decoder_bias = decoder_bias,
        .threshold = threshold,
    };
}

static fathom_dictionary *write_and_open(const struct fathom_dictionary_parts *parts, const char *dtype) {
    fathom_dictionary *dictionary = NULL;
    assert_int_equal(fathom_dictionary_write(path, parts, dtype), 0);
    assert_int_equal(fathom_dictionary_open(&dictionary, path), 0);
    return dictionary;
}

static double largest_difference(const float *a, const float *b, size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)a[i] - b[i]));
    return worst;
}

static void test_round_trip(void **state) {
    (void)state;
    /* The largest entry is about 0.5: half a unit in the last place of each type. */
    static const struct {
        const char *name;
        double tolerance;
    } types[] = {{"f32", 0}, {"f16", 3e-4}, {"bf16", 2.5e-3}, {"q8_0", 2.5e-3}};
    const struct fathom_dictionary_parts parts = parts_of("topk");
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        fathom_dictionary *dictionary = write_and_open(&parts, types[t].name);
        const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
        assert_string_equal(info->dtype, types[t].name);
        assert_string_equal(info->name, "test");
        assert_string_equal(info->architecture, "topk");
        assert_string_equal(info->hook_in, "blocks.1.hook_resid_post");
        assert_string_equal(info->model_identity, "00112233445566778899aabbccddeeff");
        assert_string_equal(info->training, "{\"seed\": 1}");
        assert_int_equal(info->d_in, D);
        assert_int_equal(info->n_features, FEATURES);
        assert_int_equal(info->k, K);
        assert_int_equal(info->skip_positions, 1);
        assert_true(info->has_threshold && info->subtract_decoder_bias);
        assert_true(info->input_scale == 0.5F && isinf(info->max_norm));
        for (uint32_t f = 0; f < FEATURES; f++) {
            float row[D], bias;
            assert_int_equal(fathom_dictionary_encoder_row(row, &bias, dictionary, f), 0);
            assert_true(largest_difference(row, encoder + f * D, D) <= types[t].tolerance);
            assert_true(bias == encoder_bias[f]);
            assert_int_equal(fathom_dictionary_direction(row, dictionary, f), 0);
            assert_true(largest_difference(row, decoder + f * D, D) <= types[t].tolerance);
            assert_true(fathom_dictionary_threshold(dictionary, f) == threshold[f]);
        }
        fathom_dictionary_close(dictionary);
    }
}

/* Pre-activations in double. */
static double pre_activation(const float *row, int f) {
    double sum = encoder_bias[f];
    for (int j = 0; j < D; j++)
        sum += (double)encoder[f * D + j] * (row[j] * 0.5F - decoder_bias[j]);
    return sum;
}

static int by_strength(const void *a, const void *b) {
    const double x = ((const double *)a)[0], y = ((const double *)b)[0];
    return (x < y) - (x > y);
}

/* Values closer to the cut than f32 sums can tell apart may fall on either side. */
#define SLACK 1e-5

static void check_row(const struct fathom_sparse *sparse, size_t r, double cut_of(int f, double kth), double kth) {
    static double dense[FEATURES];
    memset(dense, 0, sizeof dense);
    for (size_t i = sparse->offsets[r]; i < sparse->offsets[r + 1]; i++) {
        assert_true(i == sparse->offsets[r] || sparse->features[i] > sparse->features[i - 1]);
        dense[sparse->features[i]] = sparse->values[i];
    }
    for (int f = 0; f < FEATURES; f++) {
        const double value = pre_activation(rows + r * D, f), cut = cut_of(f, kth);
        if (value > cut + SLACK) assert_true(fabs(dense[f] - value) < SLACK);
        if (value < cut - SLACK) assert_true(dense[f] == 0);
    }
}

static double cut_by_threshold(int f, double kth) {
    (void)kth;
    return threshold[f];
}
static double cut_by_rank(int f, double kth) {
    (void)f;
    return kth > 0 ? kth - SLACK / 2 : 0;
}
static double cut_at_zero(int f, double kth) {
    (void)f;
    (void)kth;
    return 0;
}

static double kth_largest(const float *row) {
    static double pairs[FEATURES];
    for (int f = 0; f < FEATURES; f++)
        pairs[f] = pre_activation(row, f);
    qsort(pairs, FEATURES, sizeof *pairs, by_strength);
    return pairs[K - 1];
}

static void test_encode(void **state) {
    (void)state;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    struct fathom_dictionary_parts parts = parts_of("topk");
    fathom_dictionary *dictionary = write_and_open(&parts, "f32");
    assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, rows, NULL, ROWS, FATHOM_ENCODE_TRAIN), 0);
    for (size_t r = 0; r < ROWS; r++) {
        assert_int_equal(sparse.offsets[r + 1] - sparse.offsets[r], K);
        check_row(&sparse, r, cut_by_rank, kth_largest(rows + r * D));
    }
    assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, rows, NULL, ROWS, FATHOM_ENCODE_RUN), 0);
    for (size_t r = 0; r < ROWS; r++)
        check_row(&sparse, r, cut_by_threshold, 0);
    fathom_dictionary_close(dictionary);
    parts = parts_of("standard");
    parts.threshold = NULL;
    dictionary = write_and_open(&parts, "f32");
    assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, rows, NULL, ROWS, FATHOM_ENCODE_RUN), 0);
    for (size_t r = 0; r < ROWS; r++)
        check_row(&sparse, r, cut_at_zero, 0);
    fathom_dictionary_close(dictionary);
    fathom_sparse_free(&sparse);
}

/* Single features are what the whole encoder gives for them, bit by bit. */
static void test_read(void **state) {
    (void)state;
    const uint32_t wanted[] = {599, 0, 17, 256, 255};
    enum { WANTED = sizeof wanted / sizeof *wanted };
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    const struct fathom_dictionary_parts parts = parts_of("batchtopk");
    fathom_dictionary *dictionary = write_and_open(&parts, "q8_0");
    static float read[ROWS * WANTED];
    int active = 0;
    assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, rows, NULL, ROWS, FATHOM_ENCODE_RUN), 0);
    assert_int_equal(fathom_dictionary_read(read, dictionary, wanted, WANTED, rows, NULL, ROWS), 0);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t w = 0; w < WANTED; w++) {
            float expected = 0;
            for (size_t i = sparse.offsets[r]; i < sparse.offsets[r + 1]; i++)
                if (sparse.features[i] == wanted[w]) expected = sparse.values[i];
            assert_true(read[r * WANTED + w] == expected);
            active += expected > 0;
        }
    assert_true(active > 20);
    const uint32_t absent = FEATURES;
    assert_int_equal(fathom_dictionary_read(read, dictionary, &absent, 1, rows, NULL, 1), FATHOM_ERROR_NOT_FOUND);
    fathom_dictionary_close(dictionary);
    fathom_sparse_free(&sparse);
}

static void test_decode(void **state) {
    (void)state;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    const struct fathom_dictionary_parts parts = parts_of("topk");
    fathom_dictionary *dictionary = write_and_open(&parts, "f32");
    static float out[ROWS * D];
    static const size_t counts[] = {2, ROWS}; /* few rows are dequantised one by one, many at once */
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, rows, NULL, counts[c], FATHOM_ENCODE_TRAIN), 0);
        assert_int_equal(fathom_dictionary_decode(out, dictionary, &sparse), 0);
        for (size_t r = 0; r < counts[c]; r++)
            for (int j = 0; j < D; j++) {
                double expected = decoder_bias[j];
                for (size_t i = sparse.offsets[r]; i < sparse.offsets[r + 1]; i++)
                    expected += (double)sparse.values[i] * decoder[sparse.features[i] * D + j];
                assert_true(fabs(out[r * D + j] - expected / 0.5) < 1e-4);
            }
    }
    sparse.features[0] = FEATURES;
    assert_int_equal(fathom_dictionary_decode(out, dictionary, &sparse), FATHOM_ERROR_NOT_FOUND);
    fathom_dictionary_close(dictionary);
    fathom_sparse_free(&sparse);
}

static void test_covers(void **state) {
    (void)state;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    struct fathom_dictionary_parts parts = parts_of("batchtopk");
    float row[2 * D] = {0}, read[2];
    const int32_t positions[] = {0, 1};
    const uint32_t feature = 3;
    parts.info.max_norm = 10;
    row[0] = row[D] = 9.9F;
    fathom_dictionary *dictionary = write_and_open(&parts, "f32");
    assert_true(fathom_dictionary_describe(dictionary)->max_norm == 10);
    assert_false(fathom_dictionary_covers(dictionary, row, 0));
    assert_true(fathom_dictionary_covers(dictionary, row, 1));
    assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, row, positions, 2, FATHOM_ENCODE_RUN), 0);
    assert_int_equal(sparse.offsets[1], 0);
    row[1] = row[D + 1] = 9.9F; /* now longer than 10 */
    assert_false(fathom_dictionary_covers(dictionary, row, 1));
    assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, row, positions, 2, FATHOM_ENCODE_RUN), 0);
    assert_int_equal(sparse.offsets[2], 0);
    assert_int_equal(fathom_dictionary_read(read, dictionary, &feature, 1, row, positions, 2), 0);
    assert_true(read[0] == 0 && read[1] == 0);
    fathom_dictionary_close(dictionary);
    fathom_sparse_free(&sparse);
}

static void test_no_threshold(void **state) {
    (void)state;
    struct fathom_sparse run = FATHOM_SPARSE_INIT, train = FATHOM_SPARSE_INIT;
    struct fathom_dictionary_parts parts = parts_of("topk");
    float out;
    const uint32_t feature = 0;
    parts.threshold = NULL;
    fathom_dictionary *dictionary = write_and_open(&parts, "f32");
    assert_false(fathom_dictionary_describe(dictionary)->has_threshold);
    assert_int_equal(fathom_dictionary_read(&out, dictionary, &feature, 1, rows, NULL, 1), FATHOM_ERROR_UNSUPPORTED);
    assert_int_equal(fathom_dictionary_encode(&run, dictionary, rows, NULL, 10, FATHOM_ENCODE_RUN), 0);
    assert_int_equal(fathom_dictionary_encode(&train, dictionary, rows, NULL, 10, FATHOM_ENCODE_TRAIN), 0);
    assert_memory_equal(run.features, train.features, 10 * K * sizeof *run.features);
    fathom_dictionary_close(dictionary);
    fathom_sparse_free(&run);
    fathom_sparse_free(&train);
}

static void test_not_finite_rows(void **state) {
    (void)state;
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    struct fathom_dictionary_parts parts = parts_of("batchtopk");
    float bad[3 * D], out;
    const uint32_t feature = 0;
    memcpy(bad, rows, sizeof bad);
    for (int which = 0; which < 4; which++) {
        bad[2 * D + 5] = which % 2 ? NAN : INFINITY;
        parts.info.max_norm = which < 2 ? INFINITY : 1e6F; /* it is no outlier of the norm either */
        fathom_dictionary *dictionary = write_and_open(&parts, "f32");
        assert_int_equal(fathom_dictionary_encode(&sparse, dictionary, bad, NULL, 3, FATHOM_ENCODE_RUN),
                         FATHOM_ERROR_NUMERIC);
        assert_non_null(strstr(fathom_error_message(), "row 2"));
        assert_int_equal(fathom_dictionary_read(&out, dictionary, &feature, 1, bad + 2 * D, NULL, 1),
                         FATHOM_ERROR_NUMERIC);
        fathom_dictionary_close(dictionary);
    }
    fathom_sparse_free(&sparse);
}

/* Bad files ------------------------------------------------------------------------------------------------ */

static void expect(int status, int expected, const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

static int open_only(void) {
    fathom_dictionary *dictionary = NULL;
    const int status = fathom_dictionary_open(&dictionary, path);
    fathom_dictionary_close(dictionary);
    return status;
}

static void test_bad_parts(void **state) {
    (void)state;
    struct fathom_dictionary_parts parts = parts_of("topk");
    expect(fathom_dictionary_write(path, &parts, "f64"), FATHOM_ERROR_ARGUMENT, "f64");
    parts.info.d_in = parts.info.d_out = 40;
    expect(fathom_dictionary_write(path, &parts, "q8_0"), FATHOM_ERROR_ARGUMENT, "multiples of 32");
    parts = parts_of("hashed");
    expect(fathom_dictionary_write(path, &parts, "f32"), FATHOM_ERROR_ARGUMENT, "hashed");
    parts = parts_of("topk");
    const float kept = decoder[100];
    decoder[100] = NAN;
    expect(fathom_dictionary_write(path, &parts, "f32"), FATHOM_ERROR_NUMERIC, "decoder");
    decoder[100] = kept;
}

/* Writes the test's dictionary with one thing wrong. */
static void write_wrong(const char *leave_out, const char *architecture, int64_t d_in, uint32_t k, float scale,
                        const float *weights, int64_t features) {
    fathom__gguf_writer *writer = NULL;
    const int64_t matrix[] = {D, features}, vector = FEATURES, width = D;
    assert_int_equal(fathom__gguf_writer_open(&writer), 0);
    const struct {
        const char *key, *value;
    } strings[] = {{"general.architecture", "fathom-dictionary"},
                   {"fathom.dictionary.architecture", architecture},
                   {"fathom.dictionary.hook_in", "a"},
                   {"fathom.dictionary.hook_out", "a"}};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (strcmp(strings[i].key, leave_out) != 0)
            assert_int_equal(fathom__gguf_put_string(writer, strings[i].key, strings[i].value), 0);
    const struct {
        const char *key;
        uint32_t value;
    } integers[] = {{"fathom.dictionary.version", 1},
                    {"fathom.dictionary.d_in", (uint32_t)d_in},
                    {"fathom.dictionary.d_out", D},
                    {"fathom.dictionary.n_features", FEATURES},
                    {"fathom.dictionary.k", k}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        if (strcmp(integers[i].key, leave_out) != 0)
            assert_int_equal(fathom__gguf_put_integer(writer, integers[i].key, integers[i].value), 0);
    assert_int_equal(fathom__gguf_put_bool(writer, "fathom.dictionary.subtract_decoder_bias", true), 0);
    assert_int_equal(fathom__gguf_put_number(writer, "fathom.dictionary.input_scale", scale), 0);
    assert_int_equal(fathom__gguf_put_tensor(writer, "encoder.weight", GGML_TYPE_F32, matrix, 2, weights), 0);
    assert_int_equal(
        fathom__gguf_put_tensor(writer, "decoder.weight", GGML_TYPE_F32, (const int64_t[]){D, FEATURES}, 2, decoder),
        0);
    assert_int_equal(fathom__gguf_put_tensor(writer, "encoder.bias", GGML_TYPE_F32, &vector, 1, encoder_bias), 0);
    if (strcmp(leave_out, "decoder.bias") != 0)
        assert_int_equal(fathom__gguf_put_tensor(writer, "decoder.bias", GGML_TYPE_F32, &width, 1, decoder_bias), 0);
    assert_int_equal(fathom__gguf_writer_commit(writer, path), 0);
    fathom__gguf_writer_close(writer);
}

static void test_bad_files(void **state) {
    (void)state;
    static float wrong[FEATURES * D];
    write_wrong("", "topk", D, K, 1, encoder, FEATURES);
    assert_int_equal(open_only(), 0); /* nothing wrong: what follows fails for its own reason */
    write_wrong("fathom.dictionary.d_in", "topk", D, K, 1, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_FORMAT, "d_in");
    write_wrong("general.architecture", "topk", D, K, 1, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_FORMAT, "general.architecture");
    write_wrong("decoder.bias", "topk", D, K, 1, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_FORMAT, "decoder.bias");
    write_wrong("", "hashed", D, K, 1, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_UNSUPPORTED, "hashed");
    write_wrong("", "gated", D, K, 1, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_FORMAT, "gate.bias");
    write_wrong("", "groupmax", D, K, 1, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_FORMAT, "a divisor of the 600 features");
    write_wrong("", "jumprelu", D, K, 1, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_FORMAT, "threshold");
    write_wrong("", "topk", D, FEATURES + 1, 1, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_FORMAT, "k is 601");
    write_wrong("", "topk", D, K, 0, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_FORMAT, "input_scale");
    write_wrong("", "topk", D / 2, K, 1, encoder, FEATURES);
    expect(open_only(), FATHOM_ERROR_FORMAT, "32");
    write_wrong("", "topk", D, K, 1, encoder, FEATURES - 1);
    expect(open_only(), FATHOM_ERROR_FORMAT, "encoder.weight has the shape [599, 64]; [600, 64] is expected");
    memcpy(wrong, encoder, sizeof wrong);
    wrong[1234] = INFINITY;
    write_wrong("", "topk", D, K, 1, wrong, FEATURES);
    expect(open_only(), FATHOM_ERROR_NUMERIC, "encoder.weight");
    assert_int_equal(fathom__file_write(path, "GGUF", 4), 0);
    expect(open_only(), FATHOM_ERROR_FORMAT, path);
    fathom_dictionary *absent = NULL;
    expect(fathom_dictionary_open(&absent, "/absent/dictionary.gguf"), FATHOM_ERROR_IO, "/absent/dictionary.gguf");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_encode),    cmocka_unit_test(test_read),
        cmocka_unit_test(test_decode),          cmocka_unit_test(test_covers),    cmocka_unit_test(test_no_threshold),
        cmocka_unit_test(test_not_finite_rows), cmocka_unit_test(test_bad_parts), cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, make_numbers, NULL);
}
