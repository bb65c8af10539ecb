#include <base/buffer.h>
#include <base/error.h>
#include <base/gguf_parts.h>
#include <base/scratch.h>

#include <gguf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Files are put together byte by byte, so that each can be wrong in one place. */
static struct fathom__buffer file = FATHOM__BUFFER_INIT(1 << 20);

static void put(const void *bytes, size_t length) {
    assert_int_equal(fathom__buffer_append(&file, bytes, length), FATHOM_OK);
}
static void put_u8(uint8_t value) {
    put(&value, sizeof value);
}
static void put_u32(uint32_t value) {
    put(&value, sizeof value);
}
static void put_u64(uint64_t value) {
    put(&value, sizeof value);
}
static void put_string(const char *text) {
    put_u64(strlen(text));
    put(text, strlen(text));
}
static void put_header(uint64_t n_tensors, uint64_t n_keys) {
    fathom__buffer_clear(&file);
    put("GGUF", 4);
    put_u32(3);
    put_u64(n_tensors);
    put_u64(n_keys);
}
static void put_key(const char *key, uint32_t type) {
    put_string(key);
    put_u32(type);
}
static void put_record(const char *name, uint32_t n_dimensions, const int64_t *shape, uint32_t type, uint64_t offset) {
    put_string(name);
    put_u32(n_dimensions);
    put(shape, n_dimensions * sizeof *shape);
    put_u32(type);
    put_u64(offset);
}
static void pad(size_t alignment) {
    while (file.length % alignment)
        put_u8(0);
}

static int open_file(fathom__gguf **out) {
    return fathom__gguf_open(out, scratch_file("test.gguf", file.bytes, file.length));
}

static void assert_refused(const char *message) {
    fathom__gguf *opened = NULL;
    assert_int_equal(open_file(&opened), FATHOM_ERROR_FORMAT);
    assert_null(opened);
    if (!strstr(fathom_error_message(), message) || !strstr(fathom_error_message(), "test.gguf: "))
        fail_msg("\"%s\" lacks \"%s\"", fathom_error_message(), message);
}

static void put_all_types(void) {
    const float quarter = 0.25f;
    const double third = 1.0 / 3;
    put_header(0, 14);
    put_key("u8", FATHOM__GGUF_UINT8), put_u8(200);
    put_key("i8", FATHOM__GGUF_INT8), put_u8((uint8_t)-100);
    put_key("u16", FATHOM__GGUF_UINT16), put("\xe8\xfd", 2);
    put_key("i16", FATHOM__GGUF_INT16), put("\xff\xff", 2);
    put_key("u32", FATHOM__GGUF_UINT32), put_u32(4000000000u);
    put_key("i32", FATHOM__GGUF_INT32), put_u32((uint32_t)-7);
    put_key("f32", FATHOM__GGUF_FLOAT32), put(&quarter, sizeof quarter);
    put_key("bool", FATHOM__GGUF_BOOL), put_u8(1);
    put_key("string", FATHOM__GGUF_STRING), put_string("caf\xc3\xa9");
    put_key("zero", FATHOM__GGUF_STRING), put_u64(3), put("a\0b", 3);
    put_key("u64", FATHOM__GGUF_UINT64), put_u64(UINT64_MAX);
    put_key("i64", FATHOM__GGUF_INT64), put_u64((uint64_t)INT64_MIN);
    put_key("f64", FATHOM__GGUF_FLOAT64), put(&third, sizeof third);
    put_key("words", FATHOM__GGUF_ARRAY), put_u32(FATHOM__GGUF_STRING), put_u64(2), put_string("one"), put_string("");
}

static void test_values_of_every_type(void **state) {
    (void)state;
    fathom__gguf *opened = NULL;
    put_all_types();
    assert_int_equal(open_file(&opened), FATHOM_OK);
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"u8", 200},         {"i8", -100}, {"u16", 65000},    {"i16", -1},
                    {"u32", 4000000000}, {"i32", -7},  {"i64", INT64_MIN}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        int64_t value = 0;
        double number = 0;
        assert_int_equal(fathom__gguf_integer(&value, opened, integers[i].key, INT64_MIN, INT64_MAX, true), FATHOM_OK);
        assert_true(value == integers[i].value);
        assert_int_equal(fathom__gguf_number(&number, opened, integers[i].key, true), FATHOM_OK);
        assert_true(number == (double)integers[i].value);
    }
    double number = 0;
    bool truth = false;
    const char *text = NULL;
    size_t length = 0;
    assert_int_equal(fathom__gguf_number(&number, opened, "f32", true), FATHOM_OK);
    assert_true(number == 0.25);
    assert_int_equal(fathom__gguf_number(&number, opened, "f64", true), FATHOM_OK);
    assert_true(number == 1.0 / 3);
    assert_int_equal(fathom__gguf_number(&number, opened, "u64", true), FATHOM_OK);
    assert_true(number == 0x1p64);
    assert_int_equal(fathom__gguf_bool(&truth, opened, "bool", true), FATHOM_OK);
    assert_true(truth);
    assert_int_equal(fathom__gguf_string(&text, opened, "string", true), FATHOM_OK);
    assert_string_equal(text, "caf\xc3\xa9");
    assert_int_equal(fathom__gguf_array_length(&length, opened, "words", true), FATHOM_OK);
    assert_int_equal(length, 2);
    assert_int_equal(fathom__gguf_key_count(opened), 14);
    assert_string_equal(fathom__gguf_key_at(opened, 13), "words");
    assert_true(fathom__gguf_has(opened, "i32"));
    assert_false(fathom__gguf_has(opened, "i33"));
    assert_non_null(strstr(fathom__gguf_path(opened), "test.gguf"));
    assert_int_equal(fathom__gguf_key_type(opened, "f32"), GGUF_TYPE_FLOAT32);
    assert_int_equal(fathom__gguf_key_type(opened, "none"), GGUF_TYPE_COUNT);
    struct fathom__gguf_array array = {0};
    size_t cursor = 0;
    assert_int_equal(fathom__gguf_array(&array, opened, "words", true), FATHOM_OK);
    assert_int_equal(array.type, GGUF_TYPE_STRING);
    assert_memory_equal(fathom__gguf_array_string(&length, &array, &cursor), "one", 3);
    assert_int_equal(length, 3);
    fathom__gguf_array_string(&length, &array, &cursor);
    assert_int_equal(length, 0);
    fathom__gguf_close(opened);
}

static void test_mistyped_keys(void **state) {
    (void)state;
    fathom__gguf *opened = NULL;
    int64_t value = 77;
    double number = 77;
    bool truth = true;
    const char *text = "untouched";
    size_t length = 77;
    put_all_types();
    assert_int_equal(open_file(&opened), FATHOM_OK);
    assert_int_equal(fathom__gguf_integer(&value, opened, "f32", 0, 9, true), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "test.gguf: f32 has type float32, an integer was expected"));
    assert_int_equal(fathom__gguf_integer(&value, opened, "u64", 0, INT64_MAX, true), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "u64 is 18446744073709551615, 0 to 9223372036854775807"));
    assert_int_equal(fathom__gguf_integer(&value, opened, "i32", 0, 9, true), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "i32 is -7, 0 to 9 was expected"));
    assert_int_equal(fathom__gguf_integer(&value, opened, "none", 0, 9, true), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "the key none (an integer) is missing"));
    assert_int_equal(fathom__gguf_integer(&value, opened, "none", 0, 9, false), FATHOM_OK);
    assert_int_equal(fathom__gguf_number(&number, opened, "string", true), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom__gguf_bool(&truth, opened, "u8", true), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom__gguf_string(&text, opened, "u8", false), FATHOM_ERROR_FORMAT);
    assert_int_equal(fathom__gguf_string(&text, opened, "zero", true), FATHOM_ERROR_FORMAT);
    assert_non_null(strstr(fathom_error_message(), "zero byte"));
    assert_int_equal(fathom__gguf_array_length(&length, opened, "string", true), FATHOM_ERROR_FORMAT);
    assert_true(value == 77 && number == 77 && truth && length == 77);
    assert_string_equal(text, "untouched");
    fathom__gguf_close(opened);
}

static void test_bad_headers(void **state) {
    (void)state;
    fathom__gguf *opened = NULL;
    fathom__buffer_clear(&file);
    assert_refused("does not begin with \"GGUF\"");
    put("GGML", 4);
    assert_refused("does not begin with \"GGUF\"");
    fathom__buffer_clear(&file);
    put("GGUF\3\0\0\0", 8);
    assert_refused("ends inside its header");
    put_header(0, 0);
    file.bytes[4] = 1;
    assert_refused("GGUF version 1, 2 or 3 was expected");
    put_header(UINT64_C(1) << 63, 0);
    assert_refused("9223372036854775808 tensors are more than the file holds");
    put_header(0, UINT64_MAX);
    assert_refused("18446744073709551615 keys");
    put_header(0, 1);
    put("12345678", 8);
    assert_refused("the file ends inside the name of key 0");
    put_header(0, 0);
    assert_int_equal(open_file(&opened), FATHOM_OK);
    fathom__gguf_close(opened);
    assert_int_equal(fathom__gguf_open(&opened, scratch("none.gguf")), FATHOM_ERROR_IO);
}

static void test_bad_keys(void **state) {
    (void)state;
    put_header(0, 1);
    put_u64(UINT64_MAX), put_u32(4);
    assert_refused("ends inside the name of key 0");
    put_header(0, 1);
    put_key("", FATHOM__GGUF_UINT8), put_u8(1);
    assert_refused("the name of key 0 has 0 bytes");
    put_header(0, 1);
    put_u64(3), put("a\0b", 3), put_u32(FATHOM__GGUF_UINT8), put_u8(1);
    assert_refused("without zeros were expected");
    put_header(0, 1);
    put_key("k", 13), put_u64(0);
    assert_refused("k has type 13, 0 to 12 was expected");
    put_header(0, 1);
    put_key("k", FATHOM__GGUF_UINT32), put_u8(1);
    assert_refused("the file ends inside the key k");
    put_header(0, 1);
    put_key("k", FATHOM__GGUF_STRING), put_u64(UINT64_C(1) << 63);
    assert_refused("the file ends inside the key k");
    put_header(0, 2);
    put_key("twice", FATHOM__GGUF_BOOL), put_u8(0);
    put_key("twice", FATHOM__GGUF_BOOL), put_u8(0);
    assert_refused("two keys are named twice");
}

static void test_bad_arrays(void **state) {
    (void)state;
    put_header(0, 1);
    put_key("k", FATHOM__GGUF_ARRAY), put_u32(FATHOM__GGUF_ARRAY), put_u64(1), put_u64(0);
    assert_refused("k is an array of type 9");
    put_header(0, 1);
    put_key("k", FATHOM__GGUF_ARRAY), put_u32(99), put_u64(1), put_u64(0);
    assert_refused("k is an array of type 99");
    put_header(0, 1);
    put_key("k", FATHOM__GGUF_ARRAY), put_u32(FATHOM__GGUF_UINT64), put_u64(UINT64_C(1) << 61), put_u64(0);
    assert_refused("k has 2305843009213693952 elements, more than the rest of the file holds");
    put_header(0, 1);
    put_key("k", FATHOM__GGUF_ARRAY), put_u32(FATHOM__GGUF_STRING), put_u64(2), put_string("abcdefgh"), put_u64(1);
    assert_refused("the file ends inside the key k");
    put_header(0, 1);
    put_key("k", FATHOM__GGUF_ARRAY), put_u32(FATHOM__GGUF_UINT8);
    assert_refused("the file ends inside the key k");
}

static void put_two_tensors(void) {
    const int64_t matrix[] = {3, 2}, row[] = {32};
    const float values[] = {1, 2, 3, 4, 5, -6.5f};
    put_header(2, 0);
    put_record("matrix", 2, matrix, GGML_TYPE_F32, 0);
    put_record("row", 1, row, GGML_TYPE_Q8_0, 32);
    pad(32);
    put(values, sizeof values);
    pad(32);
    /* One block of q8_0: a half-precision scale (0.5) and 32 signed bytes. */
    put("\x00\x38", 2);
    for (int i = 0; i < 32; i++)
        put_u8((uint8_t)(i - 16));
}

static void test_tensors(void **state) {
    (void)state;
    fathom__gguf *opened = NULL;
    float values[32];
    put_two_tensors();
    assert_int_equal(open_file(&opened), FATHOM_OK);
    assert_int_equal(fathom__gguf_tensor_count(opened), 2);
    const struct fathom__gguf_tensor *matrix = fathom__gguf_tensor_at(opened, 0);
    assert_string_equal(matrix->name, "matrix");
    assert_int_equal(matrix->bytes, 24);
    assert_int_equal(matrix->shape[0], 3);
    assert_int_equal(matrix->shape[3], 1);
    assert_int_equal((uintptr_t)matrix->data % 32, 0);
    assert_int_equal(fathom__gguf_rows_f32(values, matrix, 1, 1), FATHOM_OK);
    assert_true(values[0] == 4 && values[1] == 5 && values[2] == -6.5f);
    assert_int_equal(fathom__gguf_rows_f32(values, matrix, 1, 2), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_rows_f32(values, matrix, -1, 1), FATHOM_ERROR_ARGUMENT);
    assert_int_equal(fathom__gguf_rows_f32(values, matrix, 0, INT64_MAX), FATHOM_ERROR_ARGUMENT);
    const struct fathom__gguf_tensor *row = fathom__gguf_tensor_find(opened, "row");
    assert_non_null(row);
    assert_int_equal(fathom__gguf_rows_f32(values, row, 0, 1), FATHOM_OK);
    for (int i = 0; i < 32; i++)
        assert_true(values[i] == 0.5f * (float)(i - 16));
    assert_null(fathom__gguf_tensor_find(opened, "column"));
    fathom__gguf_close(opened);
    fathom__gguf_close(NULL);
}

static void test_types_that_cannot_be_floats(void **state) {
    (void)state;
    const int64_t shape[] = {2};
    float values[2];
    fathom__gguf *opened = NULL;
    put_header(1, 0);
    put_record("counts", 1, shape, GGML_TYPE_I32, 0);
    pad(32);
    put_u64(0);
    assert_int_equal(open_file(&opened), FATHOM_OK);
    assert_int_equal(fathom__gguf_rows_f32(values, fathom__gguf_tensor_at(opened, 0), 0, 1), FATHOM_ERROR_UNSUPPORTED);
    assert_string_equal(fathom_error_message(), "tensor counts: values of type i32 cannot be turned into floats");
    fathom__gguf_close(opened);
}

static void put_one_tensor(const char *name, uint32_t n_dimensions, const int64_t *shape, uint32_t type,
                           uint64_t offset) {
    put_header(1, 0);
    put_record(name, n_dimensions, shape, type, offset);
    pad(32);
    for (int i = 0; i < 64; i++)
        put_u8(0);
}

static void test_bad_tensors(void **state) {
    (void)state;
    const int64_t good[] = {4, 4, 1, 1, 1}, negative[] = {-4}, huge[] = {INT64_MAX, 4}, wide[] = {INT64_MAX / 2},
                  hollow[] = {0, INT64_MAX, 4};
    put_one_tensor("t", 5, good, GGML_TYPE_F32, 0);
    assert_refused("tensor t has 5 dimensions, at most 4 were expected");
    put_one_tensor("t", 1, negative, GGML_TYPE_F32, 0);
    assert_refused("tensor t has a dimension of -4");
    put_one_tensor("t", 2, huge, GGML_TYPE_F32, 0);
    assert_refused("tensor t has a shape of more than 2^63 elements");
    put_one_tensor("t", 3, hollow, GGML_TYPE_F32, 0);
    assert_refused("tensor t has a shape of more than 2^63 elements");
    put_one_tensor("t", 1, wide, GGML_TYPE_F32, 0);
    assert_refused("tensor t has a shape of more than 2^63 bytes");
    put_one_tensor("t", 2, good, GGML_TYPE_COUNT, 0);
    assert_refused("tensor t has type 43, which the engine does not know");
    put_one_tensor("t", 2, good, 4, 0); /* a type that was removed */
    assert_refused("tensor t has type 4, which the engine does not know");
    put_one_tensor("t", 2, good, UINT32_MAX, 0);
    assert_refused("tensor t has type -1");
    put_one_tensor("t", 2, good, GGML_TYPE_Q8_0, 0);
    assert_refused("tensor t has rows of 4 elements, a multiple of 32 was expected for type q8_0");
    put_one_tensor("t", 2, good, GGML_TYPE_F32, 32);
    assert_refused("tensor t lies at offset 32, 0 was expected");
    put_one_tensor("t", 2, good, GGML_TYPE_F32, UINT64_MAX);
    assert_refused("tensor t lies at offset 18446744073709551615");
    put_one_tensor("t", 2, good, GGML_TYPE_F64, 0);
    assert_refused("the data of tensor t (128 bytes at offset 0) go beyond the end of the file");
    put_one_tensor("", 2, good, GGML_TYPE_F32, 0);
    assert_refused("the name of tensor 0 has 0 bytes");
    put_one_tensor("a.name.of.sixty-four.bytes.is.one.more.than.the.engine.can.hold.x", 2, good, GGML_TYPE_F32, 0);
    assert_refused("the name of tensor 0 has");
    put_header(1, 0);
    put_string("t");
    put_u32(2);
    assert_refused("ends inside the record of tensor t");
    put_header(2, 0);
    put_record("t", 1, good, GGML_TYPE_F32, 0);
    put_record("t", 1, good, GGML_TYPE_F32, 32);
    pad(32);
    put_u64(0), put_u64(0), put_u64(0), put_u64(0), put_u64(0), put_u64(0);
    assert_refused("two tensors are named t");
}

static void test_alignment_key(void **state) {
    (void)state;
    const int64_t shape[] = {2};
    fathom__gguf *opened = NULL;
    static const uint32_t bad[] = {0, 1, 4, 24, 33};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_header(0, 1);
        put_key("general.alignment", FATHOM__GGUF_UINT32), put_u32(bad[i]);
        assert_refused("general.alignment must be a uint32 and a power of two of at least 8");
    }
    put_header(0, 1);
    put_key("general.alignment", FATHOM__GGUF_UINT64), put_u64(32);
    assert_refused("general.alignment must be a uint32");
    put_header(1, 1);
    put_key("general.alignment", FATHOM__GGUF_UINT32), put_u32(UINT32_C(1) << 31);
    put_record("t", 1, shape, GGML_TYPE_F32, 0);
    assert_refused("the data of tensor t (8 bytes at offset 0) go beyond the end");
    put_header(1, 1);
    put_key("general.alignment", FATHOM__GGUF_UINT32), put_u32(256);
    put_record("t", 1, shape, GGML_TYPE_F32, 0);
    pad(256);
    put_u64(0);
    assert_int_equal(open_file(&opened), FATHOM_OK);
    fathom__gguf_close(opened);
}

/* Cut anywhere, the file is refused and nothing is read beyond its end (which the sanitizers would see). */
static void test_every_truncation(void **state) {
    (void)state;
    put_all_types();
    for (size_t length = file.length - 1; length > 0; length--) {
        fathom__gguf *opened = NULL;
        assert_int_equal(fathom__gguf_open(&opened, scratch_file("cut.gguf", file.bytes, length)), FATHOM_ERROR_FORMAT);
    }
    put_two_tensors();
    for (size_t length = file.length - 1; length > 0; length--) {
        fathom__gguf *opened = NULL;
        assert_int_equal(fathom__gguf_open(&opened, scratch_file("cut.gguf", file.bytes, length)), FATHOM_ERROR_FORMAT);
    }
}

static int free_file(void **state) {
    (void)state;
    fathom__buffer_free(&file);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_every_type),
        cmocka_unit_test(test_mistyped_keys),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_bad_arrays),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_types_that_cannot_be_floats),
        cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_alignment_key),
        cmocka_unit_test(test_every_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, free_file);
}
