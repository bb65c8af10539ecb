#include <base/buffer.h>
#include <base/error.h>
#include <base/memory.h>
#include <base/safetensors.h>
#include <base/scratch.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A file of this header and `data_length` zero bytes. */
static const char *raw_file(const char *header, size_t data_length) {
    struct fathom__buffer file = FATHOM__BUFFER_INIT(1 << 20);
    static const char zeros[256];
    const uint64_t length = strlen(header);
    assert_int_equal(fathom__buffer_append(&file, &length, sizeof length), FATHOM_OK);
    assert_int_equal(fathom__buffer_text(&file, header), FATHOM_OK);
    assert_int_equal(fathom__buffer_append(&file, zeros, data_length), FATHOM_OK);
    const char *path = scratch_file("raw.safetensors", file.bytes, file.length);
    fathom__buffer_free(&file);
    return path;
}

static void test_round_trip(void **state) {
    (void)state;
    static const float matrix[6] = {1, -2, 3.5f, 0, 5, 6};
    static const int64_t counts[2] = {INT64_MIN, 7};
    static const uint8_t odd[3] = {1, 2, 3};
    static const char *const metadata[] = {"format", "pt", "note", "caf\xc3\xa9", NULL};
    const struct fathom__tensor tensors[] = {
        {"odd", FATHOM__U8, 1, {3}, odd, sizeof odd},
        {"matrix", FATHOM__F32, 2, {2, 3}, matrix, sizeof matrix},
        {"counts", FATHOM__I64, 1, {2}, counts, sizeof counts},
        {"empty", FATHOM__F32, 2, {0, 4}, NULL, 0},
        {"scalar", FATHOM__F32, 0, {0}, matrix + 2, sizeof *matrix},
    };
    const char *path = scratch("out.safetensors");
    assert_int_equal(fathom__safetensors_write(path, tensors, 5, metadata), FATHOM_OK);
    fathom__safetensors *file = NULL;
    assert_int_equal(fathom__safetensors_open(&file, path), FATHOM_OK);
    assert_int_equal(fathom__safetensors_count(file), 5);
    assert_string_equal(fathom__safetensors_at(file, 0)->name, "odd");
    const struct fathom__tensor *found = fathom__safetensors_find(file, "counts");
    assert_int_equal(found->dtype, FATHOM__I64);
    assert_memory_equal(found->data, counts, sizeof counts);
    assert_null(fathom__safetensors_find(file, "none"));
    assert_string_equal(fathom__safetensors_metadata(file, "note"), "caf\xc3\xa9");
    assert_null(fathom__safetensors_metadata(file, "none"));
    float *values = NULL;
    const size_t shape[] = {2, SIZE_MAX};
    assert_int_equal(fathom__safetensors_f32(&values, file, "matrix", shape, 2), FATHOM_OK);
    assert_memory_equal(values, matrix, sizeof matrix);
    fathom_free(values);
    assert_int_equal(fathom__safetensors_f32(&values, file, "scalar", NULL, 0), FATHOM_OK);
    assert_true(values[0] == 3.5f);
    fathom_free(values);
    const size_t none[] = {0, 4};
    assert_int_equal(fathom__safetensors_f32(&values, file, "empty", none, 2), FATHOM_OK);
    fathom_free(values);
    fathom__safetensors_close(file);
    fathom__safetensors_close(NULL);
}

static void test_float_types(void **state) {
    (void)state;
    static const uint16_t f16[] = {0x3c00, 0xc100, 0x0001}, bf16[] = {0x3f80, 0xc020, 0x7f80};
    static const double f64[] = {0.1, -1e300, 2};
    const struct fathom__tensor tensors[] = {
        {"f16", FATHOM__F16, 1, {3}, f16, sizeof f16},
        {"bf16", FATHOM__BF16, 1, {3}, bf16, sizeof bf16},
        {"f64", FATHOM__F64, 1, {3}, f64, sizeof f64},
    };
    const size_t three[] = {3};
    float *values = NULL;
    fathom__safetensors *file = NULL;
    assert_int_equal(fathom__safetensors_write(scratch("types"), tensors, 3, NULL), FATHOM_OK);
    assert_int_equal(fathom__safetensors_open(&file, scratch("types")), FATHOM_OK);
    assert_int_equal(fathom__safetensors_f32(&values, file, "f16", three, 1), FATHOM_OK);
    assert_true(values[0] == 1 && values[1] == -2.5f && values[2] == 0x1p-24f);
    fathom_free(values);
    assert_int_equal(fathom__safetensors_f32(&values, file, "bf16", three, 1), FATHOM_OK);
    assert_true(values[0] == 1 && values[1] == -2.5f && values[2] > 3e38f);
    fathom_free(values);
    assert_int_equal(fathom__safetensors_f32(&values, file, "f64", three, 1), FATHOM_OK);
    assert_true(values[0] == 0.1f && values[2] == 2);
    fathom_free(values);
    fathom__safetensors_close(file);
}

static void test_wrong_requests(void **state) {
    (void)state;
    fathom__safetensors *file = NULL;
    float *values = NULL;
    const size_t shape[] = {2, 3}, line[] = {6};
    const char *path = raw_file("{\"m\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                                "\"i\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[16,20]}}",
                                20);
    assert_int_equal(fathom__safetensors_open(&file, path), FATHOM_OK);
    assert_int_equal(fathom__safetensors_f32(&values, file, "m", shape, 2), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "raw.safetensors: tensor m has 2 in dimension 1, 3 was expected"));
    assert_int_equal(fathom__safetensors_f32(&values, file, "m", line, 1), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "tensor m has 2 dimensions, 1 were expected"));
    assert_int_equal(fathom__safetensors_f32(&values, file, "none", line, 1), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "tensor none is missing"));
    assert_int_equal(fathom__safetensors_f32(&values, file, "i", line, 1), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "tensor i has dtype I32, a float type was expected"));
    assert_null(values);
    fathom__safetensors_close(file);
}

#define TENSOR(dtype, shape, offsets) "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_bad_headers(void **state) {
    (void)state;
    static const struct {
        const char *header, *message;
    } cases[] = {
        {"[]", "its header must be a JSON object"},
        {"{\"t\":", "not valid JSON"},
        {"{\"t\":3}", "tensor t: the key \"dtype\""},
        {"{\"t\":{}}", "tensor t: the key \"dtype\""},
        {TENSOR("\"F32\"", "3", "[0,4]"), "tensor t: the key \"shape\""},
        {TENSOR("\"F32\"", "[-1]", "[0,4]"), "sizes of at least 0"},
        {TENSOR("\"F32\"", "[1.0]", "[0,4]"), "sizes of at least 0"},
        {TENSOR("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "at most 8 dimensions"},
        {TENSOR("\"F32\"", "[4611686018427387904]", "[0,4]"), "more than 2^63 bytes"},
        {TENSOR("\"F32\"", "[4294967296,4294967296]", "[0,0]"), "more than 2^63 bytes"},
        {TENSOR("\"F32\"", "[9223372036854775808]", "[0,4]"), "not valid JSON"},
        {TENSOR("\"F32\"", "[1]", "[0]"), "two integers of at least 0"},
        {TENSOR("\"F32\"", "[1]", "[-4,0]"), "two integers of at least 0"},
        {TENSOR("\"F32\"", "[1]", "[4,0]"), "data_offsets 4 to 0, within 0 to 4"},
        {TENSOR("\"F32\"", "[1]", "[4,8]"), "data_offsets 4 to 8, within 0 to 4"},
        {TENSOR("\"F32\"", "[2]", "[0,4]"), "tensor t: 4 bytes of data, its shape takes 8"},
        {TENSOR("\"U8\"", "[2]", "[0,2]"), "2 bytes after the last tensor's data"},
        {TENSOR("\"U8\"", "[2]", "[2,4]"), "tensor t: its data overlap another tensor's or leave a hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
         "offsets\":[2,4]}}",
         "tensor b: its data overlap"},
        {"{\"__metadata__\":[]}", "\"__metadata__\" must be an object of strings"},
        {"{\"__metadata__\":{\"k\":1}}", "\"k\" must be a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fathom__safetensors *file = NULL;
        assert_int_equal(fathom__safetensors_open(&file, raw_file(cases[i].header, 4)), FATHOM_ERROR_FORMAT);
        assert_null(file);
        if (!strstr(fathom_error_message(), cases[i].message) || !strstr(fathom_error_message(), "raw.safetensors"))
            fail_msg("%zu: \"%s\" lacks \"%s\"", i, fathom_error_message(), cases[i].message);
    }
    fathom__safetensors *file = NULL;
    assert_int_equal(fathom__safetensors_open(&file, raw_file(TENSOR("\"F8_E4M3\"", "[4]", "[0,4]"), 4)),
                     FATHOM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(fathom_error_message(), "tensor t: dtype F8_E4M3"));
}

static void test_bad_lengths(void **state) {
    (void)state;
    fathom__safetensors *file = NULL;
    assert_int_equal(fathom__safetensors_open(&file, scratch_text("short", "1234567")), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom__safetensors_open(&file, scratch_text("empty", "")), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom__safetensors_open(&file, scratch_file("large", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)),
                     FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "a header of 18446744073709551615 bytes in a file of 10"));
    assert_int_equal(fathom__safetensors_open(&file, scratch("none")), FATHOM_ERROR_IO);
}

static void test_bad_writes(void **state) {
    (void)state;
    static const float values[2];
    const struct fathom__tensor wrong_size = {"t", FATHOM__F32, 1, {3}, values, sizeof values};
    const struct fathom__tensor overflow = {"t", FATHOM__F32, 2, {SIZE_MAX, SIZE_MAX}, values, sizeof values};
    const struct fathom__tensor too_deep = {"t", FATHOM__F32, 9, {1}, values, sizeof values};
    const struct fathom__tensor twice[] = {{"t", FATHOM__F32, 1, {2}, values, sizeof values},
                                           {"t", FATHOM__F32, 1, {2}, values, sizeof values}};
    const char *path = scratch("bad.safetensors");
    assert_int_equal(fathom__safetensors_write(path, &wrong_size, 1, NULL), FATHOM_ERROR_ARGUMENT);
    assert_non_null(strstr(fathom_error_message(), "tensor t has 8 bytes, its shape takes 12"));
    assert_int_equal(fathom__safetensors_write(path, &overflow, 1, NULL), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__safetensors_write(path, &too_deep, 1, NULL), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__safetensors_write(path, twice, 2, NULL), FATHOM_ERROR_ARGUMENT);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(fathom__safetensors_write(scratch("no/folder"), twice, 1, NULL), FATHOM_ERROR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_float_types), cmocka_unit_test(test_wrong_requests),
        cmocka_unit_test(test_bad_headers), cmocka_unit_test(test_bad_lengths), cmocka_unit_test(test_bad_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
