/* Gates, groups, norms, scales and skips: against their formulas in double; bad ones; files of before them. */
#include <base/error.h>
#include <base/gguf_file.h>
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

enum { D = 40, OUT = 24, FEATURES = 300, ROWS = 70, GROUPS = 20 };

static float encoder[FEATURES * D], decoder[FEATURES * D], encoder_bias[FEATURES], decoder_bias[D], gate[FEATURES],
    scale[FEATURES], skip[OUT * D], rows[ROWS * D];
static char path[2 * SCRATCH_PATH];

static int make_numbers(void **state) {
    (void)state;
    struct fathom__random random;
    fathom__random_seed(&random, 7);
    for (int i = 0; i < FEATURES * D; i++) {
        encoder[i] = (float)fathom__random_normal(&random) / 6;
        decoder[i] = (float)fathom__random_normal(&random) / 6;
    }
    for (int f = 0; f < FEATURES; f++) {
        encoder_bias[f] = (float)fathom__random_normal(&random) / 4;
        gate[f] = (float)fathom__random_normal(&random) / 4;
        scale[f] = expf((float)fathom__random_normal(&random) / 3);
    }
    for (int j = 0; j < D; j++)
        decoder_bias[j] = (float)fathom__random_normal(&random) / 4;
    for (int i = 0; i < OUT * D; i++)
        skip[i] = (float)fathom__random_normal(&random) / 5;
    for (int i = 0; i < ROWS * D; i++)
        rows[i] = 1 + 3 * (float)fathom__random_normal(&random);
    snprintf(path, sizeof path, "%s", scratch("rows.gguf"));
    return 0;
}

static struct fathom_dictionary_parts parts_of(const char *architecture) {
    return (struct fathom_dictionary_parts){
        .info = {.architecture = architecture,
                 .hook_in = "blocks.1.mlp.hook_in",
                 .hook_out = "blocks.1.hook_mlp_out",
                 .d_in = D,
                 .d_out = D,
                 .n_features = FEATURES,
                 .k = GROUPS,
                 .subtract_decoder_bias = true,
                 .input_scale = 0.5F,
                 .max_norm = INFINITY},
        .encoder = encoder,
        .encoder_bias = encoder_bias,
        .decoder = decoder,
        .decoder_bias = decoder_bias,
    };
}

static fathom_dictionary *write_and_open(const struct fathom_dictionary_parts *parts) {
    fathom_dictionary *dictionary = NULL;
    assert_int_equal(fathom_dictionary_write(path, parts, "f32"), 0);
    if (fathom_dictionary_open(&dictionary, path)) fail_msg("%s", fathom_error_message());
    return dictionary;
}

static void encode(float *dense, const fathom_dictionary *dictionary, struct fathom_sparse *sparse) {
    assert_int_equal(fathom_dictionary_encode(sparse, dictionary, rows, NULL, ROWS, FATHOM_ENCODE_RUN), 0);
    memset(dense, 0, sizeof(float) * ROWS * FEATURES);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = sparse->offsets[r]; i < sparse->offsets[r + 1]; i++)
            dense[r * FEATURES + sparse->features[i]] = sparse->values[i];
}

/* W_enc (s n(x) - b_dec) of a feature, x already normed. */
static double product(const double *x, int f, double input_scale, bool subtract) {
    double sum = 0;
    for (int j = 0; j < D; j++)
        sum += (double)encoder[f * D + j] * (x[j] * input_scale - (subtract ? decoder_bias[j] : 0));
    return sum;
}

static void plain(double *x, size_t r) {
    for (int j = 0; j < D; j++)
        x[j] = rows[r * D + j];
}

#define SLACK 1e-5 /* what f32 sums may differ by */

static void test_gated(void **state) {
    (void)state;
    static float dense[ROWS * FEATURES], read[ROWS * 3];
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    struct fathom_dictionary_parts parts = parts_of("gated");
    parts.gate_bias = gate;
    parts.magnitude_scale = scale;
    fathom_dictionary *dictionary = write_and_open(&parts);
    int active = 0, shut = 0;
    assert_true(fathom_dictionary_describe(dictionary)->has_threshold);
    encode(dense, dictionary, &sparse);
    for (size_t r = 0; r < ROWS; r++) {
        double x[D];
        plain(x, r);
        for (int f = 0; f < FEATURES; f++) {
            const double p = product(x, f, 0.5, true), value = p * scale[f] + encoder_bias[f];
            if (fabs(p + gate[f]) < SLACK || fabs(value) < SLACK) continue;
            const double expected = p + gate[f] > 0 && value > 0 ? value : 0;
            assert_true(fabs(dense[r * FEATURES + f] - expected) < SLACK);
            active += expected > 0;
            shut += p + gate[f] <= 0 && value > 0;
        }
    }
    assert_true(active > ROWS && shut > ROWS); /* both cases were looked at */
    const uint32_t wanted[] = {3, 299, 0};
    assert_int_equal(fathom_dictionary_read(read, dictionary, wanted, 3, rows, NULL, ROWS), 0);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < 3; i++)
            assert_true(read[r * 3 + i] == dense[r * FEATURES + wanted[i]]);
    float row[D], bias;
    assert_int_equal(fathom_dictionary_encoder_row(row, &bias, dictionary, 5), 0);
    assert_true(bias == gate[5]);
    fathom_dictionary_close(dictionary);
    fathom_sparse_free(&sparse);
}

static void test_groupmax(void **state) {
    (void)state;
    static float dense[ROWS * FEATURES];
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    const struct fathom_dictionary_parts parts = parts_of("groupmax");
    fathom_dictionary *dictionary = write_and_open(&parts);
    encode(dense, dictionary, &sparse);
    for (size_t r = 0; r < ROWS; r++) {
        double x[D];
        plain(x, r);
        for (int g = 0; g < GROUPS; g++) {
            double best = 0;
            int winner = -1, found = 0;
            for (int f = g * FEATURES / GROUPS; f < (g + 1) * FEATURES / GROUPS; f++) {
                const double value = product(x, f, 0.5, true) + encoder_bias[f];
                if (value > best) best = value, winner = f;
                found += dense[r * FEATURES + f] > 0;
            }
            assert_int_equal(found, winner >= 0);
            if (winner >= 0) assert_true(fabs(dense[r * FEATURES + winner] - best) < SLACK);
        }
    }
    assert_false(fathom_dictionary_describe(dictionary)->has_threshold);
    fathom_dictionary_close(dictionary);
    fathom_sparse_free(&sparse);
}

/* What a norm does to a row, by its definition: n(x) into x; what undoing multiplies with and adds. */
static void norm(double *x, double *factor, double *shift, const char *name) {
    double mean = 0, squares = 0, about_mean = 0;
    for (int j = 0; j < D; j++)
        mean += x[j] / D;
    for (int j = 0; j < D; j++) {
        squares += x[j] * x[j];
        about_mean += (x[j] - mean) * (x[j] - mean);
    }
    double divisor = 1;
    *factor = 1;
    *shift = strcmp(name, "constant_norm") == 0 || strcmp(name, "rms") == 0 ? 0 : mean;
    if (strcmp(name, "layer_norm") == 0) {
        *factor = sqrt(about_mean / (D - 1));
        divisor = *factor + 1e-5;
    } else if (strcmp(name, "constant_norm") == 0) {
        divisor = *factor = sqrt(squares / D);
    } else if (strcmp(name, "rms") == 0) {
        divisor = *factor = sqrt(squares / D + 1e-6);
    } else if (strcmp(name, "standardise") == 0) {
        divisor = *factor = sqrt(about_mean / D + 1e-5);
    }
    for (int j = 0; j < D; j++)
        x[j] = (x[j] - *shift) / divisor;
}

static void test_norms(void **state) {
    (void)state;
    static const char *const names[] = {"centre", "layer_norm", "constant_norm", "rms", "standardise"};
    static float dense[ROWS * FEATURES], out[ROWS * D];
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    for (size_t n = 0; n < 2 * sizeof names / sizeof *names; n++) {
        const char *name = names[n / 2];
        const bool undo = n % 2;
        struct fathom_dictionary_parts parts = parts_of("standard");
        parts.info.input_norm = name;
        parts.info.undo_input_norm = undo;
        fathom_dictionary *dictionary = write_and_open(&parts);
        const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
        assert_string_equal(info->input_norm, name);
        assert_true(info->undo_input_norm == undo && info->needs_rows == undo);
        encode(dense, dictionary, &sparse);
        if (undo)
            assert_int_equal(fathom_dictionary_decode(out, dictionary, &sparse), FATHOM_ERROR_UNSUPPORTED);
        else
            assert_int_equal(fathom_dictionary_decode(out, dictionary, &sparse), 0);
        if (undo) assert_int_equal(fathom_dictionary_reconstruct(out, dictionary, &sparse, rows), 0);
        for (size_t r = 0; r < ROWS; r++) {
            double x[D], factor, shift, y[D];
            plain(x, r);
            norm(x, &factor, &shift, name);
            for (int j = 0; j < D; j++)
                y[j] = decoder_bias[j];
            for (int f = 0; f < FEATURES; f++) {
                const double value = fmax(0, product(x, f, 0.5, true) + encoder_bias[f]);
                assert_true(fabs(dense[r * FEATURES + f] - value) < SLACK);
                for (int j = 0; j < D; j++)
                    y[j] += value * decoder[f * D + j];
            }
            for (int j = 0; j < D; j++) {
                const double expected = undo ? y[j] / 0.5 * factor + shift : y[j] / 0.5;
                assert_true(fabs(out[r * D + j] - expected) < 1e-4 * (1 + fabs(expected)));
            }
            assert_true(fabs(fathom_dictionary_gain(dictionary, rows + r * D) - (undo ? factor : 1) / 0.5) < 1e-4);
        }
        fathom_dictionary_close(dictionary);
    }
    fathom_sparse_free(&sparse);
}

/* A skip transcoder between unequal widths and scales. */
static void test_skip(void **state) {
    (void)state;
    static float dense[ROWS * FEATURES], out[ROWS * OUT];
    struct fathom_sparse sparse = FATHOM_SPARSE_INIT;
    struct fathom_dictionary_parts parts = parts_of("standard");
    parts.info.d_out = OUT;
    parts.info.subtract_decoder_bias = false;
    parts.info.output_scale = 4;
    parts.skip = skip;
    fathom_dictionary *dictionary = write_and_open(&parts);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_true(info->has_skip && info->needs_rows && info->input_scale == 0.5F && info->output_scale == 4);
    encode(dense, dictionary, &sparse);
    assert_int_equal(fathom_dictionary_decode(out, dictionary, &sparse), FATHOM_ERROR_UNSUPPORTED);
    assert_int_equal(fathom_dictionary_reconstruct(out, dictionary, &sparse, rows), 0);
    for (size_t r = 0; r < ROWS; r++) {
        double x[D], y[OUT];
        plain(x, r);
        for (int i = 0; i < OUT; i++)
            y[i] = decoder_bias[i];
        for (int f = 0; f < FEATURES; f++) {
            const double value = fmax(0, product(x, f, 0.5, false) + encoder_bias[f]);
            for (int i = 0; i < OUT; i++)
                y[i] += value * decoder[f * OUT + i];
        }
        for (int i = 0; i < OUT; i++) {
            double expected = y[i] / 4;
            for (int j = 0; j < D; j++)
                expected += (double)skip[i * D + j] * rows[r * D + j];
            assert_true(fabs(out[r * OUT + i] - expected) < 1e-4);
        }
    }
    fathom_dictionary_close(dictionary);
    fathom_sparse_free(&sparse);
}

static int64_t version_of_file(void) {
    fathom__gguf *file = NULL;
    int64_t version = 0;
    assert_int_equal(fathom__gguf_open(&file, path), 0);
    assert_int_equal(fathom__gguf_integer(&version, file, "fathom.dictionary.version", 0, 100, true), 0);
    fathom__gguf_close(file);
    return version;
}

static void test_groups_and_version(void **state) {
    (void)state;
    static const uint32_t sizes[] = {20, 80, 200};
    struct fathom_dictionary_parts parts = parts_of("standard");
    fathom_dictionary *dictionary = write_and_open(&parts);
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    assert_int_equal(version_of_file(), 1); /* readers of version 1 lose nothing */
    assert_int_equal(info->n_groups, 0);
    assert_string_equal(info->input_norm, "none");
    assert_true(info->output_scale == info->input_scale && !info->needs_rows && !info->has_skip);
    fathom_dictionary_close(dictionary);
    parts.info.group_sizes = sizes;
    parts.info.n_groups = 3;
    dictionary = write_and_open(&parts);
    info = fathom_dictionary_describe(dictionary);
    assert_int_equal(version_of_file(), 2);
    assert_int_equal(info->n_groups, 3);
    assert_memory_equal(info->group_sizes, sizes, sizeof sizes);
    fathom_dictionary_close(dictionary);
}

static void expect(int status, int expected, const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(fathom_error_message(), part)) fail_msg("\"%s\" does not hold \"%s\"", fathom_error_message(), part);
}

/* Writes a good file, then puts one key or tensor of it wrong. */
static int open_changed(const struct fathom_dictionary_parts *parts, const char *key, float number,
                        const uint32_t *groups, size_t n_groups, const char *tensor, int64_t width, const float *data) {
    fathom__gguf *file = NULL;
    fathom__gguf_writer *writer = NULL;
    fathom_dictionary *dictionary = NULL;
    assert_int_equal(fathom_dictionary_write(path, parts, "f32"), 0);
    assert_int_equal(fathom__gguf_open(&file, path), 0);
    assert_int_equal(fathom__gguf_writer_open(&writer), 0);
    assert_int_equal(fathom__gguf_put_all(writer, file), 0);
    if (key) fathom__gguf_remove(writer, key);
    if (key && groups)
        assert_int_equal(fathom__gguf_put_array(writer, key, GGUF_TYPE_UINT32, groups, n_groups), 0);
    else if (key)
        assert_int_equal(fathom__gguf_put_number(writer, key, number), 0);
    for (size_t i = 0; i < fathom__gguf_tensor_count(file); i++) {
        const struct fathom__gguf_tensor *old = fathom__gguf_tensor_at(file, i);
        if (tensor && strcmp(old->name, tensor) == 0) {
            if (data)
                assert_int_equal(fathom__gguf_put_tensor(writer, tensor, GGML_TYPE_F32,
                                                         (const int64_t[]){width, old->shape[1]}, 2, data),
                                 0);
        } else {
            assert_int_equal(fathom__gguf_put_tensor(writer, old->name, old->type, old->shape, 2, old->data), 0);
        }
    }
    assert_int_equal(fathom__gguf_writer_commit(writer, path), 0);
    fathom__gguf_writer_close(writer);
    fathom__gguf_close(file);
    const int status = fathom_dictionary_open(&dictionary, path);
    fathom_dictionary_close(dictionary);
    return status;
}

static void test_bad_files(void **state) {
    (void)state;
    static float wrong[OUT * D];
    static const uint32_t good[] = {100, 200}, short_of[] = {100, 199}, hollow[] = {300, 0};
    struct fathom_dictionary_parts parts = parts_of("gated");
    parts.gate_bias = gate;
    parts.magnitude_scale = scale;
    static const char groups[] = "fathom.dictionary.groups", output[] = "fathom.dictionary.output_scale";
    assert_int_equal(open_changed(&parts, groups, 0, good, 2, NULL, 0, NULL), 0);
    expect(open_changed(&parts, groups, 0, short_of, 2, NULL, 0, NULL), FATHOM_ERROR_FORMAT, "sum is 299");
    expect(open_changed(&parts, groups, 0, hollow, 2, NULL, 0, NULL), FATHOM_ERROR_FORMAT, "group 1");
    expect(open_changed(&parts, groups, 1, NULL, 0, NULL, 0, NULL), FATHOM_ERROR_FORMAT, "groups");
    expect(open_changed(&parts, output, -1, NULL, 0, NULL, 0, NULL), FATHOM_ERROR_FORMAT, "output_scale");
    expect(open_changed(&parts, output, NAN, NULL, 0, NULL, 0, NULL), FATHOM_ERROR_FORMAT, "output_scale");
    expect(open_changed(&parts, "fathom.dictionary.input_norm", 1, NULL, 0, NULL, 0, NULL), FATHOM_ERROR_FORMAT,
           "input_norm");
    expect(open_changed(&parts, NULL, 0, NULL, 0, "gate.bias", FEATURES, NULL), FATHOM_ERROR_FORMAT, "gate.bias");
    memcpy(wrong, scale, sizeof scale);
    wrong[7] = -1;
    expect(open_changed(&parts, NULL, 0, NULL, 0, "magnitude.scale", FEATURES, wrong), FATHOM_ERROR_FORMAT,
           "magnitude.scale of feature 7");
    parts = parts_of("standard");
    parts.info.d_out = OUT;
    parts.info.subtract_decoder_bias = false;
    parts.skip = skip;
    memcpy(wrong, skip, sizeof skip);
    assert_int_equal(open_changed(&parts, NULL, 0, NULL, 0, "skip.weight", D, wrong), 0);
    wrong[5] = INFINITY;
    expect(open_changed(&parts, NULL, 0, NULL, 0, "skip.weight", D, wrong), FATHOM_ERROR_NUMERIC, "skip.weight");
    expect(open_changed(&parts, NULL, 0, NULL, 0, "skip.weight", D - 1, skip), FATHOM_ERROR_FORMAT, "skip.weight");
}

static void test_bad_parts(void **state) {
    (void)state;
    struct fathom_dictionary_parts parts = parts_of("gated");
    expect(fathom_dictionary_write(path, &parts, "f32"), FATHOM_ERROR_ARGUMENT, "gate_bias");
    parts = parts_of("standard");
    parts.gate_bias = gate;
    expect(fathom_dictionary_write(path, &parts, "f32"), FATHOM_ERROR_ARGUMENT, "gate_bias");
    parts = parts_of("standard");
    parts.info.input_norm = "batch";
    expect(fathom_dictionary_write(path, &parts, "f32"), FATHOM_ERROR_ARGUMENT, "batch");
    parts = parts_of("standard");
    parts.info.group_sizes = (const uint32_t[]){100, 199};
    parts.info.n_groups = 2;
    expect(fathom_dictionary_write(path, &parts, "f32"), FATHOM_ERROR_ARGUMENT, "their sum is 299");
    parts.info.group_sizes = (const uint32_t[]){FEATURES, 0};
    expect(fathom_dictionary_write(path, &parts, "f32"), FATHOM_ERROR_ARGUMENT, "group sizes of 1 or more");
    parts = parts_of("standard");
    const float kept = skip[9];
    skip[9] = NAN;
    parts.info.d_out = OUT;
    parts.skip = skip;
    expect(fathom_dictionary_write(path, &parts, "f32"), FATHOM_ERROR_NUMERIC, "skip");
    skip[9] = kept;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gated),     cmocka_unit_test(test_groupmax),           cmocka_unit_test(test_norms),
        cmocka_unit_test(test_skip),      cmocka_unit_test(test_groups_and_version), cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_parts),
    };
    return cmocka_run_group_tests(tests, make_numbers, NULL);
}
